"""Naive Bayes over words that learns from texts with and without a label."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..text.word_counts import WordCounts

UNLABELLED_WEIGHT = 0.3
"""The weight of a text without a label in [`WordClasses`]. On AG News with 200 to 2,500 labels it is about the best of
0.03 to 1, and values between 0.1 and 1 make little difference."""

NUM_FOLDS = 5
"""Parts of the known labels that cross-validation holds out in turn; fewer if some class has fewer labels."""


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


def label_folds(labels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """
    Hold out the known labels in [`NUM_FOLDS`] parts; nothing if some class has a single label.

    Args:
        labels (`np.ndarray` of shape `(n,)`): class ids, negative where unknown.

    Yields:
        The rows of the labels that are held out, and all labels without them.
    """
    from sklearn.model_selection import StratifiedKFold

    known = np.flatnonzero(labels >= 0)
    num_folds = min(NUM_FOLDS, *np.unique(labels[known], return_counts=True)[1])
    if num_folds < 2:
        return
    folds = StratifiedKFold(num_folds, shuffle=True, random_state=0)
    for _, positions in folds.split(known, labels[known]):
        held_out = known[positions]
        kept = labels.copy()
        kept[held_out] = -1
        yield held_out, kept


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
        self.training_counts = self.counts.count(token_ids)
        self.model = self._fitted(labels)

    def _fitted(self, labels: np.ndarray) -> HardEMNaiveBayes:
        # Texts with neither words nor a label would all join the largest class.
        rows = np.flatnonzero((self.training_counts.sum(1) > 0) | (labels >= 0))
        return HardEMNaiveBayes(UNLABELLED_WEIGHT).fit(self.training_counts[rows], labels[rows])

    def of_training_texts(self, labels: np.ndarray) -> np.ndarray:
        """
        p(y|x) of the texts to fit on, if these were their labels, float32 `(n, num_classes)`.

        Args:
            labels (`np.ndarray` of shape `(n,)`): class ids of these texts, negative where unknown.
        """
        model = self._fitted(labels)
        return class_probabilities(model, self.training_counts, self.num_classes).astype(np.float32)

    def cross_validated_accuracy(self, labels: np.ndarray) -> float | None:
        """
        The fraction of these labels of the texts to fit on that are predicted where they are held out; `None` if some
        class has a single label.
        """
        right = [self.of_training_texts(kept)[rows].argmax(1) == labels[rows] for rows, kept in label_folds(labels)]
        return float(np.concatenate(right).mean()) if right else None

    def features(self, token_ids: Sequence[Sequence[int]]) -> np.ndarray:
        """p(y|x) of texts, float32 `(len(token_ids), num_classes)`."""
        return class_probabilities(self.model, self.counts.count(token_ids), self.num_classes).astype(np.float32)
