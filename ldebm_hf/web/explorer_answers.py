"""What an explorer answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class WrittenText:
    """A text, the symbol asked for, and the one that the model reads back with its probability; `None` without any."""

    text: str
    asked: str | None
    read: str | None
    probability: float | None


@dataclass(frozen=True)
class Neighbour:
    """A text of the map, its symbol and how far its latent is."""

    text: str
    symbol: str | None
    distance: float


@dataclass(frozen=True)
class Reading:
    """
    Args:
        probabilities (`dict[str, float]`, *optional*): p(y|x) by name; `None` without symbols.
        reconstruction (`str`, *optional*): The text written again from its latent, as all the rest `None` or empty
            for a model without one.
        place (`tuple[float, float]`, *optional*), neighbours (`list[Neighbour]`): On the map.
        notes (`list[str]`): What the model could not read of the text, in sentences.
    """

    probabilities: dict[str, float] | None
    reconstruction: str | None
    place: tuple[float, float] | None
    neighbours: list[Neighbour]
    notes: list[str]


@dataclass(frozen=True)
class DecodedPlace:
    """The text that the latent behind a place of the map is decoded to, and the texts nearest to that latent."""

    text: str
    symbol: str | None
    place: tuple[float, float]
    neighbours: list[Neighbour]


@dataclass(frozen=True)
class PathStep:
    """One of the texts on the way between two; `share` of the way lies behind it."""

    share: float
    text: str
    symbol: str | None
    place: tuple[float, float]


@dataclass(frozen=True)
class ReverseDiffusion:
    """
    Args:
        places (`np.ndarray` of shape `(num_states, n, 2)`): Of the latents on the map: z_T of noise first, z_0 last.
        symbols (`np.ndarray` of shape `(n,)`, *optional*): Asked of each latent.
        texts (`list[list[str]]`): By state, the first latent of each symbol decoded.
    """

    places: np.ndarray
    symbols: np.ndarray | None
    texts: list[list[str]]
