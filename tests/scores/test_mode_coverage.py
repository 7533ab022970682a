"""Fractions of samples on modes, worked out by hand and for known samplers."""

import numpy as np
import pytest

from ldebm_hf.data import POINT_DISTRIBUTIONS
from ldebm_hf.scores import ModeScores, mode_scores


def test_scores_by_hand():
    """Of 40 samples 4 are off every mode; mode 2, of weight 1/2, has 1 sample and would need 2 to be covered."""
    assignments = np.repeat([0, 1, 2, -1], [20, 15, 1, 4])
    scores = mode_scores(assignments, [0.25, 0.25, 0.5])
    assert scores.modes_covered == 2
    assert scores.off_mode == pytest.approx(0.1)
    assert scores.weight_error == pytest.approx(0.5 - 1 / 36)
    assert mode_scores(np.append(assignments, 2), [0.25, 0.25, 0.5]).modes_covered == 2
    assert mode_scores(np.append(assignments, [2, 2]), [0.25, 0.25, 0.5]).modes_covered == 3


def test_extremes():
    assert mode_scores(np.arange(4), np.full(4, 0.25)) == ModeScores(4, 0, 0)
    assert mode_scores(np.full(5, -1), [0.5, 0.5]) == ModeScores(0, 1, 1)
    assert mode_scores([1], [0.5, 0.5]) == ModeScores(1, 0.5, 0)


@pytest.mark.parametrize("name", POINT_DISTRIBUTIONS)
def test_true_samples_cover_all_and_all_on_one_mode_only_that(name):
    distribution, n = POINT_DISTRIBUTIONS[name], 4000
    assignments = distribution.assign(distribution.sample(n, 0)[0])
    scores = mode_scores(assignments, distribution.weights)
    assert scores.modes_covered == distribution.num_modes
    # A share has a deviation of √(w/n); half the sum of their absolute values is 0.4 √(num_modes/n) on average.
    assert scores.weight_error < 2 * 0.4 * (distribution.num_modes / n) ** 0.5 + 0.01
    assert scores.off_mode < 0.005  # 0.03 % are beyond 4 deviations
    collapsed = mode_scores(assignments[assignments == 3], distribution.weights)
    assert collapsed.modes_covered == 1 and collapsed.weight_error > 0.8


@pytest.mark.parametrize("assignments", [[], [0, 2], [-2]])
def test_modes_without_a_weight_are_refused(assignments):
    with pytest.raises(ValueError, match="-1 to 1, got"):
        mode_scores(assignments, [0.5, 0.5])
