from collections.abc import Iterable

import datasets

from ldebm_hf.metrics.base import ScoreMetric
from ldebm_hf.scores import copied_share, distinct_share, empty_share


class CopiedShare(ScoreMetric):
    """Fractions of texts that are copies of training texts, distinct, and empty; white space does not count.

    Args:
        predictions (`list[str]`): The texts.
        training_texts (`Iterable[str]`): The training texts.

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
