"""Whether generated texts are acceptable, according to a judge that was trained on real and on corrupted texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .judging import Judge

ACCEPTABLE, CORRUPTED = "acceptable", "corrupted"
"""The classes of a judge of acceptability that is trained here; any judge needs the first of them."""


def acceptability(judge: Judge, texts: Sequence[str], batch_size: int = 256) -> dict[str, float]:
    """
    Fraction of texts that a judge finds acceptable. A text without words is not.

    It is worth something beside the same fraction of real held-out texts, which is its ceiling, and that of corrupted
    ones, which is its floor.

    Args:
        judge ([`Judge`]): A judge with a class called `acceptable`, such as `examples/train_judge.py --task
            acceptability` trains.
        texts (`Sequence[str]`): At least one text.
        batch_size (`int`, *optional*, defaults to 256): Texts per batch.

    Returns:
        `dict[str, float]`: `acceptability`, and its binomial standard error `acceptability_std_error`.

    Raises:
        ValueError: There is no text, or the judge has no class of that name.
    """
    if not len(texts):
        raise ValueError("texts must contain at least one text, got none")
    (acceptable,) = judge.label_ids([ACCEPTABLE])
    has_words = np.array([bool(text.split()) for text in texts])
    share = float(np.mean((judge.predict(texts, batch_size) == acceptable) & has_words))
    return {"acceptability": share, "acceptability_std_error": (share * (1 - share) / len(texts)) ** 0.5}


def acceptability_chance(judge: Judge | None, corrupted_texts: Sequence[str]) -> dict[str, float]:
    """`acceptability_chance`, the fraction of corrupted texts that a judge finds acceptable; nothing without texts."""
    if judge is None or not len(corrupted_texts):
        return {}
    return {"acceptability_chance": acceptability(judge, corrupted_texts)["acceptability"]}
