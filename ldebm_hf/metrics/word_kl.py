from collections.abc import Iterable
from dataclasses import asdict

import datasets

from ldebm_hf.metrics.base import ScoreMetric
from ldebm_hf.scores import word_divergence


class WordKL(ScoreMetric):
    """KL divergence, in nats, of the word frequencies of texts from those of training texts; larger for fewer texts.

    Args:
        predictions (`list[str]`): The texts.
        training_texts (`Iterable[str]`): The training texts.

    Returns:
        `dict[str, float]`: `word_kl` (over the words that both have, as published); `word_kl_smoothed` (with add-one
        smoothing over the words of either); and `new_word_share`, the fraction of the words that the training texts do
        not have.
    """

    inputs = datasets.Features({"predictions": datasets.Value("string")})
    source = "Shi et al., Dispersed Exponential Family Mixture VAEs for Interpretable Text Generation, ICML 2020"

    def _compute(self, predictions, training_texts: Iterable[str]) -> dict[str, float]:
        return asdict(word_divergence(predictions, training_texts))
