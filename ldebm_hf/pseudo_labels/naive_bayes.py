"""Naive Bayes over words that learns from texts with and without a label."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..text.word_counts import WordCounts

UNLABELLED_WEIGHT = 0.3
"""The weight of a text without a label in [`WordClasses`]. On AG News with 200 to 2,500 labels it is about the best of
0.03 to 1, and values between 0.1 and 1 make little difference."""


class HardEMNaiveBayes:
    """
    Multinomial naive Bayes with hard expectation-maximisation (Celeux and Govaert, 1992; Nigam et al., 2000, have soft
    labels). Every unlabelled example gets its likeliest class and the classifier is fitted again, until no class
    changes.

    Args:
        unlabelled_weight (`float`, *optional*, defaults to 1.0): Weight of unlabelled examples; others have 1.
        alpha (`float`, *optional*, defaults to 0.1): Additive smoothing of the word counts.
        max_iter (`int`, *optional*, defaults to 30): Largest number of fits to guessed classes.
    """

    def __init__(self, unlabelled_weight: float = 1.0, alpha: float = 0.1, max_iter: int = 30):
        self.unlabelled_weight, self.alpha, self.max_iter = unlabelled_weight, alpha, max_iter

    def fit(self, counts, labels: np.ndarray) -> "HardEMNaiveBayes":
        """Fit the classifier.

        Args:
            counts (sparse matrix of shape `(n, num_words)`): Word counts of the texts.
            labels (`np.ndarray` of shape `(n,)`): Class ids, negative where unknown.
        """
        from sklearn.naive_bayes import MultinomialNB

        known = labels >= 0
        self.model = MultinomialNB(alpha=self.alpha).fit(counts[np.flatnonzero(known)], labels[known])
        self.classes_ = self.model.classes_
        if known.all():
            return self
        unknown = counts[np.flatnonzero(~known)]
        weights = np.where(known, 1.0, self.unlabelled_weight)
        complete = labels.copy()
        for _ in range(self.max_iter):
            guessed = self.model.predict(unknown)
            if np.array_equal(guessed, complete[~known]):
                break
            complete[~known] = guessed
            self.model = MultinomialNB(alpha=self.alpha).fit(counts, complete, sample_weight=weights)
        return self

    def predict(self, counts) -> np.ndarray:
        """The likeliest class of each text, `(n,)`."""
        return self.model.predict(counts)

    def predict_proba(self, counts) -> np.ndarray:
        """p(y|x) of each text for the classes in `classes_`, `(n, len(classes_))`."""
        return self.model.predict_proba(counts)


def class_probabilities(classifier: Any, features: Any, num_classes: int) -> np.ndarray:
    """p(y|x), `(n, num_classes)`, which is 0 for classes that the classifier has not seen.

    Args:
        classifier: A fitted classifier with the interface of scikit-learn, whose classes are ids.
        features: What it predicts from, with n rows.
        num_classes (`int`): Number of classes.
    """
    probabilities = np.zeros((features.shape[0], num_classes))
    probabilities[:, classifier.classes_] = classifier.predict_proba(features)
    return probabilities


class WordClasses:
    """p(y|x) of texts from [`HardEMNaiveBayes`] over their tokens, for texts of which few have a label.

    Args:
        token_ids (`Sequence[Sequence[int]]`): the texts to fit on, without padding.
        labels (`np.ndarray` of shape `(n,)`): class ids of these texts, negative where unknown.
        num_classes (`int`): number of classes. Classes without any label have probability 0.
        ignored (`Iterable[int]`, *optional*): tokens to ignore, for instance a tokenizer's `all_special_ids`.

    Raises:
        ValueError: labels of fewer than two classes.
    """

    def __init__(
        self, token_ids: Sequence[Sequence[int]], labels: np.ndarray, num_classes: int, ignored: Iterable[int] = ()
    ):
        known = np.unique(labels[labels >= 0]).tolist()
        if len(known) < 2:
            raise ValueError(f"labels must be of at least two classes, got {known}")
        self.num_classes = num_classes
        self.counts = WordCounts(token_ids, ignored)
        counts = self.counts.count(token_ids)
        # Texts with neither words nor a label would all join the largest class.
        is_informative = (counts.sum(1) > 0) | (labels >= 0)
        rows = np.flatnonzero(is_informative)
        self.model = HardEMNaiveBayes(UNLABELLED_WEIGHT).fit(counts[rows], labels[rows])

    def features(self, token_ids: Sequence[Sequence[int]]) -> np.ndarray:
        """p(y|x) of texts, float32 `(len(token_ids), num_classes)`."""
        return class_probabilities(self.model, self.counts.count(token_ids), self.num_classes).astype(np.float32)
