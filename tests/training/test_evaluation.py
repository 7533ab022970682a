"""Validation scores against what they are defined to be."""

import sys

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from tiny_runs import tiny_corpus, tiny_trainer

from ldebm_hf.data import NO_LABEL
from ldebm_hf.training.evaluation import LOSS_TERMS


@pytest.fixture
def trainer(tmp_path):
    return tiny_trainer(tmp_path, tiny_corpus(num_validation=11), per_device_eval_batch_size=4)


def evaluate(trainer) -> dict[str, float]:
    return trainer.evaluator(trainer.model, Accelerator())


def test_values_are_repeatable_and_finite(trainer):
    torch.rand(5)
    first = evaluate(trainer)
    torch.rand(3)
    assert evaluate(trainer) == first
    assert np.isfinite(list(first.values())).all()
    assert {*LOSS_TERMS, "symbol_accuracy", "v_measure", "prior_distance"} < first.keys()


def test_terms_are_means_over_texts_not_over_batches(trainer, monkeypatch):
    """Reconstruction without noise must not depend on how 11 texts fall into batches."""
    monkeypatch.setattr("ldebm_hf.model.posteriors.gaussian_like", lambda tensor, generator: torch.zeros_like(tensor))
    by_batch_size = []
    for trainer.evaluator.batch_size in (4, 11):
        by_batch_size.append(evaluate(trainer)["reconstruction_loss"])
    assert by_batch_size[0] == pytest.approx(by_batch_size[1], rel=1e-5)


def test_symbol_scores_by_hand(trainer):
    labels = np.array([0, 0, 1, 1, NO_LABEL, 2])
    scores = trainer.evaluator._symbol_scores(np.array([0, 0, 1, 0, 1, 2]), labels, num_symbols=3)
    assert scores["symbol_accuracy"] == 0.8
    assert scores["symbols_used"] == 3
    usage = np.array([3, 2, 1]) / 6
    assert scores["symbol_usage_entropy"] == pytest.approx(-(usage * np.log(usage)).sum())
    assert 0 < scores["v_measure"] < 1


def test_without_training_labels_symbols_are_matched_before_they_are_scored(tmp_path):
    trainer = tiny_trainer(tmp_path, tiny_corpus(labels="no"))
    labels = np.array([0, 0, 1, 1, 2, 2])
    scores = trainer.evaluator._symbol_scores(np.array([2, 2, 0, 0, 1, 1]), labels, num_symbols=3)
    assert scores["matched_accuracy"] == scores["v_measure"] == 1
    values = evaluate(trainer)
    assert "symbol_accuracy" not in values and "classification_loss" not in values


def test_labels_are_scored_only(tmp_path):
    """What is inferred must not change with the validation labels."""
    values = []
    for sign in (1, 2):
        corpus = tiny_corpus(labels="no")
        corpus.validation.labels = [sign * label % 3 for label in corpus.validation.labels]
        values.append(evaluate(tiny_trainer(tmp_path, corpus)))
    differing = {name for name in values[0] if values[0][name] != values[1][name]}
    assert differing <= {"matched_accuracy", "v_measure"}


def test_scores_work_without_labels_and_without_scikit_learn(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    labelled = evaluate(tiny_trainer(tmp_path / "a"))
    assert "symbol_accuracy" in labelled and "v_measure" not in labelled
    corpus = tiny_corpus(labels="no")
    corpus.validation.labels = [NO_LABEL] * len(corpus.validation)
    assert not {"matched_accuracy", "v_measure"} & evaluate(tiny_trainer(tmp_path / "b", corpus)).keys()


def test_metric_that_does_not_exist_is_refused_before_training(tmp_path):
    with pytest.raises(ValueError, match="one of .*matched_accuracy.* for this model .* got 'symbol_accuracy'"):
        tiny_trainer(tmp_path, tiny_corpus(labels="no"), metric_for_best_model="symbol_accuracy")
