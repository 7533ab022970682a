import datasets

from ldebm_hf.metrics.base import ScoreMetric
from ldebm_hf.scores import empty_share, self_bleu


class SelfBLEU(ScoreMetric):
    """Mean BLEU-4 of each text against the others, 0 to 100: how alike they are. It grows as texts are added.

    Args:
        predictions (`list[str]`): the texts.
        max_texts (`int`, *optional*, defaults to 500): of more, so many are drawn.
        seed (`int`, *optional*, defaults to 0): of the draw.

    Returns:
        `dict[str, float]`: `self_bleu` of the texts with words, and `empty_share`, that of the others.
    """

    inputs = datasets.Features({"predictions": datasets.Value("string")})
    source = "Zhu et al., Texygen: A Benchmarking Platform for Text Generation Models, SIGIR 2018"

    def _compute(self, predictions, max_texts: int = 500, seed: int = 0) -> dict[str, float]:
        return {"self_bleu": self_bleu(predictions, max_texts, seed), "empty_share": empty_share(predictions)}
