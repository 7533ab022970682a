"""What [`LDEBMPipeline`] answers with, where a string is not enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class WrittenText:
    """
    Args:
        text (`str`): A text that the model wrote.
        requested (`str`, *optional*): The symbol it was written for; `None` for a sample of the whole prior.
        read (`str`, *optional*), probability (`float`, *optional*): The likeliest symbol of the text by the model's
            own reading, and its probability; `None` for a model without symbols.
        is_accepted (`bool`, *optional*): Whether the model reads the requested symbol with at least
            `min_label_probability`; `None` where none was asked for.
        num_candidates (`int`, *optional*): The number of candidates that were examined for this text, itself among
            them; `None` where no `min_label_probability` was asked for.
    """

    text: str
    requested: str | None
    read: str | None
    probability: float | None
    is_accepted: bool | None = None
    num_candidates: int | None = None


def cost_of_rejection(written: Sequence[WrittenText]) -> str:
    """A sentence about the candidates that were examined for texts; empty if no probability was asked for."""
    num_candidates = sum(one.num_candidates for one in written if one.num_candidates is not None)
    if num_candidates == 0:
        return ""
    num_accepted, each = sum(bool(one.is_accepted) for one in written), num_candidates / len(written)
    return (
        f"{num_candidates} candidates were examined for {len(written)} sentences ({each:.1f} for each), of which "
        f"{num_accepted / num_candidates:.0%} reach the minimum probability."
    )


@dataclass(frozen=True)
class Reading:
    """
    Args:
        text (`str`): The text that was read.
        probabilities (`dict[str, float]`, *optional*): p(y|x) by the symbol's name; `None` without symbols.
        reconstruction (`str`): The text decoded from its own latent.
        latent (`np.ndarray` of shape `(total_latent_size,)`): The mean of its posterior, in float32.
    """

    text: str
    probabilities: dict[str, float] | None
    reconstruction: str
    latent: np.ndarray = field(repr=False, compare=False)


@dataclass(frozen=True)
class Neighbour:
    """One of the texts that a neighbour was looked for among, its index, and the Euclidean distance of its latent."""

    text: str
    index: int
    distance: float


@dataclass(frozen=True)
class PathStep:
    """
    A text between two others.

    Args:
        share (`float`): Its position from the first text (0) to the second (1).
        text (`str`): The text decoded from the latent at this position.
        symbol (`str`, *optional*): The likeliest symbol that the model reads in it; `None` without symbols.
        latent (`np.ndarray` of shape `(total_latent_size,)`): The latent, in float32.
    """

    share: float
    text: str
    symbol: str | None
    latent: np.ndarray = field(repr=False, compare=False)
