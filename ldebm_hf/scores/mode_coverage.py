"""How samples share themselves out among the modes of a distribution that is known."""

from dataclasses import dataclass

import numpy as np

COVERED_SHARE = 0.1
"""A mode is covered when it gets this part of its true share of the samples.

One stray sample would be too little; and half the share is too much to ask, because an uneven weight is an error of
its own, which `weight_error` counts. A perfect sampler does not miss a mode: of 10,000 samples 1/16 is 625, with a
standard deviation of 24, and 62 are asked for.
"""


@dataclass(frozen=True)
class ModeScores:
    """
    Args:
        modes_covered (`int`): modes with at least `COVERED_SHARE` of their true share of all samples.
        weight_error (`float`): total variation distance of the modes' shares of the samples on a mode to the true
            weights, 0 to 1; 1 if no sample is on a mode.
        off_mode (`float`): the share of the samples that are off every mode.
    """

    modes_covered: int
    weight_error: float
    off_mode: float


def mode_scores(assignments: np.ndarray, weights: np.ndarray) -> ModeScores:
    """
    Args:
        assignments (`np.ndarray` of shape `(n,)`): the mode of each sample, -1 off every mode.
        weights (`np.ndarray` of shape `(num_modes,)`): the true probability of each mode.

    Raises:
        ValueError: no samples, or a mode without a weight.
    """
    assignments, weights = np.asarray(assignments), np.asarray(weights, dtype=float)
    if not len(assignments) or not -1 <= assignments.min() <= assignments.max() < len(weights):
        values = f"{assignments.min()} to {assignments.max()}" if len(assignments) else "none"
        raise ValueError(f"assignments must be one or more of -1 to {len(weights) - 1}, got {values}")
    counts = np.bincount(assignments[assignments >= 0], minlength=len(weights))
    num_on_mode = counts.sum()
    error = np.abs(counts / num_on_mode - weights).sum() / 2 if num_on_mode else 1.0
    covered = counts >= COVERED_SHARE * weights * len(assignments)
    return ModeScores(int(covered.sum()), float(error), float(1 - num_on_mode / len(assignments)))
