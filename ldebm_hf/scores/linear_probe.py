"""Linear probes: how well a linear classifier reads classes from latents, or from symbols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .symbol_agreement import as_labels

if TYPE_CHECKING:
    from scipy.sparse import spmatrix

MAX_STEPS = 1000
"""Steps of L-BFGS after which logistic regression stops."""


@dataclass(frozen=True)
class ProbeScores:
    """
    Args:
        macro_f1 (`float`): Mean F1 score of the probe over the classes that occur in the held-out texts, 0 to 1.
        macro_f1_chance (`float`): That of always predicting the most frequent class of the training texts.
    """

    macro_f1: float
    macro_f1_chance: float


def probe_latents(
    training_latents: np.ndarray, training_classes: np.ndarray, latents: np.ndarray, classes: np.ndarray
) -> ProbeScores:
    """
    How well logistic regression predicts classes from latents that were learned without them (Alain and Bengio, 2017;
    Conneau et al., ACL 2018).

    Latents are centred and divided by one number, such that their mean variance over the training texts is 1. Beside
    the score of a trained encoder belongs that of one with random weights, whose features are far from useless
    (Wieting and Kiela, ICLR 2019).

    Args:
        training_latents (`np.ndarray` of shape `(m, d)`): Latents of the texts that the probe is fitted on.
        training_classes (`np.ndarray` of shape `(m,)`): Their classes, by id; those with a negative id are ignored.
        latents (`np.ndarray` of shape `(n, d)`): Latents of the held-out texts.
        classes (`np.ndarray` of shape `(n,)`): Their classes, likewise.

    Raises:
        ValueError: There is not one class per text, fewer than two classes are known in the training texts, or none in
            the held-out texts.
    """
    training_latents = np.asarray(training_latents, dtype=np.float64)
    centre, scale = training_latents.mean(0), np.sqrt(training_latents.var(0).mean())
    scale = max(scale, np.finfo(float).tiny)  # all latents may be the same
    return _probe(
        (training_latents - centre) / scale,
        training_classes,
        (np.asarray(latents, dtype=np.float64) - centre) / scale,
        classes,
    )


def probe_symbols(
    training_symbols: np.ndarray, training_classes: np.ndarray, symbols: np.ndarray, classes: np.ndarray
) -> ProbeScores:
    """
    How well logistic regression predicts classes from symbols, as one-hot vectors.

    Args:
        training_symbols (`np.ndarray` of shape `(m,)`): Symbols of the texts that the probe is fitted on.
        symbols (`np.ndarray` of shape `(n,)`): Symbols of the held-out texts. One that no training text has says
            nothing.
        training_classes, classes: As in [`probe_latents`].

    Raises:
        ValueError: As in [`probe_latents`].
    """
    from sklearn.preprocessing import OneHotEncoder

    encoder = OneHotEncoder(handle_unknown="ignore")
    training_features = encoder.fit_transform(np.asarray(training_symbols)[:, None])
    return _probe(training_features, training_classes, encoder.transform(np.asarray(symbols)[:, None]), classes)


def _probe(
    training_features: np.ndarray | spmatrix,
    training_classes: np.ndarray,
    features: np.ndarray | spmatrix,
    classes: np.ndarray,
) -> ProbeScores:
    """
    Fit logistic regression and score it. Its classes have no weights: on features that tell nothing it then predicts
    the most frequent class, so that the score of that class is the chance level.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    training_features, training_classes = _known("training_classes", training_features, training_classes)
    features, classes = _known("classes", features, classes)
    found = np.unique(training_classes)
    if len(found) < 2:
        raise ValueError(f"training_classes must be at least two different ones, got {found.tolist()}")
    if not len(classes):
        raise ValueError("classes must be known for some texts, got none")
    probe = LogisticRegression(max_iter=MAX_STEPS, tol=1e-3)
    predicted = probe.fit(training_features, training_classes).predict(features)
    most_frequent = np.full(len(classes), np.bincount(training_classes).argmax())

    def macro_f1(predicted: np.ndarray) -> float:
        return float(f1_score(classes, predicted, labels=np.unique(classes), average="macro", zero_division=0))

    return ProbeScores(macro_f1(predicted), macro_f1(most_frequent))


def _known(
    name: str, features: np.ndarray | spmatrix, classes: np.ndarray
) -> tuple[np.ndarray | spmatrix, np.ndarray]:
    """Features and classes of the texts whose class is known."""
    classes = as_labels(name, classes)
    if classes.shape != features.shape[:1]:
        raise ValueError(f"{name} must be one per text, {features.shape[0]}, got shape {classes.shape}")
    known = np.flatnonzero(classes >= 0)
    return features[known], classes[known]
