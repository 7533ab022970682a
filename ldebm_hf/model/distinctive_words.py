"""Scores of how distinctive words are for a symbol, and short names made of the most distinctive words."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

WordScore = Literal["log_odds", "ctfidf"]

STOP_WORDS = frozenset(
    """
    a about after again all also am an and any are as at be because been before being but by can could d did do does
    doing don down for from get go going got had has have having he her here hers him his how i if in into is it its
    just let ll m may me might more most must my n no nor not now of off on once only or other our ours out over own
    re s same shall she should so some such t than that the their theirs them then there these they this those through
    to too under until up us ve very was we were what when where which while who whom why will with would you your
    yours
    """.split()
)
"""English words that say little about the topic of a text; the names of symbols are made without them."""


def log_odds(counts: np.ndarray, prior_strength: float | None = None) -> np.ndarray:
    """
    z-scores of each word's log-odds in a symbol against all other symbols, with an informative Dirichlet prior
    (Monroe, Colaresi & Quinn, "Fightin' Words", Political Analysis 2008). With a word's counts y_i in symbol i and y_j
    in the other symbols, their sums n_i and n_j over all words, and the word's prior α, whose sum over words is α_0:

        δ = log (y_i + α)/(n_i + α_0 - y_i - α) - log (y_j + α)/(n_j + α_0 - y_j - α)
        z = δ / √(1/(y_i + α) + 1/(y_j + α))

    Args:
        counts (`np.ndarray` of shape `(num_symbols, num_words)`): How often each word occurs in each symbol's texts.
        prior_strength (`float`, *optional*): α_0, in words; α is α_0 times the word's relative frequency in all texts.
            Defaults to the mean number of words of the symbols that have any.

    Returns:
        `np.ndarray` of shape `(num_symbols, num_words)`: 0 for words and symbols without counts.

    Raises:
        ValueError: For counts that are negative or not a matrix, and for a `prior_strength` that is not positive.
    """
    counts = _checked(counts)
    scores = np.zeros_like(counts)
    seen, used = counts.sum(axis=0) > 0, counts.sum(axis=1) > 0
    if prior_strength is None:
        prior_strength = counts.sum() / max(used.sum(), 1)
    elif not prior_strength > 0:
        raise ValueError(f"prior_strength must be positive, got {prior_strength}")
    if seen.sum() < 2 or used.sum() < 2:  # nothing to compare
        return scores
    inside = counts[np.ix_(used, seen)]
    word_totals = inside.sum(axis=0)
    prior = prior_strength * word_totals / word_totals.sum()
    log_ratios, variances = [], []
    for word_counts in (inside, word_totals - inside):
        smoothed = word_counts + prior
        log_ratios.append(np.log(smoothed) - np.log(smoothed.sum(axis=1, keepdims=True) - smoothed))
        variances.append(1 / smoothed)
    scores[np.ix_(used, seen)] = (log_ratios[0] - log_ratios[1]) / np.sqrt(variances[0] + variances[1])
    return scores


def class_tfidf(counts: np.ndarray) -> np.ndarray:
    """
    c-TF-IDF (Grootendorst, "BERTopic", 2022): a word's relative frequency in the symbol's texts, times log(1 + A/f)
    with A the mean number of words per symbol and f the word's count over all symbols.

    Args:
        counts (`np.ndarray` of shape `(num_symbols, num_words)`): How often each word occurs in each symbol's texts.

    Returns:
        `np.ndarray` of shape `(num_symbols, num_words)`: 0 for words and symbols without counts. These symbols
        are left out of A.

    Raises:
        ValueError: For counts that are negative or not a matrix.
    """
    counts = _checked(counts)
    words_of_symbol, words = counts.sum(axis=1, keepdims=True), counts.sum(axis=0)
    mean_words = counts.sum() / max((words_of_symbol > 0).sum(), 1)
    return counts / np.maximum(words_of_symbol, 1) * np.log1p(mean_words / np.maximum(words, 1))


WORD_SCORES = {"log_odds": log_odds, "ctfidf": class_tfidf}


def top_words(scores: np.ndarray, counts: np.ndarray, num_words: int) -> list[np.ndarray]:
    """
    The columns of the words of each symbol with the highest positive scores, the highest first; of equal scores the
    more frequent word comes first.

    Args:
        scores, counts (`np.ndarray` of shape `(num_symbols, num_words)`): Scores of the words and how often they occur
            in each symbol's texts; words that do not occur are left out.
        num_words (`int`): At most this many words per symbol.
    """
    chosen = []
    for row, count in zip(scores, np.asarray(counts), strict=True):
        columns = np.flatnonzero((row > 0) & (count > 0))
        chosen.append(columns[np.lexsort((-count[columns], -row[columns]))][:num_words])
    return chosen


def informative_words(words: Sequence[str]) -> list[str]:
    """
    Words that say something about the topic of a text: no stop words, no markers such as `<usr>`, no words without a
    letter or of a single Latin letter, and only the first of spellings that differ in case. If no such word is left,
    all words are returned, without other spellings of the same word.
    """
    spellings = {}
    for word in words:
        spellings.setdefault(word.lower(), word)
    informative = [word for lowered, word in spellings.items() if _is_informative(lowered)]
    return informative or list(spellings.values())


def _is_informative(word: str) -> bool:
    """Whether a lower-case word is no stop word, no marker, has a letter, and is not a single Latin letter."""
    is_marker = word.startswith("<") and word.endswith(">")
    is_latin_letter = len(word) == 1 and word.isascii()
    has_letter = any(character.isalpha() for character in word)
    return has_letter and not is_marker and not is_latin_letter and word not in STOP_WORDS


def words_of_names(words: Sequence[Sequence[str]], num_words: int = 3) -> list[list[str]]:
    """
    The words of a name for each symbol, its first informative ones. Equal names are extended by further words, as far
    as there are any.

    Args:
        words (`Sequence[Sequence[str]]`): The words of each symbol, the most distinctive first.
        num_words (`int`, *optional*, defaults to 3): Number of words per name, if a symbol has that many.
    """
    sources = [informative_words(symbol_words) for symbol_words in words]
    sizes = [num_words] * len(sources)
    while True:
        names = [source[:size] for source, size in zip(sources, sizes, strict=True)]
        ambiguous = [
            symbol
            for symbol, name in enumerate(names)
            if names.count(name) > 1 and sizes[symbol] < len(sources[symbol])
        ]
        if not ambiguous:
            return names
        for symbol in ambiguous:
            sizes[symbol] += 1


def short_names(words: Sequence[Sequence[str]], is_used: Sequence[bool], num_words: int = 3) -> list[str]:
    """
    A unique name for each symbol, made of its first informative words: `"refund, money, back"`. Equal names are
    extended by further words, and by the symbol's id if there are no more words.

    Args:
        words (`Sequence[Sequence[str]]`): The words of each symbol, the most distinctive first.
        is_used (`Sequence[bool]`): Whether a symbol has any text; the name of a symbol without texts says so.
        num_words (`int`, *optional*, defaults to 3): Number of words per name, if a symbol has that many.
    """
    names = [", ".join(name) for name in words_of_names(words, num_words)]
    for symbol, name in enumerate(names):
        if not name:
            missing = "words of its own" if is_used[symbol] else "texts"
            names[symbol] = f"no {missing} ({symbol})"
    # A bare number would be taken for a symbol's id.
    return [
        f"{name} ({symbol})" if names.count(name) > 1 or name.isdecimal() else name
        for symbol, name in enumerate(names)
    ]


def relevances(log_probability: torch.Tensor, log_frequency: torch.Tensor, relevance: float) -> torch.Tensor:
    """
    The relevance of words for a topic y, λ log p(w|y) + (1 - λ) log p(w|y)/p(w) (Sievert and Shirley, 2014).

    Args:
        log_probability, log_frequency (`torch.Tensor` of shape `(num_words,)`): log p(w|y) and log p(w).
        relevance (`float`): λ, between 0 and 1.

    Returns:
        `torch.Tensor` of shape `(num_words,)`.
    """
    return log_probability - (1 - relevance) * log_frequency


def _checked(counts: np.ndarray) -> np.ndarray:
    counts = np.asarray(counts, dtype=np.float64)
    if counts.ndim != 2 or (counts < 0).any():
        raise ValueError(f"counts must be (num_symbols, num_words) and at least 0, got shape {counts.shape}")
    return counts
