from collections.abc import Sequence

import datasets

from ldebm_hf.metrics.base import ScoreMetric
from ldebm_hf.scores import distinct_n, empty_share


class DistinctN(ScoreMetric):
    """Number of distinct n-grams divided by the number of all n-grams of the texts; decreases as texts are added.

    Args:
        predictions (`list[str]`): The texts.
        orders (`Sequence[int]`, *optional*, defaults to `(1, 2)`): The lengths n of the n-grams.

    Returns:
        `dict[str, float]`: `distinct_N` for each n, and `empty_share`, the fraction of the texts without a word.
    """

    inputs = datasets.Features({"predictions": datasets.Value("string")})
    source = "Li et al., A Diversity-Promoting Objective Function for Neural Conversation Models, NAACL 2016"

    def _compute(self, predictions, orders: Sequence[int] = (1, 2)) -> dict[str, float]:
        scores = {f"distinct_{n}": distinct_n(predictions, n) for n in orders}
        return scores | {"empty_share": empty_share(predictions)}
