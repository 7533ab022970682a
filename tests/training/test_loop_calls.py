"""What the loop calls and says, of which one process alone does not show the effect."""

from contextlib import contextmanager

import pytest
from tiny_base_models import bert
from tiny_runs import tiny_corpus, tiny_trainer

from ldebm_hf.reports.run_record import read_metrics
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


def test_a_finished_run_leaves_its_group_of_processes_and_is_then_published(tmp_path, noted, monkeypatch):
    trainer = tiny_trainer(tmp_path, max_steps=1)
    monkeypatch.setattr(trainer.accelerator, "end_training", lambda: noted.append("end of trackers"))
    trainer.train()
    assert noted == ["leave", "end of trackers", f"publish {tmp_path}"]


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


def test_a_note_says_of_which_texts_the_model_does_not_see_all(tmp_path, monkeypatch):
    trainer = tiny_trainer(tmp_path / "run", max_steps=1)
    trainer.train_set.unread = "3 words"
    assert trainer.notes == ["training texts: 3 words (data.vocab_size, data.max_length)"]
    trainer.evaluator.split.unread = "1 word"
    assert [note.split(":")[0] for note in trainer.notes] == ["training texts", "validation texts"]
    monkeypatch.setattr(type(trainer.examples), "__len__", lambda _: 1000)  # as of a stream with a smaller sample
    assert [note.split(":")[0] for note in trainer.notes] == ["sampled training texts", "validation texts"]


@pytest.mark.parametrize(("labels", "steps"), [("no", [1, 6]), ("all", [])])
def test_only_epochs_that_cluster_log_it_at_their_first_step(tmp_path, labels, steps):
    trainer = tiny_trainer(tmp_path, tiny_corpus(labels=labels), num_train_epochs=2)
    trainer.train()
    assert [line["step"] for line in read_metrics(tmp_path, "clustering")] == steps


def test_gradients_are_exchanged_with_the_last_micro_batch_of_a_step_alone(tmp_path, monkeypatch):
    trainer = tiny_trainer(tmp_path, max_steps=2, per_device_train_batch_size=2, gradient_accumulation_steps=3)
    calls, forward = [], trainer.wrapped_model.forward

    @contextmanager
    def no_sync(model):
        calls.append("without exchange")
        yield

    def noted_forward(*arguments, **inputs):
        if trainer.wrapped_model.training:
            calls.append("batch")
        return forward(*arguments, **inputs)

    monkeypatch.setattr(trainer.accelerator, "no_sync", no_sync)
    monkeypatch.setattr(trainer.wrapped_model, "forward", noted_forward)
    trainer.train()
    assert calls == ["without exchange", "batch", "without exchange", "batch", "batch"] * 2
