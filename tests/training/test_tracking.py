"""Divergence is noticed and named; the metrics file survives crashes and resumptions."""

import json
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from ldebm_hf.training import DivergenceError, Settings
from ldebm_hf.training.tracking import MetricsLog, StepRecorder


@pytest.fixture
def recorder() -> StepRecorder:
    return StepRecorder(Accelerator(cpu=True))


def terms(loss: float, energy: float = 1.0) -> dict[str, torch.Tensor]:
    return {"loss": torch.tensor(loss), "energy_negative": torch.tensor(energy)}


def test_reading_gives_means_and_starts_afresh(recorder):
    recorder.add(1, terms(2.0))
    recorder.add(2, terms(4.0))
    values = recorder.read(None)
    assert (values["loss"], values["energy_negative"]) == (3.0, 1.0) and values["seconds_per_step"] > 0
    recorder.add(3, terms(5.0))
    assert recorder.read(None)["loss"] == 5.0


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (terms(float("nan")), "loss is nan"),
        (terms(float("-inf")), "loss is -inf"),
        (terms(1e9, -2e6), "energy_negative is -2e\\+06"),
    ],
)
def test_first_bad_step_is_named_with_the_last_checkpoint(recorder, bad, named):
    recorder.add(7, terms(1.0))
    recorder.add(8, bad)
    recorder.add(9, terms(float("nan"), float("nan")))
    with pytest.raises(DivergenceError, match=f"step 8: {named}; the last good checkpoint is .*step-7") as caught:
        recorder.read(Path("out/step-7"))
    assert (caught.value.step, caught.value.checkpoint) == (8, Path("out/step-7"))


@pytest.mark.parametrize(
    ("spoiled", "cause"),
    [
        (["loss", "prior_loss"], "prior_loss"),
        (["loss", "prior_loss", "energy_negative", "prior_grad_norm"], "energy_negative"),
        (["autoencoder_grad_norm", "loss"], "loss"),
        (["autoencoder_grad_norm"], "autoencoder_grad_norm"),
    ],
)
def test_term_that_is_the_cause_is_named_before_what_is_computed_from_it(recorder, spoiled, cause):
    names = ["loss", "autoencoder_grad_norm", "prior_grad_norm", "prior_loss", "energy_negative"]
    recorder.add(3, {name: torch.tensor(float("nan") if name in spoiled else 1.0) for name in names})
    with pytest.raises(DivergenceError, match=f"step 3: {cause} is nan"):
        recorder.read(None)


def test_divergence_before_any_checkpoint_says_so(recorder):
    recorder.add(1, terms(float("inf")))
    with pytest.raises(DivergenceError, match="no checkpoint had been written"):
        recorder.read(None)


def test_metrics_of_abandoned_steps_and_torn_lines_are_dropped(tmp_path, caplog):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, Accelerator(cpu=True))
    for step in (10, 20, 30):
        log.write(step, step / 100, "train", {"loss": 1.0 / step})
    with path.open("ab") as file:
        file.write(b'[1]\n{"step": "5", "split": "train", "values": {}}\n\xff\xfe\n7\n{"step": 10, "epo')
    log.start(20, Settings())
    assert f"{path}: 5 of 8 lines are not as a run writes them" in caplog.text
    log.write(25, 0.25, "validation", {"loss": 0.5})
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["step"], line["split"]) for line in lines] == [(10, "train"), (20, "train"), (25, "validation")]
    assert lines[-1] == {"step": 25, "epoch": 0.25, "split": "validation", "values": {"loss": 0.5}}


def test_unwritable_metrics_are_a_warning(tmp_path, caplog):
    log = MetricsLog(tmp_path / "no_such_folder" / "metrics.jsonl", Accelerator(cpu=True))
    log.write(1, 0.1, "train", {"loss": 1.0})
    assert "could not write to" in caplog.text


def test_any_tracker_of_accelerate_gets_the_values(tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    accelerator = Accelerator(cpu=True, log_with="tensorboard", project_dir=tmp_path)
    log = MetricsLog(tmp_path / "metrics.jsonl", accelerator)
    log.start(0, Settings())
    log.write(3, 0.5, "validation", {"loss": 0.25})
    accelerator.end_training()
    reader = events.EventAccumulator(str(tmp_path / "ldebm"))
    reader.Reload()
    (event,) = reader.Scalars("validation/loss")
    assert (event.step, event.value) == (3, 0.25)
