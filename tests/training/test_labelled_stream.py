"""Semi-supervised training in two streams: what is drawn, what teaches symbols, and that a run is resumed exactly."""

import json

import numpy as np
import pytest
import torch
from tiny_runs import assert_same_weights, tiny_corpus, tiny_points, tiny_stream, tiny_trainer, weights

from ldebm_hf import LDEBMConfig
from ldebm_hf.training import Settings
from ldebm_hf.training.batches import PointExamples
from ldebm_hf.training.labelled_stream import LabelledStream
from ldebm_hf.training.step_batches import StepBatches

LABELS = np.array([-100, 2, -100, 0, 1, -100, 1])
NO_CLUSTERS = {"enabled": False}
DOCUMENTS = {"modality": "document", "document_hidden_size": 16}


def stream(batch_size=5, seed=0, process=0, labels=LABELS, config=None) -> LabelledStream:
    return LabelledStream(labels, batch_size, config or LDEBMConfig(), seed=seed, process=process)


def drawn(labelled_stream, first_step, num_steps) -> list[list[int]]:
    points = PointExamples(np.zeros((len(LABELS), 2), dtype=np.float32), LABELS)
    return [batch["indices"].tolist() for batch in labelled_stream.batches(points, first_step, num_steps)]


def test_draws_are_labelled_and_follow_from_seed_step_and_process():
    batches = drawn(stream(), 0, 6)
    assert [len(batch) for batch in batches] == [5] * 6 and set(sum(batches, [])) <= {1, 3, 4, 6}
    assert drawn(stream(), 4, 2) == batches[4:], "whatever was drawn before"
    for other in (stream(seed=1), stream(process=1)):
        assert drawn(other, 0, 6) != batches
    assert len(batches) == len(set(map(tuple, batches))), "another draw for every step"


def test_every_labelled_example_is_as_likely():
    counts = np.bincount(sum(drawn(stream(100), 0, 100), []), minlength=7)
    expected = 10_000 / 4
    assert (counts[[0, 2, 5]] == 0).all()
    assert (np.abs(counts[[1, 3, 4, 6]] - expected) < 5 * np.sqrt(expected * 3 / 4)).all()


def test_labels_count_in_one_stream_alone():
    symbols = np.array([7, 2, 8, 0, 1, 9, 1])
    assert stream().symbols_of_other_batches(LABELS, symbols).tolist() == [7, -100, 8, -100, -100, 9, -100]
    assert stream(0).symbols_of_other_batches(LABELS, symbols) is symbols
    assert list(stream(0).batches(None, 0, 5)) == []


def test_no_stream_without_labels():
    none = stream(labels=np.full(4, -100))
    assert list(none.batches(None, 0, 5)) == []
    symbols = np.array([2, 0, 1, 1])
    assert none.symbols_of_other_batches(np.full(4, -100), symbols) is symbols


def test_what_is_refused(tmp_path):
    with pytest.raises(ValueError, match="labelled_batch_size=5 needs a prior with symbols, and .*gaussian has none"):
        stream(config=LDEBMConfig.from_preset("vae"))
    with pytest.raises(ValueError, match="labelled_batch_size=4 draws from all examples and cannot .*stream"):
        Settings.from_dict({"data": {"streaming": True}, "training": {"labelled_batch_size": 4}})
    assert tiny_stream(tmp_path, tiny_corpus()).train  # a stream itself is fine


@pytest.mark.parametrize(
    ("make", "model"), [(tiny_corpus, DOCUMENTS), (tiny_corpus, {}), (tiny_points, {})], ids=["doc", "text", "point"]
)
@pytest.mark.parametrize("clustered", [False, True])
def test_run_is_resumed_with_the_very_same_weights(tmp_path, make, model, clustered):
    of_points = make is tiny_points
    run = {
        "model": model,
        "clustering": {"num_components": 2} if clustered else NO_CLUSTERS,
        "labelled_batch_size": 6,
        "num_train_epochs": 2,
        "save_steps": 2,
        "save_total_limit": 99,
    }
    whole = tiny_trainer(tmp_path, make(labels="some"), **run)
    whole.train()
    end = weights(whole)
    for step in (4, 5) if not of_points else (4,):
        resumed = tiny_trainer(
            tmp_path, make(labels="some"), resume=str(whole.folder.checkpoints / f"step-{step:08d}"), **run
        )
        resumed.train()
        assert_same_weights(weights(resumed), end)


def test_gradient_is_the_sum_of_both_streams(tmp_path, monkeypatch):
    """A step's gradient: that of the batch without labels, and the labelled batch's cross-entropy."""
    # Spectral norms and batch norms change at every forward pass; dropout would draw other units.
    model = DOCUMENTS | {"energy_spectral_norm": False, "document_dropout": 0.0}
    trainer = tiny_trainer(tmp_path, tiny_corpus(labels="some"), model, NO_CLUSTERS, labelled_batch_size=6)
    trainer.model.train()
    (labelled,) = trainer.labelled_stream.batches(trainer.train_set, 0, 1)
    (batch,) = trainer.train_set.batches([np.arange(8)], np.full(40, -100))
    targets = torch.from_numpy(trainer.train_set.labels)
    gradients = {}

    def remember(optimizer, settings):
        of_step = {name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None}
        gradients[trainer.progress.step] = of_step
        return {}

    monkeypatch.setattr("ldebm_hf.training.loop.clip_gradients", remember)
    monkeypatch.setattr(trainer.optimizer, "step", lambda: None)
    monkeypatch.setattr("ldebm_hf.training.loop.seed_noise", lambda *place: torch.manual_seed(3))

    terms = trainer._train_step(StepBatches([batch], [1.0], targets, labelled))
    trainer.model.zero_grad()
    torch.manual_seed(3)
    first = trainer.model(
        labelled["input_ids"], labelled["attention_mask"], labelled["class_labels"], classification_only=True
    )
    first.loss.backward()
    trainer.model(batch["input_ids"], batch["attention_mask"], torch.full((8,), -100)).loss.backward()
    expected = {name: p.grad for name, p in trainer.model.named_parameters() if p.grad is not None}
    assert gradients[0].keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[0][name], gradient, msg=name)
    assert terms["classification_loss"] == first.classification_loss and terms["scored"] == 1


def test_few_labels_are_learned_and_scored(tmp_path):
    corpus = tiny_corpus(num_train=120, num_validation=60, labels="some")
    trainer = tiny_trainer(
        tmp_path, corpus, DOCUMENTS | {"document_dropout": 0.0}, NO_CLUSTERS, labelled_batch_size=16,
        num_train_epochs=8, prior_learning_rate=0.01, max_grad_norm=None, metric_for_best_model="symbol_accuracy",
    )  # fmt: skip
    values = trainer.train()
    assert values["symbol_accuracy"] > 0.8
    lines = [json.loads(line) for line in trainer.folder.metrics.read_text().splitlines()]
    train = [line["values"] for line in lines if line["split"] == "train"]
    assert train[-1]["classification_loss"] < train[0]["classification_loss"]
    assert train[-1]["symbol_accuracy"] > 0.8
