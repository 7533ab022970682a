"""Naive Bayes from few labels: by hand, at its fixed point, and on token ids."""

import re

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.naive_bayes import MultinomialNB

from ldebm_hf.pseudo_labels.naive_bayes import HardEMNaiveBayes, WordClasses, label_folds

UNKNOWN = -100


def test_unlabelled_examples_of_weight_0_leave_naive_bayes():
    counts = csr_matrix(np.array([[2, 1], [0, 3], [5, 0], [1, 1]]))
    labels = np.array([0, 1, -1, -1])
    ignored = HardEMNaiveBayes(unlabelled_weight=1e-12).fit(counts, labels)
    alone = HardEMNaiveBayes().fit(counts[:2], labels[:2])
    np.testing.assert_allclose(ignored.predict_proba(counts), alone.predict_proba(counts), rtol=1e-6)
    smoothed = (np.array([2, 1]) + 0.1) / 3.2
    np.testing.assert_allclose(np.exp(alone.model.feature_log_prob_[0]), smoothed)


# Tokens 0 and 1 are special; texts of class 0 have tokens 2 to 4, of class 1 tokens 5 to 7, of which texts with a
# label have one alone.
CHAIN = [[0, 2, 2, 1], [0, 2, 3, 1], [0, 2, 3, 4, 1], [0, 5, 5, 1], [0, 5, 6, 1], [0, 5, 6, 7, 1]]


def test_labels_spread_along_words_that_texts_share():
    labels = np.array([0, UNKNOWN, UNKNOWN, 1, UNKNOWN, UNKNOWN])
    classes = WordClasses(CHAIN, labels, 2, ignored=(0, 1))
    probabilities = classes.features([*CHAIN, [3], [7, 7]])
    assert probabilities.dtype == np.float32
    np.testing.assert_array_equal(probabilities.argmax(1), [0, 0, 0, 1, 1, 1, 0, 1])
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)


def test_texts_without_a_known_word_are_as_likely_as_their_class_and_change_nothing():
    labels = np.array([0, 0, 0, 1, 1, UNKNOWN] + [UNKNOWN] * 10)
    classes = WordClasses([*CHAIN, *[[0, 1]] * 10], labels, 2, ignored=(0, 1))
    weights = np.array([3, 2.3])  # the last text is of class 1 and counts 0.3
    np.testing.assert_allclose(classes.features([[0, 1], [99]]), [weights / weights.sum()] * 2, rtol=1e-6)


def test_a_label_counts_where_its_text_has_no_known_word():
    classes = WordClasses([[0, 2, 1], [0, 5, 1], [0, 1]], np.array([0, 1, 0]), 2, ignored=(0, 1))
    np.testing.assert_allclose(classes.features([[0, 1]]), [[2 / 3, 1 / 3]], rtol=1e-6)


def test_a_class_without_a_label_gets_no_text():
    classes = WordClasses(CHAIN, np.array([0, UNKNOWN, UNKNOWN, 2, UNKNOWN, UNKNOWN]), 4, ignored=(0, 1))
    probabilities = classes.features(CHAIN)
    assert probabilities.shape == (6, 4) and (probabilities[:, [1, 3]] == 0).all()
    np.testing.assert_array_equal(probabilities.argmax(1), [0, 0, 0, 2, 2, 2])


@pytest.mark.parametrize("labels", [np.full(6, UNKNOWN), np.array([UNKNOWN] * 5 + [1])])
def test_fewer_than_two_classes_are_refused(labels):
    known = [] if labels.max() < 0 else [1]
    with pytest.raises(ValueError, match=re.escape(f"labels must be of at least two classes, got {known}")):
        WordClasses(CHAIN, labels, 2)


def test_cross_validation_predicts_labels_that_are_held_out():
    """Four texts have words of their class, and the fifth of each class has words of the other class."""
    words = {0: [2, 3], 1: [5, 6]}
    tokens = [words[label] if i < 4 else words[1 - label] for label in (0, 1) for i in range(5)]
    labels = np.repeat([0, 1], 5)
    classes = WordClasses(tokens, labels, 2)
    assert classes.cross_validated_accuracy(labels) == 0.8
    held_out = np.concatenate([rows for rows, kept in label_folds(labels)])
    assert sorted(held_out) == list(range(10))
    assert all((kept[rows] < 0).all() and (kept >= 0).sum() == 8 for rows, kept in label_folds(labels))
    single = np.array([0] * 5 + [1] + [UNKNOWN] * 4)
    assert WordClasses(tokens, single, 2).cross_validated_accuracy(single) is None


def test_classes_are_guessed_until_none_changes_or_for_the_largest_number_of_fits():
    """For texts of random words, of which the first two have a label: three fits change classes, then none."""
    counts = np.random.default_rng(10).poisson(0.4, (14, 8))
    counts[:2] += 3 * np.eye(8, dtype=int)[:2]
    labels = np.array([0, 1] + [-1] * 12)
    known = labels >= 0

    def by_hand(max_iter: int) -> np.ndarray:
        model = MultinomialNB(alpha=0.1).fit(counts[known], labels[known])
        for _ in range(max_iter):
            complete = np.where(known, labels, model.predict(counts))
            model = MultinomialNB(alpha=0.1).fit(counts, complete)
        return model.predict_proba(counts)

    for settings, max_iter in (({}, 30), ({"max_iter": 1}, 1), ({"max_iter": 2}, 2), ({"max_iter": 0}, 0)):
        fitted = HardEMNaiveBayes(**settings).fit(csr_matrix(counts), labels)
        np.testing.assert_allclose(fitted.predict_proba(counts), by_hand(max_iter))
        np.testing.assert_array_equal(fitted.predict(counts), by_hand(max_iter).argmax(1))
    assert all(np.abs(by_hand(n) - by_hand(n + 1)).max() > 0.01 for n in range(3))
    assert fitted.classes_.tolist() == [0, 1]


def test_unlabelled_examples_count_less_and_labelled_ones_keep_their_class():
    counts, labels = csr_matrix(np.array([[4, 0], [0, 4], [3, 1], [1, 3], [4, 0]])), np.array([0, 1, -1, -1, 1])
    fitted = HardEMNaiveBayes(unlabelled_weight=0.5).fit(counts, labels)
    complete = np.array([0, 1, *fitted.predict(counts)[2:4], 1])
    expected = MultinomialNB(alpha=0.1).fit(counts, complete, sample_weight=[1, 1, 0.5, 0.5, 1])
    np.testing.assert_allclose(fitted.predict_proba(counts), expected.predict_proba(counts))


@pytest.mark.parametrize(("count", "folds"), [(1, 0), (2, 2), (4, 4), (5, 5), (9, 5)])
def test_labels_are_held_out_in_at_most_five_parts(count, folds):
    """As many as the rarest class has labels; every label once, and each part has every class."""
    labels = np.array([0] * count + [UNKNOWN] * 3 + [1] * 9)
    parts = list(label_folds(labels))
    assert len(parts) == folds
    if folds:
        np.testing.assert_array_equal(
            np.sort(np.concatenate([rows for rows, _ in parts])), np.flatnonzero(labels >= 0)
        )
    for rows, kept in parts:
        assert set(labels[rows]) == {0, 1} and (kept[rows] < 0).all()
        others = np.setdiff1d(np.arange(len(labels)), rows)
        np.testing.assert_array_equal(kept[others], labels[others])
    for (rows, _), (again, _) in zip(parts, label_folds(labels), strict=True):
        np.testing.assert_array_equal(rows, again)


def test_texts_to_fit_on_are_read_as_if_they_had_other_labels():
    labels = np.array([0, UNKNOWN, UNKNOWN, 1, UNKNOWN, UNKNOWN])
    classes = WordClasses(CHAIN, labels, 3, ignored=(0, 1))
    swapped = classes.of_training_texts(np.where(labels >= 0, 1 - labels, labels))
    assert swapped.dtype == np.float32 and swapped.shape == (6, 3)
    np.testing.assert_allclose(swapped[:, [1, 0, 2]], classes.features(CHAIN), rtol=1e-6)
