"""The study of few labels: what is selected on, what is scored, and that all baselines are given the same labels."""

import numpy as np
import pytest

from ldebm_hf.data import Corpus, Split
from ldebm_hf.data.splits import keep_labels
from ldebm_hf.experiments import few_label_experiment
from ldebm_hf.experiments.few_label_experiment import (
    FEATURE_BASELINES,
    TEXT_BASELINES,
    for_selection,
    text_baseline_scores,
)

WORDS = ("rain storm cloud wind", "bread soup salt oven")


def corpus() -> Corpus:
    rng = np.random.default_rng(0)

    def split(size: int) -> Split:
        labels = [i % 2 for i in range(size)]
        return Split([" ".join(rng.choice(WORDS[label].split(), 3)) for label in labels], labels)

    return Corpus("tiny", split(80), split(21), test=split(10), label_names=["weather", "food"])


def test_nothing_is_scored_that_was_selected_on():
    whole = corpus()
    halved, scored = for_selection(whole, "validation")
    assert halved.validation.texts == whole.validation.texts[::2] and scored.texts == whole.validation.texts[1::2]
    assert halved.train is whole.train and halved.test is whole.test
    same, scored = for_selection(whole, "test")
    assert same is whole and scored is whole.test


@pytest.mark.parametrize("name", TEXT_BASELINES)
def test_baselines_are_right_on_classes_without_a_common_word(name, monkeypatch):
    if name == "in_domain_vectors":  # of 8 words
        monkeypatch.setattr(few_label_experiment, "MAX_VECTOR_SIZE", 4)
    scores = text_baseline_scores(name, corpus(), "validation", [10, 40], seed=0)
    assert scores["accuracy_10_labels"] == scores["accuracy_40_labels"] == 1
    assert {f"calibration_error_{count}_labels" for count in (10, 40)} < set(scores)


@pytest.mark.parametrize("name", FEATURE_BASELINES)
def test_baselines_on_features_read_nothing_else(name):
    """The features name the class of a text, whatever its words are."""
    whole = corpus()
    vectors = {text: np.array([label, 1.0 - label]) for split in (whole.train, whole.validation)
               for text, label in zip(split.texts, split.labels, strict=True)}  # fmt: skip

    def features(texts):
        return np.stack([vectors[text] for text in texts])

    scores = text_baseline_scores(name, whole, "validation", [10], 0, features=features)
    assert scores["accuracy_10_labels"] == 1
    scores = text_baseline_scores(name, whole, "validation", [10], 0, features=lambda texts: np.eye(len(texts), 2))
    assert scores["accuracy_10_labels"] < 1
    with pytest.raises(ValueError, match=f"unknown baseline '{name}'"):
        text_baseline_scores(name, whole, "validation", [10], 0)


def test_labels_are_those_that_the_training_loop_keeps(monkeypatch):
    seen = []

    def remember(baseline, labels, *others):
        seen.append(labels)
        return fit_selected(baseline, labels, *others)

    fit_selected = few_label_experiment.fit_selected
    monkeypatch.setattr(few_label_experiment, "fit_selected", remember)
    text_baseline_scores("tfidf_regression", corpus(), "validation", [10], seed=3)
    assert seen == [keep_labels(corpus().train, 10, 3).labels]


def test_given_vectors_come_with_their_coverage(tmp_path):
    file = tmp_path / "vectors.txt"
    words = " ".join(WORDS[0].split()[:3] + WORDS[1].split()).split()  # without "wind"
    file.write_text("".join(f"{word} {int(word in WORDS[0])} 1.0\n" for word in words))
    scores = text_baseline_scores("given_vectors", corpus(), "validation", [40], 0, file)
    texts = " ".join(corpus().validation.texts[1::2]).split()
    assert scores["word_coverage"] == pytest.approx(1 - texts.count("wind") / len(texts))
    assert scores["accuracy_40_labels"] > 0.8
    with pytest.raises(ValueError, match="given_vectors needs word_vectors"):
        text_baseline_scores("given_vectors", corpus(), "validation", [40], 0)
    with pytest.raises(ValueError, match="unknown baseline 'bayes': there are tfidf_regression"):
        text_baseline_scores("bayes", corpus(), "validation", [40], 0)


def test_baselines_are_selected_on_the_other_half(monkeypatch):
    """Whatever the scored half holds, the choice is the same."""
    chosen = []

    def remember(baseline, labels, features, right):
        chosen.append((features.shape[0], list(right)))
        return fit_selected(baseline, labels, features, right)

    fit_selected, whole = few_label_experiment.fit_selected, corpus()
    monkeypatch.setattr(few_label_experiment, "fit_selected", remember)
    text_baseline_scores("tfidf_regression", whole, "validation", [10], seed=0)
    assert chosen == [(11, whole.validation.labels[::2])]
