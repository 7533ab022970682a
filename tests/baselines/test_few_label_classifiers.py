"""Baselines on texts with obvious classes: accuracy, choice of hyperparameters, effect of unlabelled texts."""

import random

import numpy as np
import pytest

from ldebm_hf.baselines.few_label_classifiers import (
    Baseline,
    feature_head,
    feature_regression,
    fit_selected,
    hard_em,
    self_training,
    tfidf_regression,
    vector_regression,
)
from ldebm_hf.pseudo_labels.naive_bayes import class_probabilities
from ldebm_hf.text.word_vectors import train_vectors_by_texts

TOPICS = ["rain wind storm cloud frost sleet", "goal team ball coach league match", "stock share bond fund bank yield"]


def corpus(count: int, seed: int, words: int = 4):
    rng = random.Random(seed)
    labels = [i % 3 for i in range(count)]
    return [" ".join(rng.sample(TOPICS[label].split(), words)) for label in labels], np.array(labels)


TEXTS, TRUTH = corpus(240, 0)
HELD_OUT, HELD_OUT_TRUTH = corpus(60, 1, words=2)
FEW = np.where(np.arange(240) < 3, TRUTH, -100)  # one label per class


def baselines() -> dict[str, Baseline]:
    return {
        "tfidf": tfidf_regression(TEXTS),
        "self-training": self_training(TEXTS),
        "vectors": vector_regression(TEXTS, train_vectors_by_texts(TEXTS, size=6)),
        "hard EM": hard_em(TEXTS),
    }


@pytest.mark.parametrize("name", ["tfidf", "self-training", "vectors", "hard EM"])
def test_every_baseline_learns_from_some_labels(name):
    baseline = baselines()[name]
    some = np.where(np.arange(240) < 60, TRUTH, -100)
    features = baseline.features(HELD_OUT)
    fit = fit_selected(baseline, some, features, HELD_OUT_TRUTH)
    probabilities = class_probabilities(fit.classifier, features, 5)
    assert probabilities.shape == (60, 5) and (probabilities[:, 3:] == 0).all()
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert fit.accuracy > 0.95 and fit.choice in baseline.choices
    assert (probabilities.argmax(1) == HELD_OUT_TRUTH).mean() == fit.accuracy


def test_texts_without_a_label_help():
    """A held-out text mostly shares no word with the one labelled text of its class."""
    accuracy = {}
    for name in ("tfidf", "hard EM"):
        baseline = baselines()[name]
        accuracy[name] = fit_selected(baseline, FEW, baseline.features(HELD_OUT), HELD_OUT_TRUTH).accuracy
    assert accuracy["hard EM"] > max(accuracy["tfidf"], 0.95)


def test_hard_em_ends_at_a_fixed_point():
    baseline = hard_em(TEXTS)
    classifier = baseline.fit(FEW, unlabelled_weight=1.0)
    guessed = classifier.predict(baseline.training)
    assert (guessed == TRUTH).all()
    supervised = hard_em(TEXTS).fit(guessed)
    np.testing.assert_allclose(
        classifier.predict_proba(baseline.training), supervised.predict_proba(baseline.training)
    )


def test_the_most_accurate_choice_is_kept():
    class Fixed:
        def __init__(self, answer):
            self.answer, self.classes_ = answer, np.array([0, 1])

        def fit(self, features, labels):
            return self

        def predict(self, features):
            return np.full(len(features), self.answer)

    choices = [{"answer": 1}, {"answer": 0}, {"answer": 0}]
    baseline = Baseline(np.asarray, np.zeros((4, 1)), Fixed, choices)
    fit = fit_selected(baseline, [0, 1, 0, 1], np.zeros((3, 1)), [0, 0, 1])
    assert fit.choice is choices[1] and fit.accuracy == pytest.approx(2 / 3)


def test_features_are_scaled_together_by_the_training_texts():
    training = np.random.default_rng(0).normal(5, [3, 0.1], size=(50, 2))
    baseline = feature_regression(training, lambda texts: np.array([[5.0, 5.0]] * len(texts)))
    np.testing.assert_allclose(baseline.training.mean(0), 0, atol=1e-12)
    assert baseline.training.var(0).mean() == pytest.approx(1)
    ratio = training.std(0)[0] / training.std(0)[1]
    assert baseline.training.std(0)[0] / baseline.training.std(0)[1] == pytest.approx(ratio)
    expected = (5 - training.mean(0)) / np.sqrt(training.var(0).mean())
    np.testing.assert_allclose(baseline.features(["x"]), expected[None])


def test_a_head_learns_what_no_plane_separates():
    """Points around the origin by the sign of the product of their coordinates."""
    rng = np.random.default_rng(0)
    training, held_out = rng.normal(3, 1, size=(300, 2)), rng.normal(3, 1, size=(200, 2))
    truth, held_out_truth = (((points - 3).prod(1) > 0).astype(int) for points in (training, held_out))
    some = np.where(np.arange(300) < 200, truth, -100)
    accuracy = {}
    for make in (feature_regression, feature_head):
        baseline = make(training, lambda texts: held_out)
        accuracy[make] = fit_selected(baseline, some, baseline.features(["a text"] * 200), held_out_truth).accuracy
    assert accuracy[feature_head] > 0.9 and accuracy[feature_regression] < 0.7


def test_bad_labels():
    baseline = tfidf_regression(TEXTS)
    with pytest.raises(ValueError, match="labels must have at least two classes, got \\[0\\]"):
        baseline.fit(np.where(TRUTH == 0, 0, -100), C=1.0)
    with pytest.raises(ValueError, match="labels must be one per training text, 240, got \\(3,\\)"):
        baseline.fit([0, 1, 2], C=1.0)
