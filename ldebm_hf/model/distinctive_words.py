"""The words that set the texts of a symbol apart, by their counts, and short names made of them."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

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
"""English words that say little about what a text is of: kept among a symbol's words, passed over in its name."""


def log_odds(counts: np.ndarray, prior_strength: float | None = None) -> np.ndarray:
    """
    z-scores of each word's log-odds in a symbol against all other symbols, with an informative Dirichlet prior
    (Monroe, Colaresi & Quinn, "Fightin' Words", Political Analysis 2008). With a word's counts y_i in symbol i and y_j
    in the others, the sums n_i and n_j over all words, and the prior α, summing to α_0:

        δ = log (y_i + α)/(n_i + α_0 - y_i - α) - log (y_j + α)/(n_j + α_0 - y_j - α)
        z = δ / √(1/(y_i + α) + 1/(y_j + α))

    Args:
        counts (`np.ndarray` of shape `(num_symbols, num_words)`): How often each symbol's texts have each word.
        prior_strength (`float`, *optional*): α_0, in words; α is that times the word's share of all words. Defaults to
            the words that a symbol has on average.

    Returns:
        `np.ndarray` of shape `(num_symbols, num_words)`: 0 for words and symbols without counts.

    Raises:
        ValueError: For counts that are negative or no matrix, and for a `prior_strength` that is not positive.
    """
    counts = _checked(counts)
    scores = np.zeros_like(counts)
    seen, used = counts.sum(axis=0) > 0, counts.sum(axis=1) > 0
    if prior_strength is None:
        prior_strength = counts.sum() / max(used.sum(), 1)
    elif not prior_strength > 0:
        raise ValueError(f"prior_strength must be positive, got {prior_strength}")
    if seen.sum() < 2 or used.sum() < 2:  # one word sets nothing apart, and a single symbol is apart from nothing
        return scores
    inside = counts[np.ix_(used, seen)]
    word_totals = inside.sum(axis=0)
    prior = prior_strength * word_totals / word_totals.sum()
    log_ratios, variances = [], []
    for part in (inside, word_totals - inside):
        smoothed = part + prior
        log_ratios.append(np.log(smoothed) - np.log(smoothed.sum(axis=1, keepdims=True) - smoothed))
        variances.append(1 / smoothed)
    scores[np.ix_(used, seen)] = (log_ratios[0] - log_ratios[1]) / np.sqrt(variances[0] + variances[1])
    return scores


def class_tfidf(counts: np.ndarray) -> np.ndarray:
    """
    c-TF-IDF (Grootendorst, "BERTopic", 2022): a word's share of the symbol's words, times log(1 + A/f) with A the
    words that a symbol has on average and f the word's count over all symbols.

    Args:
        counts (`np.ndarray` of shape `(num_symbols, num_words)`): How often each symbol's texts have each word.

    Returns:
        `np.ndarray` of shape `(num_symbols, num_words)`: 0 for words and symbols without counts, which do not enter A.

    Raises:
        ValueError: For counts that are negative or no matrix.
    """
    counts = _checked(counts)
    words_of_symbol, words = counts.sum(axis=1, keepdims=True), counts.sum(axis=0)
    mean_words = counts.sum() / max((words_of_symbol > 0).sum(), 1)
    return counts / np.maximum(words_of_symbol, 1) * np.log1p(mean_words / np.maximum(words, 1))


WORD_SCORES = {"log_odds": log_odds, "ctfidf": class_tfidf}


def top_words(scores: np.ndarray, counts: np.ndarray, num_words: int) -> list[np.ndarray]:
    """
    The columns of each symbol's highest positive scores, the highest first; of equal ones that of the commoner word.

    Args:
        scores, counts (`np.ndarray` of shape `(num_symbols, num_words)`): As above; words that a symbol's texts do not
            have are none of its words.
    """
    chosen = []
    for row, count in zip(scores, np.asarray(counts), strict=True):
        own = np.flatnonzero((row > 0) & (count > 0))
        chosen.append(own[np.lexsort((-count[own], -row[own]))][:num_words])
    return chosen


def telling_words(words: Sequence[str]) -> list[str]:
    """Words that say what a text is of: no stop words, no marks as `<usr>`, none without a letter or of one Latin
    letter, of spellings that differ in case the first; all of them if nothing else is left."""
    spellings = {}
    for word in words:
        spellings.setdefault(word.lower(), word)
    telling = [word for low, word in spellings.items() if low not in STOP_WORDS and _has_sense(low)]
    return telling or list(spellings.values())


def _has_sense(word: str) -> bool:
    is_mark = word.startswith("<") and word.endswith(">")
    return not is_mark and any(map(str.isalpha, word)) and not (len(word) == 1 and word.isascii())


def short_names(words: Sequence[Sequence[str]], is_used: Sequence[bool], num_words: int = 3) -> list[str]:
    """
    A name for each symbol of its first words: `"refund, money, back"`. No two are the same: where they would be, they
    go on for more words, and after the last with the symbol's id.

    Args:
        words (`Sequence[Sequence[str]]`): Of each symbol, the most telling first; those that `telling_words` leaves
            are taken.
        is_used (`Sequence[bool]`): Whether a symbol has any text; the name of one without says that.
        num_words (`int`, *optional*, defaults to 3): How many words a name has, if there are so many.
    """
    sources = [telling_words(own) for own in words]
    sizes = [num_words] * len(sources)
    while True:
        names = [", ".join(source[:size]) for source, size in zip(sources, sizes, strict=True)]
        short = [
            symbol
            for symbol, name in enumerate(names)
            if names.count(name) > 1 and sizes[symbol] < len(sources[symbol])
        ]
        if not short:
            break
        for symbol in short:
            sizes[symbol] += 1
    for symbol, name in enumerate(names):
        if not name:
            names[symbol] = f"no {'words of its own' if is_used[symbol] else 'texts'} ({symbol})"
    # A bare number would be taken for a symbol's id.
    return [
        f"{name} ({symbol})" if names.count(name) > 1 or name.isdecimal() else name
        for symbol, name in enumerate(names)
    ]


def _checked(counts: np.ndarray) -> np.ndarray:
    counts = np.asarray(counts, dtype=np.float64)
    if counts.ndim != 2 or (counts < 0).any():
        raise ValueError(f"counts must be (num_symbols, num_words) and at least 0, got shape {counts.shape}")
    return counts
