"""The clock of a run: what it counts, and that a resumed run goes on from its checkpoint."""

import json

import numpy as np
import pytest
from tiny_runs import tiny_corpus, tiny_trainer

from ldebm_hf.training import clock
from ldebm_hf.training.clock import RunClock


@pytest.fixture
def every_look_is_a_second_later(monkeypatch):
    seconds = iter(range(1000))
    monkeypatch.setattr(clock, "now", lambda: np.array([2.0, 1.0]) * next(seconds))


def test_clock_counts_what_lies_within_its_context(every_look_is_a_second_later):
    run_clock = RunClock()
    assert run_clock.times == {"cpu_seconds": 0.0, "wall_seconds": 0.0}
    with run_clock:
        assert run_clock.times == {"cpu_seconds": 2.0, "wall_seconds": 1.0}
    clock.now()
    assert run_clock.times == {"cpu_seconds": 4.0, "wall_seconds": 2.0}
    with run_clock:
        pass
    assert run_clock.times == {"cpu_seconds": 6.0, "wall_seconds": 3.0}


def test_clock_goes_on_from_an_earlier_time(every_look_is_a_second_later):
    run_clock = RunClock()
    run_clock.resume({"cpu_seconds": 10.0, "wall_seconds": 5.0})
    with run_clock:
        pass
    assert run_clock.times == {"cpu_seconds": 12.0, "wall_seconds": 6.0}


def clock_lines(trainer) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in trainer.folder.metrics.read_text().splitlines()]
    return [(line["step"], line["values"]["wall_seconds"]) for line in lines if line["split"] == "clock"]


def test_every_run_logs_its_clock_with_each_checkpoint(tmp_path, every_look_is_a_second_later):
    """An epoch of 5 steps is looked at when it begins, at the checkpoint of step 3 in its middle, and when it ends."""
    trainer = tiny_trainer(tmp_path, save_steps=3)
    trainer.train()
    assert clock_lines(trainer) == [(3, 1.0), (5, 2.0), (6, 3.0), (9, 4.0), (10, 5.0)]
    assert trainer.times["wall_seconds"] == 5.0


def test_interruptions_are_not_counted(tmp_path, every_look_is_a_second_later):
    trainer = tiny_trainer(tmp_path, tiny_corpus(), num_train_epochs=3)
    trainer.total_steps = 7  # as if it had been stopped there, two steps after its second checkpoint
    trainer.train()
    assert clock_lines(trainer) == [(5, 1.0), (7, 2.0)]
    for _ in range(100):
        clock.now()
    first = trainer.folder.checkpoints / "step-00000005"
    resumed = tiny_trainer(tmp_path, tiny_corpus(), num_train_epochs=3, resume=str(first))
    resumed.train()
    assert clock_lines(resumed) == [(5, 1.0), (10, 2.0), (15, 3.0)]


@pytest.mark.parametrize("times", [{}, {"cpu_seconds": None, "wall_seconds": "3"}])
def test_times_that_are_no_numbers_count_as_nothing(times):
    clock = RunClock()
    clock.resume(times)
    assert clock.times == {"cpu_seconds": 0, "wall_seconds": 0}
