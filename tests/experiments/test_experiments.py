"""What studies of any modality share; examples/synthetic.py's tests try it on real runs."""

import json
from dataclasses import replace

import pytest

from ldebm_hf.experiments.experiments import (
    StudyRun,
    finish_here,
    finish_in_processes,
    finished,
    in_brackets,
    merge,
    parse_changes,
    spread,
    table,
)

CHANGES = {"model": {"preset": "vae"}, "training": {"learning_rate": 0.5}}


def test_later_changes_decide_and_earlier_ones_stay_as_they_are():
    first = {"model": {"a": 1, "b": 2}}
    assert merge(first, {"model": {"b": 3}, "data": {"c": 4}}) == {"model": {"a": 1, "b": 3}, "data": {"c": 4}}
    assert first == {"model": {"a": 1, "b": 2}}


def test_changes_are_read_from_text():
    assert parse_changes(["model.kl_weight=0.5", "training.seed=1", "model.id2label={0: a=b}"]) == {
        "model": {"kl_weight": "0.5", "id2label": "{0: a=b}"},
        "training": {"seed": "1"},
    }
    for text in ("kl_weight=1", "model.kl_weight"):
        with pytest.raises(ValueError, match="section.name=value"):
            parse_changes([text])


def test_runs_are_finished_once_and_only_under_their_own_settings(tmp_path):
    calls = []

    def train_and_score(run):
        calls.append(run.seed)
        run.folder.mkdir(parents=True)
        return {"score": run.seed + 0.5}

    runs = [StudyRun.of("vae", seed, tmp_path / str(seed), CHANGES) for seed in (0, 1)]
    assert finished(runs) == {}
    for _ in range(2):
        assert finish_here(runs, train_and_score, "test") == {}
    assert calls == [0, 1]
    assert finished(runs) == {"vae": {"0": {"score": 0.5}, "1": {"score": 1.5}}}
    elsewhere = merge(CHANGES, {"data": {"data_dir": "moved"}})  # the same data from another place
    assert StudyRun.of("vae", 0, tmp_path / "0", elsewhere).finished_scores() == {"score": 0.5}
    other = StudyRun.of("vae", 0, tmp_path / "0", merge(CHANGES, {"model": {"kl_weight": 3.0}}))
    failures = finish_here([other], train_and_score, "test")
    assert "holds a run with another model.kl_weight" in failures["vae", 0] and calls == [0, 1]


def test_what_is_scored_otherwise_is_scored_again(tmp_path):
    run = StudyRun.of("vae", 0, tmp_path, CHANGES)
    for vectors in ("mine", "mine", "yours"):
        replace(run, scored_with={"vectors": vectors}).finish(lambda run, vectors=vectors: {vectors: 1.0})
    assert replace(run, scored_with={"vectors": "yours"}).finished_scores() == {"yours": 1.0}
    assert run.finished_scores() is None


def test_a_failure_is_told_and_the_other_runs_go_on(tmp_path):
    def train_and_score(run):
        if run.seed == 0:
            raise RuntimeError("out of luck")
        run.folder.mkdir(parents=True)
        return {}

    runs = [StudyRun.of("vae", seed, tmp_path / str(seed), CHANGES) for seed in (0, 1)]
    assert finish_here(runs, train_and_score, "test") == {("vae", 0): "out of luck"}
    assert (tmp_path / "1" / "scores.json").exists() and not (tmp_path / "0").exists()


def test_processes_write_logs_and_their_failures_are_told(tmp_path):
    runs = [StudyRun.of("vae", seed, tmp_path / str(seed), CHANGES) for seed in (0, 3)]
    commands = {seed: ["sh", "-c", f"echo threads $OMP_NUM_THREADS; exit {seed}"] for seed in (0, 3)}
    failures = finish_in_processes(runs, lambda run: commands[run.seed], jobs=2, title="test")
    assert failures == {("vae", 3): f"exit code 3, see {tmp_path / '3' / 'run.log'}"}
    assert (tmp_path / "0" / "run.log").read_text() == "threads 1\n"


def test_settings_of_a_run_are_kept_with_its_scores(tmp_path):
    run = StudyRun.of("vae", 7, tmp_path, CHANGES)
    run.finish(lambda _: {"score": 1.0})
    kept = json.loads((tmp_path / "scores.json").read_text())["settings"]
    assert kept["training.seed"] == 7 and kept["training.learning_rate"] == 0.5 and "training.output_dir" not in kept
    assert run.settings.training.resume == "latest"


def test_tables_show_means_and_sample_deviations_over_the_seeds():
    rows = {"a": {"0": {"x": 1.0, "c": 0.1}, "1": {"x": 3.0, "c": 0.3}}, "b": {"0": {"x": 2.0}}, "c": {"0": {}}}
    columns = {"x": lambda scores: spread(scores.get("x"), 100) + in_brackets(scores.get("c"))}
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table(rows, columns).splitlines()]
    assert lines[0] == ["model", "x"] and lines[1][1].endswith("-:")
    assert lines[2:] == [["a", "200 ± 1.4e+02 (0.2)"], ["b", "200"], ["c", ""]]
