"""Divergence of the word frequencies of generated texts from those of the training texts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class WordDivergence:
    """
    KL(q || p) in nats, where q and p are the relative word frequencies of the texts and of the training texts.

    Args:
        word_kl (`float`): The published "wKL": Σ q ln(q/p) over the words that both have, without renormalisation.
            Words that the training texts do not have add nothing, so it can be negative.
        word_kl_smoothed (`float`): KL(q || p) with add-one smoothing over the words of either; at least 0.
        new_word_share (`float`): Fraction of the words of the texts that the training texts do not have.
    """

    word_kl: float
    word_kl_smoothed: float
    new_word_share: float


def word_divergence(texts: Iterable[str], training_texts: Iterable[str]) -> WordDivergence:
    """
    Compare the word frequencies of two sets of texts.

    Both divergences are larger for fewer texts, even from the same distribution, so compare the same number of texts.
    The published figures are for 40,000 samples, where 3,761 real sentences have a wKL of 0.14.

    Args:
        texts (`Iterable[str]`): The texts, with words separated by white space; at least one word.
        training_texts (`Iterable[str]`): The training texts, in the same form.

    Raises:
        ValueError: One of them has no word, or is a single string.
    """
    ours, theirs = _count(texts, "texts"), _count(training_texts, "training_texts")
    total, their_total = ours.total(), theirs.total()
    published = sum(
        count / total * math.log(count / total * their_total / theirs[word])
        for word, count in ours.items()
        if word in theirs
    )
    union = ours.keys() | theirs.keys()
    total_smoothed, their_total_smoothed = total + len(union), their_total + len(union)
    smoothed = 0.0
    for word in union:
        frequency, their_frequency = (ours[word] + 1) / total_smoothed, (theirs[word] + 1) / their_total_smoothed
        smoothed += frequency * math.log(frequency / their_frequency)
    new = sum(count for word, count in ours.items() if word not in theirs)
    return WordDivergence(published, smoothed, new / total)


def _count(texts: Iterable[str], name: str) -> Counter[str]:
    if isinstance(texts, str):
        raise ValueError(f"{name} must be a list of strings, got {texts!r}")
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text.split())
    if not counts:
        raise ValueError(f"{name} must contain at least one word, got none")
    return counts
