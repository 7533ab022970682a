"""Classes of texts of which few have a label, from vectors and words."""

import numpy as np
import pytest

from ldebm_hf.pseudo_labels import encoder_classes
from ldebm_hf.pseudo_labels.encoder_classes import EncoderClasses, fairly_chosen


def groups_of_topics(per_group: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of two groups, each with eight topics that lie anywhere, and the group of each."""
    topics = np.random.default_rng(9).normal(size=(2, 8, 30))
    rng = np.random.default_rng(seed)
    groups = np.repeat([0, 1], per_group)
    vectors = topics[groups, rng.integers(0, 8, 2 * per_group)]
    return (vectors + 0.6 * rng.normal(size=vectors.shape)).astype(np.float32), groups


def few_labels(groups: np.ndarray, per_group: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    labels = np.full(len(groups), -100)
    for group in np.unique(groups):
        rows = rng.choice(np.flatnonzero(groups == group), per_group, replace=False)
        labels[rows] = group
    return labels


def test_texts_without_a_label_help():
    """Where similar texts share a class, they correct a plane that was drawn by few labels."""
    vectors, groups = groups_of_topics(400)
    others, other_groups = groups_of_topics(200, seed=1)
    classes = EncoderClasses(vectors, few_labels(groups, 12), 2)
    by_regression = classes.regression.predict(others - classes.graph.center)
    found = classes.features(others)
    assert found.shape == (400, 2) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    accuracy = (found.argmax(1) == other_groups).mean()
    assert accuracy > 0.95 and accuracy > (by_regression == other_groups).mean() + 0.02


def test_words_count_where_vectors_say_nothing():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 2, 400)
    tokens = [[3 * int(group) + int(word) for word in rng.integers(0, 3, 5)] for group in groups]
    noise = rng.normal(size=(400, 3)).astype(np.float32)
    labels = few_labels(groups, 20)
    classes = EncoderClasses(noise, labels, 2, tokens)
    assert classes.weights.words > 0
    assert (classes.features(noise, tokens).argmax(1) == groups).mean() > 0.9
    without = EncoderClasses(noise, labels, 2)
    assert without.weights.words == 0 and (without.features(noise).argmax(1) == groups).mean() < 0.75


def test_words_that_say_nothing_do_no_harm():
    vectors, groups = groups_of_topics(300)
    tokens = np.random.default_rng(2).integers(0, 5, (600, 4)).tolist()
    classes = EncoderClasses(vectors, few_labels(groups, 30), 2, tokens)
    assert classes.accuracies[classes.weights] == max(classes.accuracies.values())
    assert (classes.features(vectors, tokens).argmax(1) == groups).mean() > 0.95


def test_the_choice_does_not_see_the_labels_that_it_is_scored_on():
    """Labels that vectors say nothing about: their accuracy in cross-validation is that of chance."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(300, 20)).astype(np.float32)
    classes = EncoderClasses(vectors, rng.integers(0, 2, 300), 2)
    assert all(0.35 < accuracy < 0.65 for accuracy in classes.accuracies.values())


def test_texts_of_a_fold_count_as_the_choice_that_is_best_on_the_others_has_them():
    assert fairly_chosen([[5, 5, 0], [4, 4, 4]]) == 4 + 4 + 0
    assert fairly_chosen([[3, 3], [3, 3]]) == 6
    assert fairly_chosen([[1, 0], [0, 1]]) == 0


def test_accuracy_for_comparisons_is_not_that_of_the_best_of_many():
    """
    Labels that nothing predicts: over many draws of 24 of them the best choice is right for more than half, and the
    choice on other folds for half. The tolerances are 4 standard errors of 30 draws of 24 labels.
    """
    best, fair = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        labels = np.full(60, -100)
        labels[:24] = rng.permutation(np.arange(24) % 2)
        tokens = rng.integers(0, 30, (60, 5)).tolist()
        classes = EncoderClasses(rng.normal(size=(60, 4)).astype(np.float32), labels, 2, tokens)
        best.append(classes.accuracies[classes.weights])
        fair.append(classes.fair_accuracy)
    error = 4 * (0.25 / 24 / 30) ** 0.5
    assert np.mean(best) > np.mean(fair) + 0.04
    assert np.mean(fair) < 0.5 + error


def test_a_single_label_of_a_class_is_enough():
    groups = np.arange(200) % 2
    vectors = (np.eye(5)[groups] + 0.1 * np.random.default_rng(0).normal(size=(200, 5))).astype(np.float32)
    classes = EncoderClasses(vectors, few_labels(groups, 1), 3)
    assert classes.accuracies == {} and classes.fair_accuracy is None and classes.weights == (0, 0.5)
    found = classes.features(vectors)
    assert (found[:, 2] == 0).all() and (found.argmax(1) == groups).all()


def test_of_too_many_texts_a_sample_is_fitted_with_all_labelled_ones(monkeypatch):
    monkeypatch.setattr(encoder_classes, "MAX_TEXTS", 250)
    vectors, groups = groups_of_topics(400)
    labels = few_labels(groups, 12)
    classes = EncoderClasses(vectors, labels, 2)
    assert len(classes.vectors) == 250 and (classes.labels >= 0).sum() == 24
    assert (classes.features(vectors).argmax(1) == groups).mean() > 0.9


def test_one_class_is_refused():
    with pytest.raises(ValueError, match=r"at least two classes, got \[1\]"):
        EncoderClasses(np.eye(4, dtype=np.float32), np.array([1, 1, -100, -100]), 2)
