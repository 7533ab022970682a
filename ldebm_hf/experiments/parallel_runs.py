"""Processes of an experiment: several runs at a time, or a part that must not change the state of this process."""

import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait

from tqdm.auto import tqdm
from transformers.utils.logging import disable_progress_bar

from ..files.printing import print_with_replacement
from .experiment_runs import ExperimentRun, Failures, Scores, finish_one_by_one

LOG_FILE = "run.log"


def finish_runs(
    runs: Sequence[ExperimentRun], train_and_score: Callable[[ExperimentRun], Scores], jobs: int, title: str
) -> Failures:
    """
    Train and score the runs that are not finished.

    Args:
        runs (`Sequence[ExperimentRun]`): The runs, in the order in which they are started.
        train_and_score (callable): Trains and scores one run. With several jobs it must be picklable: a function of a
            module, or a `functools.partial` of one.
        jobs (`int`): How many runs to work on at a time: 1 for one after the other in this process, more for a process
            per run.
        title (`str`): The name of the experiment, for progress messages.

    Returns:
        `dict[tuple[str, int], str]`: Why runs failed, by row and seed; empty if all are finished.
    """
    if jobs == 1:
        return finish_one_by_one(runs, train_and_score, title)
    return finish_in_processes(runs, train_and_score, jobs, title)


def finish_in_processes(
    runs: Sequence[ExperimentRun], train_and_score: Callable[[ExperimentRun], Scores], jobs: int, title: str
) -> Failures:
    """Finish `jobs` runs at a time, each in a new process with one thread, whose output goes to the run's `run.log`.

    Arguments and result are those of [`finish_runs`]. A run that fails does not stop the others. If this process is
    interrupted or terminated, so are the runs under way; they continue from their last checkpoints the next time.
    """
    context = multiprocessing.get_context("spawn")
    waiting, failures = deque(runs), Failures()
    active: dict[multiprocessing.Process, tuple[ExperimentRun, float]] = {}
    threads_before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"  # inherited by the new processes, which read it when they load PyTorch
    bar = tqdm(total=len(runs), desc=title, unit="run")
    try:
        while waiting or active:
            while waiting and len(active) < jobs:
                run = waiting.popleft()
                run.folder.mkdir(parents=True, exist_ok=True)
                (run.folder / LOG_FILE).write_text("")  # no log of an earlier process, whatever happens to this one
                process = context.Process(target=_finish_with_log, args=(run, train_and_score, title))
                active[process] = run, time.perf_counter()
                process.start()
            wait([process.sentinel for process in active])
            for process in [process for process in active if not process.is_alive()]:
                run, started = active.pop(process)
                outcome = f"done in {time.perf_counter() - started:.0f} s"
                if process.exitcode != 0:
                    outcome = f"exit code {process.exitcode}, see {run.folder / LOG_FILE}"
                    failures[run.model, run.seed] = outcome
                bar.update()
                tqdm.write(f"{run.model}, seed {run.seed}: {outcome}")
    finally:
        for process in active:
            if process.is_alive():
                process.terminate()
        for process in active:
            if process.pid is not None:
                process.join()
        bar.close()
        if threads_before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = threads_before
    return failures


def call_in_process(function: Callable[..., object], *arguments: object) -> None:
    """
    Call a function of a module in a new process and wait for it: what it does to the state of Accelerate (such as its
    precision) does not change what follows here.

    Args:
        function (callable): The function; what it returns is lost.
        arguments: Its arguments, picklable.

    Raises:
        ChildProcessError: If the process ends with an exit code other than 0; it has printed why.
    """
    process = multiprocessing.get_context("spawn").Process(target=_call, args=(function, arguments))
    process.start()
    try:
        process.join()
    finally:
        if process.is_alive():
            process.terminate()
            process.join()
    if process.exitcode != 0:
        raise ChildProcessError(f"the process of {function.__name__} ended with exit code {process.exitcode}")


def _call(function: Callable[..., object], arguments: tuple) -> None:
    signal.signal(signal.SIGTERM, _exit_when_terminated)
    print_with_replacement()
    try:
        function(*arguments)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")


def _finish_with_log(run: ExperimentRun, train_and_score: Callable[[ExperimentRun], Scores], title: str) -> None:
    """Finish a run in this process, with all output in its log; exit with code 1 if it fails."""
    signal.signal(signal.SIGTERM, _exit_when_terminated)
    with (run.folder / LOG_FILE).open("w", encoding="utf-8") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8")  # as the log is, whatever the terminal's encoding
    disable_progress_bar()  # of loading and saving models
    try:
        failures = finish_one_by_one([run], train_and_score, title)
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command continues")
    if failures:
        sys.exit(1)


def _exit_when_terminated(signum: int, frame: object) -> None:
    sys.exit("terminated; the same command continues")
