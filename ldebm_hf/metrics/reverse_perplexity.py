from collections.abc import Sequence

from ldebm_hf.metrics.base import PerplexityMetric
from ldebm_hf.scores import reverse_perplexity


class ReversePerplexity(PerplexityMetric):
    """Perplexity of real texts under an LSTM language model that is trained on the predictions.

    The default settings are the published ones, for 43,000 samples and a GPU.

    Args:
        predictions (`list[str]`): samples, of which the last 3 in 43 choose the language model's epoch.
        real_texts (`Sequence[str]`): held-out texts.
        options: fields of [`ldebm_hf.scores.lstm_language_model.LanguageModelSettings`], and `vocabulary`,
            `seed`, `folder` (where the language model is kept, and goes on after a kill), `device` and
            `show_progress`.

    Returns:
        `dict[str, float]`: `reverse_perplexity`, and `unknown_share`, that of the tokens that are `<unk>`.
    """

    score = staticmethod(reverse_perplexity)
    source = "Zhao et al., Adversarially Regularized Autoencoders, ICML 2018"

    def _compute(self, predictions, real_texts: Sequence[str], **options) -> dict[str, float]:
        return self._scores(predictions, real_texts, options)
