"""How much of the words that were taken out of texts comes back when the texts are completed."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .generated_texts import MAX_ORDER, import_bleu


@dataclass(frozen=True)
class RecoveryScores:
    """
    Args:
        word_accuracy (`float`): share of the masked words that are exactly the original ones, 0 to 1.
        word_accuracy_std_error (`float`): its standard error, texts being what is independent.
        text_accuracy (`float`): share of the texts of which every masked word is.
        bleu (`float`): BLEU-4, 0 to 100, of the masked parts: of the n-grams with a masked word only.
        num_words (`int`), num_texts (`int`): what was scored.
    """

    word_accuracy: float
    word_accuracy_std_error: float
    text_accuracy: float
    bleu: float
    num_words: int
    num_texts: int


def mask_positions(can_be_masked: Sequence[Sequence[bool]], fraction: float, seed: int = 0) -> list[list[int]]:
    """Random words to take out of each text.

    Args:
        can_be_masked (`Sequence[Sequence[bool]]`): for each word of each text.
        fraction (`float`): how many of a text's words, 0 to 1; rounded, at least one. Where fewer can be, all these.
        seed (`int`, *optional*, defaults to 0).

    Returns:
        `list[list[int]]`: positions in each text, ascending; none in a text without a word that can be masked.

    Raises:
        ValueError: a fraction outside 0 to 1.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must be above 0 and at most 1, got {fraction}")
    generator = random.Random(f"masks-{seed}")
    positions = []
    for allowed in can_be_masked:
        possible = [position for position, is_allowed in enumerate(allowed) if is_allowed]
        number = min(max(1, round(fraction * len(allowed))), len(possible))
        positions.append(sorted(generator.sample(possible, number)))
    return positions


def recovery_scores(
    completions: Sequence[Sequence[str]], originals: Sequence[Sequence[str]], positions: Sequence[Sequence[int]]
) -> RecoveryScores:
    """
    Compare completed texts with the originals, word by word; every mask stands for one word.

    BLEU counts those n-grams (n of 1 to 4) of a completion that hold a masked place, clipped to their number among
    those of the original; without the observed words' own n-grams, which every completion has, it is far below the
    BLEU of whole texts. Of an order without any such n-gram in the corpus nothing is counted; no smoothing.

    Args:
        completions (`Sequence[Sequence[str]]`), originals (`Sequence[Sequence[str]]`): the words of each text, equally
            many.
        positions (`Sequence[Sequence[int]]`): the masked ones; texts without any are left out.

    Raises:
        ValueError: numbers of texts or words that differ, an observed word that is not the original's, nothing masked.
        ImportError: sacrebleu is not installed.
    """
    if not len(completions) == len(originals) == len(positions):
        raise ValueError(
            f"completions must be one per original and masks, got {len(completions)} for {len(originals)} and "
            f"{len(positions)}"
        )
    right, masked = [], []
    matches, totals = [0] * MAX_ORDER, [0] * MAX_ORDER
    for number, (completion, original, places) in enumerate(zip(completions, originals, positions, strict=True)):
        observed = set(range(len(original))) - set(places)
        if len(completion) != len(original) or any(completion[i] != original[i] for i in observed):
            raise ValueError(f"completions must keep every observed word, text {number} does not: {list(completion)}")
        if not places:
            continue
        right.append(sum(completion[i] == original[i] for i in places))
        masked.append(len(places))
        for order in range(1, MAX_ORDER + 1):
            own, theirs = (_ngrams_with(words, places, order) for words in (completion, original))
            matches[order - 1] += sum((own & theirs).values())
            totals[order - 1] += own.total()
    if not masked:
        raise ValueError("positions must name at least one masked word, got none")
    right, masked = np.array(right), np.array(masked)
    accuracy = right.sum() / masked.sum()
    spread = np.sqrt(np.square(right - accuracy * masked).sum()) / masked.sum()
    bleu = import_bleu().compute_bleu(matches, totals, 1, 1, "none", effective_order=True).score
    return RecoveryScores(
        word_accuracy=float(accuracy),
        word_accuracy_std_error=float(spread),
        text_accuracy=float((right == masked).mean()),
        bleu=float(bleu),
        num_words=int(masked.sum()),
        num_texts=len(masked),
    )


def _ngrams_with(words: Sequence[str], places: Sequence[int], order: int) -> Counter:
    """The n-grams that hold at least one of the places."""
    starts = {start for place in places for start in range(place - order + 1, place + 1)}
    return Counter(tuple(words[start : start + order]) for start in starts if 0 <= start <= len(words) - order)
