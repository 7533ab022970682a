"""Baselines for text classification with few labels, which use no model of this package.

A [`Baseline`] computes the features of its texts once, and can then be fitted to any number of draws of labels.
Hyperparameters, such as a penalty, are selected by the accuracy on held-out labelled texts ([`fit_selected`]).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..pseudo_labels.naive_bayes import HardEMNaiveBayes
from ..text.word_vectors import WordVectors

UNLABELLED = -1
"""scikit-learn's label of an example whose class is unknown."""
HEAD_SIZE = 256
"""Hidden units of [`feature_head`]."""
PENALTIES = [{"C": c} for c in (0.1, 1.0, 10.0, 100.0)]


@dataclass
class Baseline:
    """
    The features of texts, and a function that makes an untrained classifier for them.

    Args:
        features (`Callable`): Maps texts to features, an array or sparse matrix with one row per text.
        training (array or sparse matrix): Features of the training texts.
        make (`Callable`): Makes a classifier with scikit-learn's `fit` and `predict_proba` from one of the choices,
            which are its keyword arguments.
        choices (`list[dict]`): The hyperparameters to select from.
        reads_unlabelled (`bool`): Whether the classifier is also fitted on texts without a label, whose label is -1.
    """

    features: Callable[[Sequence[str]], Any]
    training: Any
    make: Callable[..., Any]
    choices: list[dict[str, Any]] = field(default_factory=lambda: list(PENALTIES))
    reads_unlabelled: bool = False

    def fit(self, labels: Sequence[int], **choice: Any):
        """
        Fit a classifier to the training texts.

        Args:
            labels (`Sequence[int]`): Class ids of the training texts, negative where unknown.
            choice: The hyperparameters.

        Raises:
            ValueError: There is not one label per text, or the labels have fewer than two classes.
        """
        labels = np.asarray(labels)
        if labels.shape != (self.training.shape[0],):
            raise ValueError(f"labels must be one per training text, {self.training.shape[0]}, got {labels.shape}")
        known = labels >= 0
        if len(np.unique(labels[known])) < 2:
            raise ValueError(f"labels must have at least two classes, got {np.unique(labels[known]).tolist()}")
        if self.reads_unlabelled:
            return self.make(**choice).fit(self.training, np.where(known, labels, UNLABELLED))
        return self.make(**choice).fit(self.training[np.flatnonzero(known)], labels[known])


@dataclass(frozen=True)
class SelectedFit:
    """
    A fitted classifier with its hyperparameters.

    Args:
        classifier: A fitted classifier with scikit-learn's methods.
        choice (`dict`): The selected hyperparameters.
        accuracy (`float`): Accuracy on the texts by which they were selected.
    """

    classifier: Any
    choice: dict[str, Any]
    accuracy: float


def fit_selected(
    baseline: Baseline, labels: Sequence[int], selection_features: Any, selection_labels: Sequence[int]
) -> SelectedFit:
    """
    Fit a classifier with each of the baseline's choices, and return the most accurate one (of equal ones the first).

    Args:
        baseline ([`Baseline`]): The baseline.
        labels (`Sequence[int]`): Class ids of the training texts, negative where unknown.
        selection_features (array or sparse matrix): `baseline.features` of the texts to select by.
        selection_labels (`Sequence[int]`): The class ids of those texts.
    """
    fits = []
    for choice in baseline.choices:
        classifier = baseline.fit(labels, **choice)
        accuracy = float((classifier.predict(selection_features) == np.asarray(selection_labels)).mean())
        fits.append(SelectedFit(classifier, choice, accuracy))
    return max(fits, key=lambda fit: fit.accuracy)


def tfidf_regression(train_texts: Sequence[str]) -> Baseline:
    """Logistic regression on TF-IDF vectors, whose weights are fitted on all training texts, labelled or not."""
    features, training = _tfidf(train_texts)
    return Baseline(features, training, _regression)


def self_training(train_texts: Sequence[str]) -> Baseline:
    """TF-IDF regression with five rounds of self-training on its own confident predictions (Yarowsky, 1995)."""
    features, training = _tfidf(train_texts)

    def make(threshold: float):
        from sklearn.semi_supervised import SelfTrainingClassifier

        return SelfTrainingClassifier(_regression(10.0), threshold=threshold, max_iter=5)

    choices = [{"threshold": threshold} for threshold in (0.6, 0.75, 0.9)]
    return Baseline(features, training, make, choices, reads_unlabelled=True)


def vector_regression(train_texts: Sequence[str], vectors: WordVectors) -> Baseline:
    """Logistic regression on the mean word vector of a text, scaled as in [`feature_regression`]."""
    return feature_regression(vectors.average(train_texts), vectors.average)


def feature_regression(training: np.ndarray, features: Callable[[Sequence[str]], np.ndarray]) -> Baseline:
    """
    Logistic regression on features, such as the posterior means of a variational autoencoder that was trained without
    labels (as in VAMPIRE).

    Features are centred and divided by one number, such that their mean variance over the training texts is 1. Scaling
    each feature by itself would amplify directions of little variance, which are mostly noise.
    """
    center = training.mean(0)
    scale = np.sqrt(training.var(0).mean())

    def scaled(vectors: np.ndarray) -> np.ndarray:
        return (vectors - center) / scale

    choices = [{"C": c} for c in (0.001, 0.01, 0.1, 1.0, 10.0)]
    return Baseline(lambda texts: scaled(features(texts)), scaled(training), _regression, choices)


def feature_head(training: np.ndarray, features: Callable[[Sequence[str]], np.ndarray]) -> Baseline:
    """
    A head on frozen features: a network with one hidden layer of 256 units, trained by Adam on the labelled texts.

    Features are scaled as in [`feature_regression`]. The penalty is selected. Encoder weights stay as they are, unlike
    in SetFit (Tunstall et al., 2022), whose head this is otherwise comparable to.
    """

    def make(alpha: float):
        from sklearn.neural_network import MLPClassifier

        return MLPClassifier(HEAD_SIZE, alpha=alpha, tol=1e-3, max_iter=500, random_state=0)

    scaled = feature_regression(training, features)
    return Baseline(scaled.features, scaled.training, make, [{"alpha": alpha} for alpha in (0.01, 1.0, 10.0)])


def hard_em(train_texts: Sequence[str], stop_words: str | None = "english") -> Baseline:
    """Naive Bayes over words, fitted with hard EM to labelled and unlabelled texts ([`HardEMNaiveBayes`])."""
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
