"""Scores of generated texts: overlap with references, with each other and with the training texts.

Words are separated by white space. An empty text has no words; [`empty_share`] is the fraction of such texts.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

MAX_ORDER = 4
SMOOTHING = 0.1
"""Replaces a count of 0 matching n-grams in self-BLEU (smoothing method 1 of Chen and Cherry, 2014)."""


def corpus_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """
    BLEU-4 of a corpus, 0 to 100 (Papineni et al., 2002), computed by sacrebleu.

    There is one reference per hypothesis, no smoothing and no further tokenisation, as in `multi-bleu.perl` of Moses
    and in the published figures. An empty hypothesis lowers the score through the brevity penalty.

    Args:
        hypotheses (`Sequence[str]`): The generated texts.
        references (`Sequence[str]`): One reference per text.

    Raises:
        ValueError: The numbers of hypotheses and references differ, or are 0.
        ImportError: sacrebleu is not installed.
    """
    if len(hypotheses) != len(references) or not len(hypotheses):
        raise ValueError(
            "references must be one per hypothesis, at least one, got "
            f"{len(references)} for {len(hypotheses)} hypotheses"
        )
    bleu = import_bleu()(smooth_method="none", tokenize="none", force=True)
    return float(bleu.corpus_score(list(hypotheses), [list(references)]).score)


def distinct_n(texts: Iterable[str], n: int) -> float:
    """
    Distinct-n (Li et al., 2016): number of distinct n-grams of all texts divided by the number of all n-grams.

    It decreases as texts are added, so compare the same number of texts. It is 0 if no text has n words.

    Args:
        texts (`Iterable[str]`): The texts.
        n (`int`): Length of the n-grams.

    Raises:
        ValueError: n is below 1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    counts: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        counts.update(_ngrams(text.split(), n))
    return len(counts) / max(counts.total(), 1)


def self_bleu(texts: Sequence[str], max_texts: int = 500, seed: int = 0) -> float:
    """
    Self-BLEU (Zhu et al., 2018): mean BLEU-4 of each text with all other texts as its references, 0 to 100.

    It measures how similar texts are to each other, and is 100 for copies of one text. It is sentence-level BLEU:
    n-grams are clipped to their largest count in any other text, the brevity penalty uses the closest length, a count
    of 0 is replaced by 0.1, and a text of fewer than four words is scored by the orders that it has. It increases with
    the number of texts, so compare the same number. Empty texts are ignored.

    Args:
        texts (`Sequence[str]`): The texts.
        max_texts (`int`, *optional*, defaults to 500): Maximum number of texts; if there are more, this many are drawn
            without replacement.
        seed (`int`, *optional*, defaults to 0): Seed of the draw.

    Raises:
        ValueError: There are fewer than two texts with words, or `max_texts` is below 2.
        ImportError: sacrebleu is not installed.
    """
    if max_texts < 2:
        raise ValueError(f"max_texts must be at least 2, got {max_texts}")
    sentences = [words for words in (text.split() for text in texts) if words]
    if len(sentences) < 2:
        raise ValueError(f"texts must include at least 2 with words, got {len(sentences)}")
    if len(sentences) > max_texts:
        chosen = np.random.default_rng(seed).choice(len(sentences), max_texts, replace=False)
        sentences = [sentences[i] for i in chosen]
    lengths = np.array([len(words) for words in sentences])
    counts = [Counter(ngram for n in range(1, MAX_ORDER + 1) for ngram in _ngrams(words, n)) for words in sentences]
    largest, second = _two_largest_counts(counts)
    values = []
    for own, length in zip(counts, lengths, strict=True):
        matches, totals = [0] * MAX_ORDER, [0] * MAX_ORDER
        for ngram, count in own.items():
            # If the largest count is this text's own, the largest count of the others is the second largest of all.
            elsewhere = second[ngram] if count == largest[ngram] else largest[ngram]
            matches[len(ngram) - 1] += min(count, elsewhere)
            totals[len(ngram) - 1] += count
        values.append(_sentence_bleu(matches, totals, length, _closest_other(lengths, length)))
    return float(np.mean(values))


def copied_share(texts: Sequence[str], training_texts: Iterable[str]) -> float:
    """
    Fraction of the texts that are identical to a training text, except for white space.

    An empty text does not count as a copy. Memory does not grow with the training texts, which may be a stream.

    Raises:
        ValueError: There are no texts.
    """
    normalized = _normalized(texts)
    wanted = set(normalized) - {""}
    seen = {text for text in (" ".join(training_text.split()) for training_text in training_texts) if text in wanted}
    return sum(text in seen for text in normalized) / len(normalized)


def distinct_share(texts: Sequence[str]) -> float:
    """
    Number of distinct texts, where white space does not count, divided by the number of texts.

    Raises:
        ValueError: There are no texts.
    """
    normalized = _normalized(texts)
    return len(set(normalized)) / len(normalized)


def empty_share(texts: Sequence[str]) -> float:
    """
    Fraction of the texts that have no word.

    Raises:
        ValueError: There are no texts.
    """
    normalized = _normalized(texts)
    return normalized.count("") / len(normalized)


def _normalized(texts: Sequence[str]) -> list[str]:
    normalized = [" ".join(text.split()) for text in texts]
    if not normalized:
        raise ValueError("texts must contain at least one text, got none")
    return normalized


def _ngrams(words: list[str], n: int) -> Iterable[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(n)), strict=False)


def _two_largest_counts(counts: list[Counter]) -> tuple[Counter, Counter]:
    """The largest and the second largest count of every n-gram in any text; equal if two texts share the largest."""
    largest, second = Counter(), Counter()
    for own in counts:
        for ngram, count in own.items():
            if count > largest[ngram]:
                largest[ngram], second[ngram] = count, largest[ngram]
            elif count > second[ngram]:
                second[ngram] = count
    return largest, second


def _closest_other(lengths: np.ndarray, length: int) -> int:
    """The length of another text that is closest to `length`; the shorter one of two that are equally close."""
    if (lengths == length).sum() > 1:
        return length
    others = np.sort(lengths[lengths != length])
    return int(others[np.abs(others - length).argmin()])


def _sentence_bleu(matches: list[int], totals: list[int], length: int, reference_length: int) -> float:
    score = import_bleu().compute_bleu(
        matches, totals, int(length), reference_length, "floor", SMOOTHING, effective_order=True
    )
    return score.score


def import_bleu():
    try:
        from sacrebleu.metrics import BLEU
    except ImportError as error:
        raise ImportError("BLEU needs sacrebleu: pip install sacrebleu, or install the extra `metrics`") from error
    return BLEU
