"""Runs in processes of their own: threads, logs, failures, and what an interruption leaves."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from clean_processes import StartedPython

from ldebm_hf.experiments.experiment_runs import ExperimentRun
from ldebm_hf.experiments.parallel_runs import call_in_process, finish_in_processes, finish_runs

CHANGES = {"model": {"preset": "vae"}}


def train_and_score(run: ExperimentRun) -> dict[str, float]:
    """What the processes call: some of the seeds fail in some way."""
    print("threads", torch.get_num_threads(), os.environ["OMP_NUM_THREADS"], flush=True)
    if run.seed == 1:
        raise RuntimeError("out of luck")
    if run.seed == 2:
        os._exit(3)
    if run.seed == 3:
        raise TypeError("a mistake in the code")
    return {"score": run.seed + 0.5}


def sleep(run: ExperimentRun) -> dict[str, float]:
    (run.folder / "started").touch()
    time.sleep(300)
    return {}


def make_runs(folder: Path, seeds) -> list[ExperimentRun]:
    return [ExperimentRun.from_changes("vae", seed, folder / str(seed), CHANGES) for seed in seeds]


def test_processes_have_one_thread_and_a_log_and_their_failures_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    runs = make_runs(tmp_path, [1, 2, 3, 0])
    failures = finish_runs(runs, train_and_score, jobs=2, title="test")
    codes = {1: 1, 2: 3, 3: 1}
    assert failures == {
        ("vae", seed): f"exit code {code}, see {tmp_path / str(seed) / 'run.log'}" for seed, code in codes.items()
    }
    logs = [(run.folder / "run.log").read_text() for run in runs]
    assert all("threads 1 1\n" in log for log in logs) and "[1/1] test, vae, seed 0" in logs[3]
    assert "failed: out of luck" in logs[0] and "TypeError: a mistake in the code" in logs[2]
    assert [run.finished_scores() for run in runs] == [None, None, None, {"score": 0.5}]
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_without_processes_runs_are_finished_here(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert finish_runs(make_runs(tmp_path, [0, 1]), train_and_score, jobs=1, title="test") == {
        ("vae", 1): "out of luck"
    }
    assert not list(tmp_path.glob("*/run.log"))


def leave_a_note(path: Path) -> None:
    if path.exists():
        raise ValueError("there is one already")
    path.write_text(str(os.getpid()))


def test_a_call_has_a_process_of_its_own_whose_failure_is_told(tmp_path):
    call_in_process(leave_a_note, tmp_path / "note")
    assert (tmp_path / "note").read_text() != str(os.getpid())
    with pytest.raises(ChildProcessError, match="the process of leave_a_note ended with exit code 1"):
        call_in_process(leave_a_note, tmp_path / "note")


def test_termination_ends_the_runs_under_way(tmp_path):
    """As a scheduler ends a job: no process is left, and the runs that waited have not begun."""
    code = f"""
import signal, sys
from pathlib import Path
sys.path[:0] = {sys.path!r}
import test_parallel_runs as test
if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    test.finish_in_processes(test.make_runs(Path({str(tmp_path)!r}), range(3)), test.sleep, 2, "test")
"""
    (tmp_path / "script.py").write_text(code)
    reader, pipe = os.pipe()
    process = StartedPython([tmp_path / "script.py"], errors=pipe)
    os.close(pipe)
    deadline = time.monotonic() + 120
    while not all((tmp_path / seed / "started").exists() for seed in ("0", "1")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    with open(reader) as errors:
        printed = errors.read()  # ends only when its processes have, who share the pipe
    assert process.wait(timeout=60) == 1 and "terminated" in printed
    for seed in ("0", "1"):
        assert "terminated; the same command continues" in (tmp_path / seed / "run.log").read_text()
    assert not (tmp_path / "2").exists()
    assert finish_in_processes([], sleep, 2, "test") == {}
