"""The answers of [`PageRequests`] that hold more than the model's own: places on the map, and nearby texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model.pipeline_outputs import PathStep, Reading


@dataclass(frozen=True)
class NearbyText:
    """A text of the map, its symbol (`None` for a model without symbols) and the distance of its latent."""

    text: str
    symbol: str | None
    distance: float


@dataclass(frozen=True)
class PlacedReading:
    """
    Args:
        reading ([`Reading`]): What the model sees in a text.
        place (`tuple[float, float]`), nearby (`list[NearbyText]`): Its place on the map, and the texts of the map with
            the nearest latents.
        notes (`list[str]`): Sentences about the parts of the text that the model could not read.
    """

    reading: Reading
    place: tuple[float, float]
    nearby: list[NearbyText]
    notes: list[str]


@dataclass(frozen=True)
class DecodedPlace:
    """The text decoded from the latent at a place of the map, and the texts with the nearest latents."""

    text: str
    symbol: str | None
    place: tuple[float, float]
    nearby: list[NearbyText]


@dataclass(frozen=True)
class PlacedPath:
    """The steps from one text to another, and the place of each on the map."""

    steps: list[PathStep]
    places: list[tuple[float, float]]


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
