"""Scores of samples against data: distances of distributions, modes covered, symbols against classes."""

from .distances import energy_distance, sliced_wasserstein
from .modes import ModeScores, mode_scores
from .points import PointSamples, draw_samples, floor_scores, score_points, score_samples
from .symbols import SymbolScores, symbol_scores

__all__ = [
    "ModeScores",
    "PointSamples",
    "SymbolScores",
    "draw_samples",
    "energy_distance",
    "floor_scores",
    "mode_scores",
    "score_points",
    "score_samples",
    "sliced_wasserstein",
    "symbol_scores",
]
