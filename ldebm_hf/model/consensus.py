"""Of several texts that were written for the same purpose the one that is most like the others."""

from collections import Counter
from collections.abc import Sequence

MAX_ORDER = 4


def consensus(candidates: Sequence[str], num_candidates: int) -> list[int]:
    """
    The least risky of every `num_candidates` texts: that with the largest mean likeness to the others (minimum Bayes
    risk decoding, Kumar and Byrne, NAACL 2004). Likeness is the F-measure of n-grams of one to four words.

    Of texts that are equally near to the others, as two always are, the first is taken.

    Args:
        candidates (`Sequence[str]`): All texts, those for the same purpose one after the other.
        num_candidates (`int`): How many these are.

    Returns:
        `list[int]`: places among `candidates` of `len(candidates) // num_candidates` texts.

    Raises:
        ValueError: If `num_candidates` is below 1 or does not divide the number of texts.
    """
    if num_candidates < 1 or len(candidates) % num_candidates:
        expected = f"at least 1 and a divisor of the number of texts, {len(candidates)}"
        raise ValueError(f"num_candidates must be {expected}, got {num_candidates}")
    chosen = []
    for start in range(0, len(candidates), num_candidates):
        ngrams = [_ngrams(text.split()) for text in candidates[start : start + num_candidates]]
        likeness = [sum(_f_measure(of_text, of_other) for of_other in ngrams) for of_text in ngrams]
        chosen.append(start + likeness.index(max(likeness)))
    return chosen


def _ngrams(words: list[str]) -> Counter[tuple[str, ...]]:
    return Counter(
        tuple(words[start : start + n]) for n in range(1, MAX_ORDER + 1) for start in range(len(words) - n + 1)
    )


def _f_measure(first: Counter, second: Counter) -> float:
    """2 |A ∩ B| / (|A| + |B|) of multisets; 1 of two that are empty."""
    total = first.total() + second.total()
    return 2 * (first & second).total() / total if total else 1.0
