"""Classes of texts of which few have a label, from vectors and words."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from ldebm_hf.pseudo_labels import encoder_classes
from ldebm_hf.pseudo_labels.encoder_classes import EncoderClasses, EvidenceWeights, _product, _sample, fairly_chosen
from ldebm_hf.pseudo_labels.naive_bayes import WordClasses, label_folds
from ldebm_hf.pseudo_labels.neighbour_graph import NeighbourGraph


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
    assert found.dtype == np.float32
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


# ------------------------------------------------------------------------------------------------------- written out


def small_problem():
    """60 texts of three classes of which 21 have a label, with words."""
    rng = np.random.default_rng(5)
    groups = rng.permutation(np.arange(60) % 3)
    vectors = (1.5 * np.eye(3)[groups] + rng.normal(size=(60, 3)) + 4).astype(np.float32)
    topics = (groups + rng.integers(0, 2, 60)) % 3
    tokens = np.stack([topics, rng.integers(3, 6, 60)], 1).tolist()
    return vectors, few_labels(groups, 7), tokens


def product(probabilities: np.ndarray, others: np.ndarray, weight: float) -> np.ndarray:
    values = probabilities * np.maximum(others, 1e-9) ** weight
    return values / values.sum(1, keepdims=True)


@pytest.mark.parametrize("with_words", [True, False])
def test_the_choice_is_the_best_in_cross_validation_written_out(with_words):
    vectors, labels, tokens = small_problem()
    classes = EncoderClasses(vectors, labels, 3, tokens if with_words else None)
    graph, words, known = NeighbourGraph(vectors), WordClasses(tokens, labels, 3), labels >= 0
    centred = vectors - graph.center
    scores = {
        penalty: cross_val_score(
            LogisticRegression(max_iter=1000, C=penalty), centred[known], labels[known], cv=5, scoring="neg_log_loss"
        ).mean()
        for penalty in (1, 10, 100)
    }
    assert classes.penalty == max(scores, key=scores.get)

    def fitted(kept):
        rows = kept >= 0
        return LogisticRegression(max_iter=1000, C=classes.penalty).fit(centred[rows], kept[rows])

    def spread_of(own, kept):
        start = own.copy()
        start[kept >= 0] = np.eye(3)[kept[kept >= 0]]
        return graph.spread(start)

    num_right = {}
    for by_words in (0.2, 0.0) if with_words else (0.0,):
        for weight in (0.5, 1.0, 2.0, 0.0):
            num_right[by_words, weight] = []
            for held_out, kept in label_folds(labels):
                own = fitted(kept).predict_proba(centred)
                if by_words:
                    own = product(own, words.of_training_texts(kept), by_words)
                found = product(spread_of(own, kept)[held_out], own[held_out], weight).argmax(1)
                num_right[by_words, weight].append((found == labels[held_out]).sum())
    assert list(classes.accuracies) == list(num_right)
    assert list(classes.accuracies.values()) == [sum(folds) / 21 for folds in num_right.values()]
    best = max(num_right, key=lambda choice: sum(num_right[choice]))
    assert classes.weights == best and classes.fair_accuracy == fairly_chosen(list(num_right.values())) / 21

    others = vectors[:9] + 0.3
    own = fitted(labels).predict_proba(others - graph.center)
    of_training = fitted(labels).predict_proba(centred)
    if with_words:
        own = product(own, words.features(tokens[:9]), best[0])
        of_training = product(of_training, words.of_training_texts(labels), best[0])
    spread = graph.spread_to(others, own, spread_of(of_training, labels))
    found = classes.features(others, tokens[:9] if with_words else None)
    np.testing.assert_allclose(found, product(spread, own, best[1]), rtol=1e-5)


def test_texts_are_read_in_parts_and_words_count_only_if_they_are_given(monkeypatch):
    vectors, labels, tokens = small_problem()
    classes = EncoderClasses(vectors, labels, 3, tokens)
    classes.weights = EvidenceWeights(0.2, 0.5)
    whole, without = classes.features(vectors, tokens), classes.features(vectors)
    assert np.abs(whole - without).max() > 0.01
    monkeypatch.setattr(encoder_classes, "MAX_TEXTS", 13)
    np.testing.assert_allclose(classes.features(vectors, tokens), whole, rtol=1e-5)
    np.testing.assert_allclose(classes.features(vectors), without, rtol=1e-5)


def test_ignored_tokens_do_not_count():
    vectors, labels, tokens = small_problem()
    classes = EncoderClasses(vectors, labels, 3, tokens, ignored=(0, 1, 2))
    expected = WordClasses([row[1:] for row in tokens], labels, 3).of_training_texts(labels)
    np.testing.assert_allclose(classes.words.of_training_texts(labels), expected)


def test_a_sample_holds_the_labelled_texts_and_the_first_of_a_fixed_order(monkeypatch):
    labels = np.full(100, -100)
    labels[[3, 50, 99]] = [0, 1, 1]
    np.testing.assert_array_equal(_sample(labels), np.arange(100))
    monkeypatch.setattr(encoder_classes, "MAX_TEXTS", 10)
    order = [row for row in np.random.default_rng(0).permutation(100) if row not in (3, 50, 99)]
    np.testing.assert_array_equal(_sample(labels), sorted([3, 50, 99, *order[:7]]))
    monkeypatch.setattr(encoder_classes, "MAX_TEXTS", 2)
    assert set(_sample(labels)) < {3, 50, 99}


def test_numbers_that_were_measured():
    assert encoder_classes.MAX_TEXTS == 50_000 and encoder_classes.PENALTIES == (1, 10, 100)
    assert encoder_classes.CHOICES == tuple((words, own) for words in (0.2, 0) for own in (0.5, 1, 2, 0))
    vectors, labels, _ = small_problem()
    labels[np.flatnonzero(labels == 0)[1:]] = -100
    assert EncoderClasses(vectors, labels, 3).penalty == 1, "nothing to choose it by"


def test_a_class_of_two_labels_is_enough_for_cross_validation():
    vectors, labels, _ = small_problem()
    labels[np.flatnonzero(labels == 0)[2:]] = -100
    classes = EncoderClasses(vectors, labels, 3)
    assert classes.num_folds == 2 and len(classes.accuracies) == 4


def test_product_of_certainties_that_contradict_each_other_is_finite():
    product = _product(np.array([[1.0, 0.0], [0.25, 0.75]]), np.array([[0.0, 1.0], [0.5, 0.5]]), 2.0)
    np.testing.assert_allclose(product, [[1, 0], [0.25, 0.75]])
