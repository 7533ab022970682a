from collections.abc import Iterable

import datasets

from ldebm_hf.metrics.base import ScoreMetric
from ldebm_hf.scores import copied_share, distinct_share, empty_share


class CopiedShare(ScoreMetric):
    """Shares of texts that are verbatim training texts, distinct, and empty, 0 to 1; white space makes no difference.

    Args:
        predictions (`list[str]`): the texts.
        training_texts (`Iterable[str]`): what they may be copied from.

    Returns:
        `dict[str, float]`: `copied_share`, `distinct_share`, `empty_share`.
    """

    inputs = datasets.Features({"predictions": datasets.Value("string")})
    source = ""

    def _compute(self, predictions, training_texts: Iterable[str]) -> dict[str, float]:
        return {
            "copied_share": copied_share(predictions, training_texts),
            "distinct_share": distinct_share(predictions),
            "empty_share": empty_share(predictions),
        }
