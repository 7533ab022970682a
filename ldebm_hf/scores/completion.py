"""Recovery of masked words: how many of them a completion fills in correctly."""

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
        word_accuracy (`float`): Fraction of the masked words that are filled in with exactly the original word.
        word_accuracy_std_error (`float`): Its standard error, for independent texts whose words may be dependent.
        text_accuracy (`float`): Fraction of the texts in which every masked word is filled in correctly.
        bleu (`float`): BLEU-4, 0 to 100, of the n-grams that contain a masked word.
        num_words (`int`): Number of masked words that were scored.
        num_texts (`int`): Number of texts with masked words.
    """

    word_accuracy: float
    word_accuracy_std_error: float
    text_accuracy: float
    bleu: float
    num_words: int
    num_texts: int


def mask_positions(can_be_masked: Sequence[Sequence[bool]], fraction: float, seed: int = 0) -> list[list[int]]:
    """
    Choose random words of each text to be masked.

    Args:
        can_be_masked (`Sequence[Sequence[bool]]`): For each word of each text, whether it may be masked.
        fraction (`float`): Fraction of a text's words to mask, above 0 and at most 1. The number is rounded and at
            least one; if fewer words may be masked, all of those are.
        seed (`int`, *optional*, defaults to 0): Seed of the choice.

    Returns:
        `list[list[int]]`: Ascending positions in each text; empty for a text in which no word may be masked.

    Raises:
        ValueError: A fraction outside that range.
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
    Compare completed texts with the originals, word by word. Every mask stands for one word.

    BLEU counts the n-grams (n of 1 to 4) of a completion that contain a masked position, clipped to their number among
    those of the original. n-grams of observed words alone, which every completion gets right, are not counted, so the
    score is far below the BLEU of whole texts. There is no smoothing, and an order without any n-gram is ignored.

    Args:
        completions (`Sequence[Sequence[str]]`): The words of each completed text.
        originals (`Sequence[Sequence[str]]`): The words of each original text; their number is that of its completion.
        positions (`Sequence[Sequence[int]]`): The masked positions of each text; texts without any are ignored.

    Raises:
        ValueError: The numbers of texts or words differ, a completion changes an observed word, or nothing is masked.
        ImportError: sacrebleu is not installed.
    """
    if not len(completions) == len(originals) == len(positions):
        raise ValueError(
            "completions, originals and positions must have the same length, got "
            f"{len(completions)}, {len(originals)} and {len(positions)}"
        )
    right, masked = [], []
    matches, totals = [0] * MAX_ORDER, [0] * MAX_ORDER
    for number, (completion, original, places) in enumerate(zip(completions, originals, positions, strict=True)):
        observed = set(range(len(original))) - set(places)
        if len(completion) != len(original) or any(completion[i] != original[i] for i in observed):
            raise ValueError(f"completions must keep all observed words, text {number} does not: {list(completion)}")
        if not places:
            continue
        right.append(sum(completion[i] == original[i] for i in places))
        masked.append(len(places))
        for order in range(1, MAX_ORDER + 1):
            own, theirs = (_ngrams_with(words, places, order) for words in (completion, original))
            matches[order - 1] += sum((own & theirs).values())
            totals[order - 1] += own.total()
    if not masked:
        raise ValueError("positions must contain at least one masked word, got none")
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
    """The n-grams of the given order that contain at least one of the places."""
    starts = {start for place in places for start in range(place - order + 1, place + 1)}
    return Counter(tuple(words[start : start + order]) for start in starts if 0 <= start <= len(words) - order)
