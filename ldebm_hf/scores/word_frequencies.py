"""How often words are used: Kullback-Leibler divergence of the words of texts from those of training texts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class WordDivergence:
    """
    KL(q || p) of the relative frequencies q of words in texts and p in training texts, in nats.

    Args:
        word_kl (`float`): as published ("wKL"), over the words that both have and without renormalising: Σ q ln(q/p).
            Words that the training texts do not have cost nothing, so that it can be negative.
        word_kl_smoothed (`float`): of frequencies with one more count of every word that either has; at least 0.
        new_word_share (`float`): the words of the texts that the training texts do not have, 0 to 1.
    """

    word_kl: float
    word_kl_smoothed: float
    new_word_share: float


def word_divergence(texts: Iterable[str], training_texts: Iterable[str]) -> WordDivergence:
    """
    Compare the words of two sets of texts, without their order and their ends.

    Both divergences are larger for fewer texts, even of the same distribution: compare equally many. The published
    figures are of 40,000 samples; 3,761 real sentences have 0.14 there.

    Args:
        texts (`Iterable[str]`), training_texts (`Iterable[str]`): words between white space, at least one each.

    Raises:
        ValueError: no word in one of them, or a single string.
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
        share, their_share = (ours[word] + 1) / total_smoothed, (theirs[word] + 1) / their_total_smoothed
        smoothed += share * math.log(share / their_share)
    new = sum(count for word, count in ours.items() if word not in theirs)
    return WordDivergence(published, smoothed, new / total)


def _count(texts: Iterable[str], name: str) -> Counter[str]:
    if isinstance(texts, str):
        raise ValueError(f"{name} must be a list of strings, got {texts!r}")
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text.split())
    if not counts:
        raise ValueError(f"{name} must have at least one word, got none")
    return counts
