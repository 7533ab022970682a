"""How a run begins and ends: what it leaves, what it publishes, and what it says, in this process alone."""

import pytest
from tiny_base_models import bert
from tiny_runs import tiny_trainer

from ldebm_hf.training import DivergenceError, loop


@pytest.fixture
def noted(monkeypatch) -> list[str]:
    """The names of what a run calls at its end, in their order."""
    calls = []
    leave = loop.Trainer.leave

    def noted_leave(trainer):
        calls.append("leave")
        leave(trainer)

    monkeypatch.setattr(loop.Trainer, "leave", noted_leave)
    monkeypatch.setattr(loop, "publish", lambda training, say: calls.append(f"publish {training.output_dir}"))
    return calls


def test_a_finished_run_leaves_its_group_of_processes_and_is_then_published(tmp_path, noted):
    tiny_trainer(tmp_path, max_steps=1).train()
    assert noted == ["leave", f"publish {tmp_path}"]


def test_a_diverging_run_leaves_its_group_of_processes_and_is_not_published(tmp_path, noted):
    trainer = tiny_trainer(tmp_path)
    trainer.model.encoder.heads.mean.weight.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(DivergenceError):
        trainer.train()
    assert noted == ["leave"]


def test_a_frozen_encoder_reads_texts_without_dropout(tmp_path, monkeypatch):
    monkeypatch.setattr("ldebm_hf.training.features.default_folder", lambda: tmp_path / "features")
    trainer = tiny_trainer(tmp_path / "run", model={"encoder": "pretrained", "encoder_name_or_path": str(bert())})
    trainer.model.encoder.train()
    assert not trainer._feature_cache(trainer.settings).encoder.training
