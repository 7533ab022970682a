from collections.abc import Sequence

from ldebm_hf.metrics.base import PerplexityMetric
from ldebm_hf.scores import reverse_perplexity


class ReversePerplexity(PerplexityMetric):
    """Perplexity of real texts under an LSTM language model that is trained on the predictions.

    The default settings are the published ones, which are made for 43,000 samples and a GPU.

    Args:
        predictions (`list[str]`): Generated texts, of which the last 3 in 43 select the language model's epoch.
        real_texts (`Sequence[str]`): Held-out real texts.
        options: Fields of [`ldebm_hf.scores.lstm_language_model.LanguageModelSettings`], and `vocabulary`, `seed`,
            `folder` (where the language model is stored, and from which an interrupted training continues), `device`
            and `show_progress`.

    Returns:
        `dict[str, float]`: `reverse_perplexity`, and `unknown_share`, the fraction of the tokens that are `<unk>`.
    """

    score = staticmethod(reverse_perplexity)
    source = "Zhao et al., Adversarially Regularized Autoencoders, ICML 2018"

    def _compute(self, predictions, real_texts: Sequence[str], **options) -> dict[str, float]:
        return self._scores(predictions, real_texts, options)
