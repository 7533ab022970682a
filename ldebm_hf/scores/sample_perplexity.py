"""Samples judged by an LSTM language model in both directions: trained on them, and trained on real texts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from .lstm_language_model import UNKNOWN, LanguageModelSettings, LSTMLanguageModel, words_of
from .lstm_training import train_language_model
from .perplexity import PerplexityScores

VALIDATION_SHARE = 3 / 43
"""Of the texts that a language model is trained on, the last ones choose its epoch: 3,000 besides 40,000."""


def reverse_perplexity(
    samples: Sequence[str],
    real_texts: Sequence[str],
    settings: LanguageModelSettings | None = None,
    *,
    vocabulary: Iterable[str] | None = None,
    **options,
) -> PerplexityScores:
    """
    Perplexity of real texts under a language model of samples (Zhao et al., ICML 2018): low only if the samples are
    both fluent and varied.

    As published it takes 43,000 samples, the last 3,000 of which choose the epoch, and the default settings; fewer
    samples, or a smaller language model, give larger figures. Compare with as many real texts as samples.

    Args:
        samples (`Sequence[str]`): At least two.
        real_texts (`Sequence[str]`): Held-out texts, whole and in the words of the corpus.
        settings ([`LanguageModelSettings`], *optional*): Defaults to the published ones.
        vocabulary (`Iterable[str]`, *optional*): Words of the language model; default those of samples and real texts
            together, as published. Real words out of it count as `<unk>`.
        options: `seed`, `folder`, `device` and `show_progress`, as in [`train_language_model`].

    Raises:
        ValueError: Fewer than two samples, or no real text.
    """
    _require_texts("real_texts", real_texts)
    vocabulary = words_of(samples, real_texts) if vocabulary is None else vocabulary
    return stream_perplexity(language_model_of(samples, settings, vocabulary=vocabulary, **options), real_texts)


def forward_perplexity(
    samples: Sequence[str],
    training_texts: Sequence[str],
    settings: LanguageModelSettings | None = None,
    **options,
) -> PerplexityScores:
    """
    Perplexity of samples under a language model of real training texts: low if they are fluent, varied or not.

    Args:
        samples (`Sequence[str]`): At least one. Words that the training texts do not have count as `<unk>`.
        training_texts (`Sequence[str]`): At least two real texts.
        settings ([`LanguageModelSettings`], *optional*): Defaults to the published ones.
        options: As in [`reverse_perplexity`]; with a `folder` the language model is trained once for all samples.

    Raises:
        ValueError: Fewer than two training texts, or no sample.
    """
    _require_texts("samples", samples)
    return stream_perplexity(language_model_of(training_texts, settings, **options), samples)


def language_model_of(texts: Sequence[str], settings: LanguageModelSettings | None = None, **options):
    """A language model trained on all but the last of some texts, which choose its epoch; at least two."""
    if isinstance(texts, str) or len(texts) < 2:
        raise ValueError(f"texts to train a language model on must be a list of at least two, got {texts!r}")
    num_validation = max(1, round(VALIDATION_SHARE * len(texts)))
    return train_language_model(texts[:-num_validation], texts[-num_validation:], settings, **options)


def stream_perplexity(model: LSTMLanguageModel, texts: Sequence[str]) -> PerplexityScores:
    """
    Perplexity of all texts one behind the other, their ends counted.

    Raises:
        ValueError: No texts.
    """
    _require_texts("texts", texts)
    stream = model.encode(texts)
    nats, num_tokens = model.nats(stream), len(stream) - 1
    num_unknown = int((stream == model.places[UNKNOWN]).sum())
    return PerplexityScores(math.exp(nats / num_tokens), nats / len(texts), num_tokens, num_unknown)


def _require_texts(name: str, texts: Sequence[str]) -> None:
    """Before hours of training, not after them."""
    if isinstance(texts, str) or not len(texts):
        raise ValueError(f"{name} must be a list of at least one string, got {texts!r}")
