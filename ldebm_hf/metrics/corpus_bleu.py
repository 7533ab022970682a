import datasets

from ldebm_hf.metrics.base import ScoreMetric
from ldebm_hf.scores import corpus_bleu, empty_share


class BLEU(ScoreMetric):
    """Corpus BLEU-4, 0 to 100, of white-space words: one reference, no smoothing, as `multi-bleu.perl` computes it.

    Args:
        predictions (`list[str]`): the texts.
        references (`list[str]`): one for each.

    Returns:
        `dict[str, float]`: `bleu`, and `empty_share`, that of the texts without a word.
    """

    inputs = datasets.Features({"predictions": datasets.Value("string"), "references": datasets.Value("string")})
    source = "Papineni et al., BLEU: a Method for Automatic Evaluation of Machine Translation, ACL 2002"

    def _compute(self, predictions, references) -> dict[str, float]:
        return {"bleu": corpus_bleu(predictions, references), "empty_share": empty_share(predictions)}
