import math

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import f1_score, log_loss

from ldebm_hf.scores import calibration_bins, classification_scores

# Confidences 0.9 (right), 0.9 (wrong), 0.6 (right), 0.6 (right), 0.4 (wrong)
PROBABILITIES = np.array([[0.9, 0.1, 0], [0.05, 0.9, 0.05], [0.6, 0.2, 0.2], [0.3, 0.1, 0.6], [0.3, 0.4, 0.3]])
CLASSES = np.array([0, 2, 0, 2, 0])


def test_figures_by_hand():
    scores = classification_scores(PROBABILITIES, CLASSES, num_bins=10)
    assert scores.accuracy == pytest.approx(3 / 5) and scores.chance == pytest.approx(3 / 5)
    # Bins: 0.9 twice, half right: gap 0.4; 0.6 twice, both right: 0.4; 0.4 once, wrong: 0.4
    assert scores.calibration_error == pytest.approx((2 * 0.4 + 2 * 0.4 + 1 * 0.4) / 5)
    assert scores.accuracy_of_classes == pytest.approx({0: 2 / 3, 2: 1 / 2})
    expected = -(math.log(0.9) + math.log(0.05) + math.log(0.6) + math.log(0.6) + math.log(0.3)) / 5
    assert scores.negative_log_likelihood == pytest.approx(expected)


def test_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    probabilities, classes = rng.dirichlet([1, 1, 1, 1], size=300), rng.integers(3, size=300)
    scores = classification_scores(probabilities, classes)
    assert scores.macro_f1 == pytest.approx(f1_score(classes, probabilities.argmax(1), average="macro"))
    assert scores.negative_log_likelihood == pytest.approx(log_loss(classes, probabilities, labels=range(4)))


def test_bins_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    probabilities, classes = rng.dirichlet([0.3, 0.3, 0.3], size=500), rng.integers(3, size=500)
    bins = calibration_bins(probabilities, classes, num_bins=10)
    is_right = probabilities.argmax(1) == classes
    accuracies, confidences = calibration_curve(is_right, probabilities.max(1), n_bins=10)
    used = bins.counts > 0
    np.testing.assert_allclose(bins.accuracies[used], accuracies)
    np.testing.assert_allclose(bins.confidences[used], confidences)


def test_bins_and_their_borders():
    bins = calibration_bins(PROBABILITIES, CLASSES, num_bins=5)
    assert bins.counts.tolist() == [0, 1, 2, 0, 2]  # 0.4 and 0.6 lie on borders and belong to the lower bin
    assert bins.accuracies[[1, 2, 4]].tolist() == [0, 1, 0.5] and np.isnan(bins.accuracies[0])
    assert bins.confidences[4] == pytest.approx(0.9)


def test_calibrated_probabilities_have_almost_no_error():
    rng = np.random.default_rng(0)
    n = 40_000
    confidence = rng.uniform(0.5, 1, n)
    classes = (rng.uniform(size=n) > confidence).astype(int)
    error = classification_scores(np.stack([confidence, 1 - confidence], 1), classes).calibration_error
    # Eight bins of about 5,000: their gaps have standard deviations of at most 0.5/sqrt(5000) = 0.007
    assert error < 0.012
    squared = confidence**3 / (confidence**3 + (1 - confidence) ** 3)
    assert classification_scores(np.stack([squared, 1 - squared], 1), classes).calibration_error > 0.1


def test_unknown_classes_are_left_out():
    with_unknown = classification_scores(np.vstack([PROBABILITIES, [[1, 0, 0]]]), np.append(CLASSES, -100))
    assert with_unknown == classification_scores(PROBABILITIES, CLASSES)


@pytest.mark.parametrize(
    ("probabilities", "classes", "message"),
    [
        (PROBABILITIES, CLASSES[:3], "got \\(5, 3\\) and \\(3,\\)"),
        (2 * PROBABILITIES, CLASSES, "add up to 1"),
        (PROBABILITIES, CLASSES + 1, "classes must be below 3, got 3"),
        (PROBABILITIES, np.full(5, -100), "classes must be known"),
    ],
)
def test_bad_arguments(probabilities, classes, message):
    with pytest.raises(ValueError, match=message):
        classification_scores(probabilities, classes)
    with pytest.raises(ValueError, match="num_bins must be at least 1, got 0"):
        calibration_bins(PROBABILITIES, CLASSES, 0)
