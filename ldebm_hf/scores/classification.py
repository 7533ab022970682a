"""Predicted class probabilities against the true classes: accuracy and calibration."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CalibrationBins:
    """
    A reliability diagram: examples in bins of equal width from 0 to 1 by their confidence, the probability of the
    predicted class. A confidence on the border of two bins belongs to the lower one.

    Args:
        counts (`np.ndarray` of shape `(num_bins,)`): Number of examples in each bin.
        confidences (`np.ndarray` of shape `(num_bins,)`): Mean confidence in each bin; NaN in an empty one.
        accuracies (`np.ndarray` of shape `(num_bins,)`): Accuracy in each bin; NaN in an empty one.
    """

    counts: np.ndarray
    confidences: np.ndarray
    accuracies: np.ndarray

    @property
    def expected_error(self) -> float:
        """Expected calibration error: mean |accuracy - confidence| over the examples (Guo et al., ICML 2017)."""
        used = self.counts > 0
        gaps = np.abs(self.accuracies[used] - self.confidences[used])
        return float((self.counts[used] * gaps).sum() / self.counts.sum())


@dataclass(frozen=True)
class ClassificationScores:
    """
    Args:
        accuracy (`float`): Fraction of the examples whose most probable class is the true one.
        chance (`float`): Accuracy of always predicting the most frequent class.
        macro_f1 (`float`): Mean F1 score over the classes; classes that neither occur nor are predicted are ignored.
        negative_log_likelihood (`float`): Mean -log p of the true class, in nats.
        calibration_error (`float`): Expected calibration error, see [`CalibrationBins`].
        accuracy_of_classes (`dict[int, float]`): Accuracy on the examples of each class that occurs.
    """

    accuracy: float
    chance: float
    macro_f1: float
    negative_log_likelihood: float
    calibration_error: float
    accuracy_of_classes: dict[int, float]


def classification_scores(probabilities: np.ndarray, classes: np.ndarray, num_bins: int = 15) -> ClassificationScores:
    """
    Score predicted probabilities.

    Args:
        probabilities (`np.ndarray` of shape `(n, num_classes)`): p(y|x); every row adds up to 1.
        classes (`np.ndarray` of shape `(n,)`): True classes; examples with a negative one are ignored.
        num_bins (`int`, *optional*, defaults to 15): Number of bins of the calibration error.

    Raises:
        ValueError: Arrays of other shapes, rows that are not probabilities, a class that has no column, no known
            class, or fewer than one bin.
    """
    probabilities, classes = known_probabilities(probabilities, classes)
    num_classes = probabilities.shape[1]
    predicted = probabilities.argmax(1)
    right = predicted == classes
    num_true = np.bincount(classes, minlength=num_classes)
    num_predicted = np.bincount(predicted, minlength=num_classes)
    num_right = np.bincount(classes[right], minlength=num_classes)
    occurs = num_true + num_predicted > 0
    likelihoods = probabilities[np.arange(len(classes)), classes]
    return ClassificationScores(
        accuracy=float(right.mean()),
        chance=float(num_true.max() / len(classes)),
        macro_f1=float((2 * num_right[occurs] / (num_true + num_predicted)[occurs]).mean()),
        negative_log_likelihood=float(-np.log(np.maximum(likelihoods, np.finfo(float).tiny)).mean()),
        calibration_error=calibration_bins(probabilities, classes, num_bins).expected_error,
        accuracy_of_classes={int(c): float(num_right[c] / num_true[c]) for c in np.flatnonzero(num_true)},
    )


def calibration_bins(probabilities: np.ndarray, classes: np.ndarray, num_bins: int = 15) -> CalibrationBins:
    """Bin examples by their confidence; arguments and errors as in [`classification_scores`]."""
    probabilities, classes = known_probabilities(probabilities, classes)
    if num_bins < 1:
        raise ValueError(f"num_bins must be at least 1, got {num_bins}")
    confidence, right = probabilities.max(1), probabilities.argmax(1) == classes
    bins = np.clip(np.ceil(confidence * num_bins).astype(int) - 1, 0, num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    sums = [np.bincount(bins, weights=values, minlength=num_bins) for values in (confidence, right)]
    with np.errstate(invalid="ignore"):
        confidences, accuracies = (values / counts for values in sums)
    return CalibrationBins(counts, confidences, accuracies)


def known_probabilities(probabilities: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Probabilities `(m, num_classes)` and classes `(m,)` of the examples whose class is known.

    Raises:
        ValueError: As in [`classification_scores`].
    """
    probabilities, classes = np.asarray(probabilities, dtype=float), np.asarray(classes)
    if probabilities.ndim != 2 or classes.shape != probabilities.shape[:1]:
        raise ValueError(
            "probabilities must be of shape (n, num_classes) and classes of shape (n,), "
            f"got {probabilities.shape} and {classes.shape}"
        )
    if (probabilities < 0).any() or not np.allclose(probabilities.sum(1), 1, atol=1e-3):
        raise ValueError("probabilities must be at least 0 and add up to 1 in every row")
    known = classes >= 0
    if not known.any():
        raise ValueError("classes must be known for some examples, got none")
    if classes.max() >= probabilities.shape[1]:
        raise ValueError(f"classes must be below {probabilities.shape[1]}, got {classes.max()}")
    return probabilities[known], classes[known]
