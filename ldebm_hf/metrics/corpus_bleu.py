import datasets

from ldebm_hf.metrics.base import ScoreMetric
from ldebm_hf.scores import corpus_bleu, empty_share


class BLEU(ScoreMetric):
    """BLEU-4 of a corpus, 0 to 100, with one reference per text and no smoothing, as in `multi-bleu.perl`.

    Args:
        predictions (`list[str]`): The texts, with words separated by white space.
        references (`list[str]`): One reference per text.

    Returns:
        `dict[str, float]`: `bleu`, and `empty_share`, the fraction of the texts without a word.
    """

    inputs = datasets.Features({"predictions": datasets.Value("string"), "references": datasets.Value("string")})
    source = "Papineni et al., BLEU: a Method for Automatic Evaluation of Machine Translation, ACL 2002"

    def _compute(self, predictions, references) -> dict[str, float]:
        return {"bleu": corpus_bleu(predictions, references), "empty_share": empty_share(predictions)}
