"""Probabilities of classes against the true ones: how often they are right, and whether they say how often."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CalibrationBins:
    """
    Examples by the probability p of their likeliest class, in bins of equal width from 0 to 1; a probability on the
    border of two bins belongs to the lower one.

    Args:
        counts (`np.ndarray` of shape `(num_bins,)`): Examples in each bin.
        confidences (`np.ndarray` of shape `(num_bins,)`): Their mean p; NaN in an empty bin.
        accuracies (`np.ndarray` of shape `(num_bins,)`): The share of them whose likeliest class is right; likewise.
    """

    counts: np.ndarray
    confidences: np.ndarray
    accuracies: np.ndarray

    @property
    def expected_error(self) -> float:
        """The expected calibration error: mean |accuracy - confidence| over examples (Guo et al., ICML 2017)."""
        used = self.counts > 0
        gaps = np.abs(self.accuracies[used] - self.confidences[used])
        return float((self.counts[used] * gaps).sum() / self.counts.sum())


@dataclass(frozen=True)
class ClassificationScores:
    """
    Args:
        accuracy (`float`): Share of the examples whose likeliest class is right.
        chance (`float`): Accuracy of always guessing the commonest true class.
        macro_f1 (`float`): Mean over classes of F1, 2 · right / (guessed + true); classes that neither occur nor are
            guessed are left out.
        negative_log_likelihood (`float`): Mean -log p of the true class, nats.
        calibration_error (`float`): Expected calibration error, see [`CalibrationBins`].
        accuracy_of_classes (`dict[int, float]`): Share of a class's examples that are right, by class that occurs.
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
        probabilities (`np.ndarray` of shape `(n, num_classes)`): p(y|x); rows add up to 1.
        classes (`np.ndarray` of shape `(n,)`): True classes; examples with a negative one are left out.
        num_bins (`int`, *optional*, defaults to 15): Of the calibration error.

    Raises:
        ValueError: Arrays of other shapes, rows that are no probabilities, a class beyond the columns, no class known,
            or no bin.
    """
    probabilities, classes = known_probabilities(probabilities, classes)
    num_classes = probabilities.shape[1]
    guessed = probabilities.argmax(1)
    right = guessed == classes
    of_true = np.bincount(classes, minlength=num_classes)
    of_guessed = np.bincount(guessed, minlength=num_classes)
    hits = np.bincount(classes[right], minlength=num_classes)
    occurs = of_true + of_guessed > 0
    of_truth = probabilities[np.arange(len(classes)), classes]
    return ClassificationScores(
        accuracy=float(right.mean()),
        chance=float(of_true.max() / len(classes)),
        macro_f1=float((2 * hits[occurs] / (of_true + of_guessed)[occurs]).mean()),
        negative_log_likelihood=float(-np.log(np.maximum(of_truth, np.finfo(float).tiny)).mean()),
        calibration_error=calibration_bins(probabilities, classes, num_bins).expected_error,
        accuracy_of_classes={int(c): float(hits[c] / of_true[c]) for c in np.flatnonzero(of_true)},
    )


def calibration_bins(probabilities: np.ndarray, classes: np.ndarray, num_bins: int = 15) -> CalibrationBins:
    """Sort examples by their confidence; arguments and errors as in [`classification_scores`]."""
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
    """Both, `(m, num_classes)` and `(m,)`, of the examples whose class is known; errors as above."""
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
