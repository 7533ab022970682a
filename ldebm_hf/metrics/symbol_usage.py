from dataclasses import asdict

import datasets

from ldebm_hf.metrics.base import LABELS, ScoreMetric
from ldebm_hf.scores import symbol_usage


class SymbolUsage(ScoreMetric):
    """How evenly texts are distributed over the symbols of a model.

    Args:
        predictions (`list[int]` or `list[str]`): The symbol of each text, by id or by name.
        num_symbols (`int`): Number of symbols that the model has.

    Returns:
        `dict[str, float]`: `usage_entropy` in nats, `usage_perplexity`, `symbols_used`, `dead_symbols`.
    """

    inputs = [datasets.Features({"predictions": label}) for label in LABELS]
    source = "Shannon, A Mathematical Theory of Communication, Bell System Technical Journal 27, 1948"

    def _compute(self, predictions, num_symbols: int) -> dict[str, float]:
        return {name: float(value) for name, value in asdict(symbol_usage(predictions, num_symbols)).items()}
