from collections.abc import Sequence

from ldebm_hf.metrics.base import PerplexityMetric
from ldebm_hf.scores import forward_perplexity


class ForwardPerplexity(PerplexityMetric):
    """Perplexity of the predictions under an LSTM language model that is trained on real texts.

    Args:
        predictions (`list[str]`): Generated texts.
        training_texts (`Sequence[str]`): Real texts, of which the last 3 in 43 select the language model's epoch.
        options: Fields of [`ldebm_hf.scores.lstm_language_model.LanguageModelSettings`], and `vocabulary`, `seed`,
            `folder` (where the language model is stored for later calls), `device` and `show_progress`.

    Returns:
        `dict[str, float]`: `forward_perplexity`, and `unknown_share`, the fraction of the tokens that are `<unk>`.
    """

    score = staticmethod(forward_perplexity)
    source = "Zhao et al., Adversarially Regularized Autoencoders, ICML 2018"

    def _compute(self, predictions, training_texts: Sequence[str], **options) -> dict[str, float]:
        return self._scores(predictions, training_texts, options)
