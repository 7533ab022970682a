"""Scores of generated texts: overlap with references, with each other and with the training texts.

Words are what stands between white space. An empty text has no words; [`empty_share`] says how many there are.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

MAX_ORDER = 4
SMOOTHING = 0.1
"""Stands for a count of no matching n-grams in self-BLEU: method 1 of Chen and Cherry (2014)."""


def corpus_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """BLEU-4 of a corpus, 0 to 100 (Papineni et al., 2002).

    One reference each, no smoothing, words as they are: what `multi-bleu.perl` of Moses computes, and the published
    figures are. Computed by sacrebleu. An empty hypothesis counts by its missing length.

    Args:
        hypotheses (`Sequence[str]`), references (`Sequence[str]`): one each per text.

    Raises:
        ValueError: not one reference per hypothesis, or none.
        ImportError: sacrebleu is not installed.
    """
    if len(hypotheses) != len(references) or not len(hypotheses):
        raise ValueError(
            f"references must be one per hypothesis, and not none, got {len(references)} and {len(hypotheses)}"
        )
    bleu = import_bleu()(smooth_method="none", tokenize="none", force=True)
    return float(bleu.corpus_score(list(hypotheses), [list(references)]).score)


def distinct_n(texts: Iterable[str], n: int) -> float:
    """Distinct n-grams over all n-grams of all texts together, 0 to 1 (distinct-n of Li et al., 2016).

    It falls as texts are added: compare equally many. 0 if no text has n words.

    Raises:
        ValueError: an n below 1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    counts: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        counts.update(_ngrams(text.split(), n))
    return len(counts) / max(counts.total(), 1)


def self_bleu(texts: Sequence[str], max_texts: int = 500, seed: int = 0) -> float:
    """How alike texts are: the mean BLEU-4 of each against all others as its references, 0 to 100 (Zhu et al., 2018).

    Sentence-level BLEU: n-grams clipped to their largest count in any other text, the brevity penalty by the closest
    length, 0.1 in place of a count of 0, and of a text of fewer than four words the orders that it has. 100 for copies
    of one text. It grows with the number of texts, so compare equally many. Empty texts are left out.

    Args:
        texts (`Sequence[str]`).
        max_texts (`int`, *optional*, defaults to 500): of more, so many are drawn without replacement.
        seed (`int`, *optional*, defaults to 0): of the draw.

    Raises:
        ValueError: fewer than two texts with words, or a `max_texts` below 2.
        ImportError: sacrebleu is not installed.
    """
    if max_texts < 2:
        raise ValueError(f"max_texts must be at least 2, got {max_texts}")
    sentences = [words for words in (text.split() for text in texts) if words]
    if len(sentences) < 2:
        raise ValueError(f"texts must be at least 2 with words, got {len(sentences)}")
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
            # The largest count of the others is the second largest of all where the largest is this text's own.
            elsewhere = second[ngram] if count == largest[ngram] else largest[ngram]
            matches[len(ngram) - 1] += min(count, elsewhere)
            totals[len(ngram) - 1] += count
        values.append(_sentence_bleu(matches, totals, length, _closest_other(lengths, length)))
    return float(np.mean(values))


def copied_share(texts: Sequence[str], training_texts: Iterable[str]) -> float:
    """The share of texts that stand verbatim among the training texts, up to white space, 0 to 1.

    An empty text is a copy of nothing. Memory does not grow with the training texts, which may be a stream.

    Raises:
        ValueError: no texts.
    """
    normalized = _normalized(texts)
    wanted = set(normalized) - {""}
    seen = {text for text in (" ".join(training_text.split()) for training_text in training_texts) if text in wanted}
    return sum(text in seen for text in normalized) / len(normalized)


def distinct_share(texts: Sequence[str]) -> float:
    """The number of distinct texts, up to white space, over that of all texts, 0 to 1.

    Raises:
        ValueError: no texts.
    """
    normalized = _normalized(texts)
    return len(set(normalized)) / len(normalized)


def empty_share(texts: Sequence[str]) -> float:
    """The share of texts without a word, 0 to 1.

    Raises:
        ValueError: no texts.
    """
    normalized = _normalized(texts)
    return normalized.count("") / len(normalized)


def _normalized(texts: Sequence[str]) -> list[str]:
    normalized = [" ".join(text.split()) for text in texts]
    if not normalized:
        raise ValueError("texts must be one or more, got none")
    return normalized


def _ngrams(words: list[str], n: int) -> Iterable[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(n)), strict=False)


def _two_largest_counts(counts: list[Counter]) -> tuple[Counter, Counter]:
    """For every n-gram its largest and second largest count in a text: the same, if two texts share the largest."""
    largest, second = Counter(), Counter()
    for own in counts:
        for ngram, count in own.items():
            if count > largest[ngram]:
                largest[ngram], second[ngram] = count, largest[ngram]
            elif count > second[ngram]:
                second[ngram] = count
    return largest, second


def _closest_other(lengths: np.ndarray, length: int) -> int:
    """Of all lengths but one of size `length` the closest to it, the shorter of two."""
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
        raise ImportError("BLEU needs sacrebleu: install the extra `metrics` or sacrebleu itself") from error
    return BLEU
