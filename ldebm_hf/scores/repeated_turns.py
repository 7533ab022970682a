"""Held-out turns that repeat what was said in training dialogues."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..model.dialogue_turns import without_marker

if TYPE_CHECKING:
    from ..data import Split

LONG_TURN = 8
"""Words of a turn that two dialogues hardly share by chance."""


def repeats_training(split: Split, training_texts: Iterable[str], num_words: int = LONG_TURN) -> np.ndarray:
    """
    Find the texts of a split that stand in a dialogue which also stands in training, at least in part.

    A text counts as repeated if it or one of the turns before it has at least `num_words` words and is a training text
    word for word, not counting letter case and markers of speakers. Shorter turns ("thank you very much") are shared
    by dialogues that have nothing else in common.

    Args:
        split (`Split`): Texts with contexts.
        training_texts (`Iterable[str]`): All turns of the training dialogues.
        num_words (`int`, *optional*, defaults to 8): Words of a turn that is not shared by chance.

    Returns:
        `np.ndarray` of `bool`, one for every text.

    Raises:
        ValueError: The split has no contexts.
    """
    if split.contexts is None:
        raise ValueError("split must have contexts, got one without")
    known = {words for words in map(_words, training_texts) if len(words) >= num_words}
    dialogues = zip(split.texts, split.contexts, strict=True)
    return np.array([any(_words(turn) in known for turn in (text, *context)) for text, context in dialogues], bool)


def _words(turn: str) -> tuple[str, ...]:
    return tuple(without_marker(turn).lower().split())
