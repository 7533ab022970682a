from collections.abc import Iterable
from dataclasses import asdict

import datasets

from ldebm_hf.metrics.base import ScoreMetric
from ldebm_hf.scores import word_divergence


class WordKL(ScoreMetric):
    """KL divergence in nats of the words that texts use from those that training texts use; fewer texts have more.

    Args:
        predictions (`list[str]`): the texts.
        training_texts (`Iterable[str]`): whose words they are compared with.

    Returns:
        `dict[str, float]`: `word_kl` (over the words of both, as published), `word_kl_smoothed` (add-one over the
            words of either) and `new_word_share`, the share of words that the training texts do not have.
    """

    inputs = datasets.Features({"predictions": datasets.Value("string")})
    source = "Shi et al., Dispersed Exponential Family Mixture VAEs for Interpretable Text Generation, ICML 2020"

    def _compute(self, predictions, training_texts: Iterable[str]) -> dict[str, float]:
        return asdict(word_divergence(predictions, training_texts))
