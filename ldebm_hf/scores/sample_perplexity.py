"""Reverse and forward perplexity: an LSTM language model trained on samples scores real texts, and vice versa."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from .lstm_language_model import UNKNOWN, LanguageModelSettings, LSTMLanguageModel, distinct_words
from .lstm_training import train_language_model
from .perplexity import PerplexityScores

VALIDATION_SHARE = 3 / 43
"""Fraction of the texts, the last ones, by which the best epoch is selected: 3,000 of 43,000, as published."""


def reverse_perplexity(
    samples: Sequence[str],
    real_texts: Sequence[str],
    settings: LanguageModelSettings | None = None,
    *,
    vocabulary: Iterable[str] | None = None,
    **options,
) -> PerplexityScores:
    """
    Perplexity of real texts under a language model that is trained on samples (Zhao et al., ICML 2018). It is low only
    if the samples are both fluent and varied.

    The published protocol takes 43,000 samples, of which the last 3,000 select the epoch, and the default settings.
    Fewer samples or a smaller language model give higher perplexities. For comparison, score the same number of real
    training texts in place of the samples.

    Args:
        samples (`Sequence[str]`): At least two generated texts.
        real_texts (`Sequence[str]`): Held-out texts, not truncated, in the words of the corpus.
        settings ([`LanguageModelSettings`], *optional*): Of the language model; by default the published ones.
        vocabulary (`Iterable[str]`, *optional*): Words of the language model; by default, as published, those of the
            samples and the real texts together. Other words count as `<unk>`.
        options: `seed`, `folder`, `device` and `show_progress`, as in [`train_language_model`].

    Raises:
        ValueError: There are fewer than two samples, or no real texts.
    """
    _require_texts("real_texts", real_texts)
    vocabulary = distinct_words(samples, real_texts) if vocabulary is None else vocabulary
    return stream_perplexity(fit_language_model(samples, settings, vocabulary=vocabulary, **options), real_texts)


def forward_perplexity(
    samples: Sequence[str],
    training_texts: Sequence[str],
    settings: LanguageModelSettings | None = None,
    **options,
) -> PerplexityScores:
    """
    Perplexity of samples under a language model that is trained on real texts. It is low if the samples are fluent,
    even if they are not varied.

    Args:
        samples (`Sequence[str]`): At least one text. Words that the training texts do not have count as `<unk>`.
        training_texts (`Sequence[str]`): At least two real texts.
        settings ([`LanguageModelSettings`], *optional*): Of the language model; by default the published ones.
        options: As in [`train_language_model`]. With a `folder`, the language model is trained only once.

    Raises:
        ValueError: There are fewer than two training texts, or no samples.
    """
    _require_texts("samples", samples)
    return stream_perplexity(fit_language_model(training_texts, settings, **options), samples)


def fit_language_model(texts: Sequence[str], settings: LanguageModelSettings | None = None, **options):
    """
    Train a language model on all but the last texts, by which its best epoch is selected.

    Raises:
        ValueError: There are fewer than two texts.
    """
    if isinstance(texts, str) or len(texts) < 2:
        raise ValueError(f"texts to train a language model on must be a list of at least two, got {texts!r}")
    num_validation = max(1, round(VALIDATION_SHARE * len(texts)))
    return train_language_model(texts[:-num_validation], texts[-num_validation:], settings, **options)


def stream_perplexity(model: LSTMLanguageModel, texts: Sequence[str]) -> PerplexityScores:
    """
    Perplexity of texts that are read as one stream, in which every text is followed by an end token.

    Raises:
        ValueError: There are no texts.
    """
    _require_texts("texts", texts)
    stream = model.encode(texts)
    nats, num_tokens = model.nats(stream), len(stream) - 1
    num_unknown = int((stream == model.places[UNKNOWN]).sum())
    return PerplexityScores(math.exp(nats / num_tokens), nats / len(texts), num_tokens, num_unknown)


def _require_texts(name: str, texts: Sequence[str]) -> None:
    """Refuse missing texts before a language model is trained for hours."""
    if isinstance(texts, str) or not len(texts):
        raise ValueError(f"{name} must be a list of at least one string, got {texts!r}")
