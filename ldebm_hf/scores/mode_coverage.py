"""How samples are distributed over the modes of a known distribution."""

from dataclasses import dataclass

import numpy as np

COVERED_SHARE = 0.1
"""A mode is covered if it has at least this fraction of the samples that its weight entitles it to.

A single stray sample should not suffice, and an uneven weight is an error of its own, which `weight_error` measures.
A perfect sampler covers every mode: with 16 modes and 10,000 samples a mode has 625 ± 24 samples and needs 62.
"""


@dataclass(frozen=True)
class ModeScores:
    """
    Args:
        modes_covered (`int`): Number of modes that are covered, see `COVERED_SHARE`.
        weight_error (`float`): Total variation distance, 0 to 1, between the true weights and the fractions of the
            samples on each mode (among those on any mode); 1 if no sample is on a mode.
        off_mode (`float`): Fraction of the samples that are off every mode.
    """

    modes_covered: int
    weight_error: float
    off_mode: float


def mode_scores(assignments: np.ndarray, weights: np.ndarray) -> ModeScores:
    """
    Compare the modes of samples with the true weights of the modes.

    Args:
        assignments (`np.ndarray` of shape `(n,)`): The mode of each sample, or -1 if it is off every mode.
        weights (`np.ndarray` of shape `(num_modes,)`): The true probability of each mode.

    Raises:
        ValueError: There are no samples, or a sample's mode has no weight.
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
