import datasets

from ldebm_hf.metrics.base import ScoreMetric
from ldebm_hf.scores import empty_share, self_bleu


class SelfBLEU(ScoreMetric):
    """Mean BLEU-4, 0 to 100, of each text with all others as references; increases as texts are added.

    Args:
        predictions (`list[str]`): The texts.
        max_texts (`int`, *optional*, defaults to 500): Maximum number of texts; of more, this many are drawn.
        seed (`int`, *optional*, defaults to 0): Seed of the draw.

    Returns:
        `dict[str, float]`: `self_bleu` of the texts with words, and `empty_share`, the fraction of the texts without.
    """

    inputs = datasets.Features({"predictions": datasets.Value("string")})
    source = "Zhu et al., Texygen: A Benchmarking Platform for Text Generation Models, SIGIR 2018"

    def _compute(self, predictions, max_texts: int = 500, seed: int = 0) -> dict[str, float]:
        return {"self_bleu": self_bleu(predictions, max_texts, seed), "empty_share": empty_share(predictions)}
