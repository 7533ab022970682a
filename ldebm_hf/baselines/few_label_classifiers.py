"""Classifiers of texts for few labels that are no models of this package: what its own are compared with.

A [`Baseline`] reads its texts once, and is then fitted to any number of draws of labels. What there is to choose, such
as a penalty, is chosen by accuracy on labelled texts that nothing was fitted on ([`fit_selected`]).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..pseudo_labels.naive_bayes import HardEMNaiveBayes
from ..text.word_vectors import WordVectors

UNLABELLED = -1
"""scikit-learn's mark of an example without a label."""
PENALTIES = [{"C": c} for c in (0.1, 1.0, 10.0, 100.0)]


@dataclass
class Baseline:
    """
    Features of texts, and a way to make an untrained classifier of them.

    Args:
        features (`Callable`): From texts to features, an array or sparse matrix with a row per text.
        training (array or sparse matrix): Features of the training texts.
        make (`Callable`): From one of the choices, as keyword arguments, to a classifier with scikit-learn's `fit` and
            `predict_proba`.
        choices (`list[dict]`): What may be given to `make`.
        reads_unlabelled (`bool`): Whether the classifier is also shown texts without a label, marked -1.
    """

    features: Callable[[Sequence[str]], Any]
    training: Any
    make: Callable[..., Any]
    choices: list[dict[str, Any]] = field(default_factory=lambda: list(PENALTIES))
    reads_unlabelled: bool = False

    def fit(self, labels: Sequence[int], **choice: Any):
        """
        A classifier fitted to the training texts.

        Args:
            labels (`Sequence[int]`): Class ids of the training texts, negative where unknown.

        Raises:
            ValueError: Not one label per text, or fewer than two classes among them.
        """
        labels = np.asarray(labels)
        if labels.shape != (self.training.shape[0],):
            raise ValueError(f"labels must be one per training text, {self.training.shape[0]}, got {labels.shape}")
        known = labels >= 0
        if len(np.unique(labels[known])) < 2:
            raise ValueError(f"labels must be of two classes at least, got {np.unique(labels[known]).tolist()}")
        if self.reads_unlabelled:
            return self.make(**choice).fit(self.training, np.where(known, labels, UNLABELLED))
        return self.make(**choice).fit(self.training[np.flatnonzero(known)], labels[known])


@dataclass(frozen=True)
class SelectedFit:
    """
    Args:
        classifier: As scikit-learn's.
        choice (`dict`): What was chosen for it.
        accuracy (`float`): On the texts it was selected by.
    """

    classifier: Any
    choice: dict[str, Any]
    accuracy: float


def fit_selected(
    baseline: Baseline, labels: Sequence[int], selection_features: Any, selection_labels: Sequence[int]
) -> SelectedFit:
    """
    Fit with each of the baseline's choices and keep the most accurate one, the first among equals.

    Args:
        baseline ([`Baseline`]), labels (`Sequence[int]`): See [`Baseline.fit`].
        selection_features (array or sparse matrix): `baseline.features` of the texts to select by.
        selection_labels (`Sequence[int]`): Their classes.
    """
    fits = []
    for choice in baseline.choices:
        classifier = baseline.fit(labels, **choice)
        accuracy = float((classifier.predict(selection_features) == np.asarray(selection_labels)).mean())
        fits.append(SelectedFit(classifier, choice, accuracy))
    return max(fits, key=lambda fit: fit.accuracy)


def tfidf_regression(train_texts: Sequence[str]) -> Baseline:
    """Logistic regression on TF-IDF vectors of words, whose weights all training texts decide."""
    features, training = _tfidf(train_texts)
    return Baseline(features, training, _regression)


def self_training(train_texts: Sequence[str]) -> Baseline:
    """The same, taught its own confident labels five times over (Yarowsky, 1995; scikit-learn's)."""
    features, training = _tfidf(train_texts)

    def make(threshold: float):
        from sklearn.semi_supervised import SelfTrainingClassifier

        return SelfTrainingClassifier(_regression(10.0), threshold=threshold, max_iter=5)

    choices = [{"threshold": threshold} for threshold in (0.6, 0.75, 0.9)]
    return Baseline(features, training, make, choices, reads_unlabelled=True)


def vector_regression(train_texts: Sequence[str], vectors: WordVectors) -> Baseline:
    """Logistic regression on the average of a text's word vectors, scaled as in [`feature_regression`]."""
    return feature_regression(vectors.average(train_texts), vectors.average)


def feature_regression(training: np.ndarray, features: Callable[[Sequence[str]], np.ndarray]) -> Baseline:
    """
    Logistic regression on features such as the posterior means of a variational autoencoder that was trained without
    labels (VAMPIRE's way), centred and divided by one number, so that their mean variance over the training texts is
    1. Each by itself would make as much of the directions that hardly vary, in which there is mostly noise.
    """
    center = training.mean(0)
    scale = np.sqrt(training.var(0).mean())

    def scaled(vectors: np.ndarray) -> np.ndarray:
        return (vectors - center) / scale

    choices = [{"C": c} for c in (0.001, 0.01, 0.1, 1.0, 10.0)]
    return Baseline(lambda texts: scaled(features(texts)), scaled(training), _regression, choices)


def hard_em(train_texts: Sequence[str], stop_words: str | None = "english") -> Baseline:
    """Naive Bayes over words whose missing labels are the likeliest ones ([`~naive_bayes.HardEMNaiveBayes`])."""
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(min_df=2, stop_words=stop_words)
    training = vectorizer.fit_transform(train_texts)
    weights = [{"unlabelled_weight": weight} for weight in (0.03, 0.1, 0.3, 1.0)]
    return Baseline(vectorizer.transform, training, HardEMNaiveBayes, weights, reads_unlabelled=True)


def _tfidf(train_texts: Sequence[str]):
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(min_df=2, sublinear_tf=True, stop_words="english")
    training = vectorizer.fit_transform(train_texts)
    return vectorizer.transform, training


def _regression(C: float):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=C, max_iter=1000, tol=1e-3)
