"""The answers of an [`Explorer`] to the requests of the page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class WrittenText:
    """
    Args:
        text (`str`): A text that the model wrote.
        requested (`str`, *optional*): The symbol it was written for; `None` for a sample of the whole prior.
        read (`str`, *optional*), probability (`float`, *optional*): The likeliest symbol of the text by the model's
            own reading, and its probability; `None` for a model without symbols.
    """

    text: str
    requested: str | None
    read: str | None
    probability: float | None


@dataclass(frozen=True)
class Neighbour:
    """A text of the map, its symbol (`None` for a model without symbols) and the distance of its latent."""

    text: str
    symbol: str | None
    distance: float


@dataclass(frozen=True)
class Reading:
    """
    Args:
        probabilities (`dict[str, float]`, *optional*): p(y|x) by the symbol's name; `None` without symbols.
        reconstruction (`str`): The text decoded from its own latent.
        place (`tuple[float, float]`), neighbours (`list[Neighbour]`): Its place on the map, and the texts of the map
            with the nearest latents.
        notes (`list[str]`): Sentences about the parts of the text that the model could not read.
    """

    probabilities: dict[str, float] | None
    reconstruction: str
    place: tuple[float, float]
    neighbours: list[Neighbour]
    notes: list[str]


@dataclass(frozen=True)
class DecodedPlace:
    """The text decoded from the latent at a place of the map, and the texts with the nearest latents."""

    text: str
    symbol: str | None
    place: tuple[float, float]
    neighbours: list[Neighbour]


@dataclass(frozen=True)
class PathStep:
    """A text between two others; `share` is its position from the first (0) to the second (1)."""

    share: float
    text: str
    symbol: str | None
    place: tuple[float, float]


@dataclass(frozen=True)
class ReverseDiffusion:
    """
    Args:
        places (`np.ndarray` of shape `(num_states, n, 2)`): The latents' places on the map, from noise z_T to z_0.
        symbols (`np.ndarray` of shape `(n,)`, *optional*): The symbol requested for each latent.
        texts (`list[list[str]]`): For each state, the first latent of each symbol decoded.
    """

    places: np.ndarray
    symbols: np.ndarray | None
    texts: list[list[str]]
