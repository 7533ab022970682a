"""Naive Bayes over words that learns from texts with a label and from those without."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..text.word_counts import WordCounts

UNLABELLED_WEIGHT = 0.3
"""What a text without a label counts in [`WordClasses`]: about the best of 0.03 to 1 for AG News with 200 to 2,500
labels, where 0.1 and 1 hardly differ from it."""


class HardEMNaiveBayes:
    """
    Multinomial naive Bayes that gives every unlabelled example its likeliest class and is fitted again, until no class
    changes: hard expectation-maximisation (Celeux and Govaert, 1992; for texts Nigam et al., 2000, there with soft
    labels).

    Args:
        unlabelled_weight (`float`, *optional*, defaults to 1.0): How much an unlabelled example counts.
        alpha (`float`, *optional*, defaults to 0.1): Additive smoothing of word counts.
        max_iter (`int`, *optional*, defaults to 30): Fits at most.
    """

    def __init__(self, unlabelled_weight: float = 1.0, alpha: float = 0.1, max_iter: int = 30):
        self.unlabelled_weight, self.alpha, self.max_iter = unlabelled_weight, alpha, max_iter

    def fit(self, counts, labels: np.ndarray) -> "HardEMNaiveBayes":
        """`counts` `(n, num_words)`, sparse; `labels` `(n,)`, negative where unknown."""
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
        return self.model.predict(counts)

    def predict_proba(self, counts) -> np.ndarray:
        return self.model.predict_proba(counts)


def class_probabilities(classifier: Any, features: Any, num_classes: int) -> np.ndarray:
    """p(y|x), `(n, num_classes)`, with 0 for classes that the classifier was never shown."""
    probabilities = np.zeros((features.shape[0], num_classes))
    probabilities[:, classifier.classes_] = classifier.predict_proba(features)
    return probabilities


class WordClasses:
    """p(y|x) of texts by [`HardEMNaiveBayes`] over their tokens, for texts of which few have a label.

    Args:
        token_ids (`Sequence[Sequence[int]]`): of the texts that it is fitted on, not padded.
        labels (`np.ndarray` of shape `(n,)`): class ids of these texts, negative where unknown.
        num_classes (`int`): two of them at least have a label among the texts; no text is of one that has none.
        ignored (`Iterable[int]`, *optional*): tokens that say nothing, as those of a tokenizer's `all_special_ids`.

    Raises:
        ValueError: labels of fewer than two classes.
    """

    def __init__(
        self, token_ids: Sequence[Sequence[int]], labels: np.ndarray, num_classes: int, ignored: Iterable[int] = ()
    ):
        known = np.unique(labels[labels >= 0]).tolist()
        if len(known) < 2:
            raise ValueError(f"labels must be of two classes at least, got {known}")
        self.num_classes = num_classes
        self.counts = WordCounts(token_ids, ignored)
        counts = self.counts.of(token_ids)
        telling = np.flatnonzero((counts.sum(1) > 0) | (labels >= 0))  # others would all join the largest class
        self.model = HardEMNaiveBayes(UNLABELLED_WEIGHT).fit(counts[telling], labels[telling])

    def of(self, token_ids: Sequence[Sequence[int]]) -> np.ndarray:
        """p(y|x) of texts, float32 `(len(token_ids), num_classes)`."""
        return class_probabilities(self.model, self.counts.of(token_ids), self.num_classes).astype(np.float32)
