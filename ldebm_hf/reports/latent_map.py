"""A map of latents: a plane through them, texts with their places on it, and latents for places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

NUM_SURROUNDING = 12
"""So many texts around a place say what is behind it, in the dimensions that the map does not show."""


@dataclass(frozen=True)
class PrincipalPlane:
    """
    The plane of the first two principal components.

    Args:
        mean (`np.ndarray` of shape `(d,)`): Of the latents, in float64.
        axes (`np.ndarray` of shape `(d, 2)`): Orthonormal directions; zeros where there is no second dimension.
        explained (`list[float]`): Each component's share of the variance.
    """

    mean: np.ndarray
    axes: np.ndarray
    explained: list[float]

    @classmethod
    def fit(cls, latents: np.ndarray) -> Self:
        """The plane of `latents` `(n, d)`; each axis points to where its largest coordinate is positive."""
        mean = latents.mean(axis=0, dtype=np.float64)
        centered = latents.astype(np.float64) - mean
        variances, directions = np.linalg.eigh(centered.T @ centered / len(centered))
        axes = np.zeros((latents.shape[1], 2))
        shares = [0.0, 0.0]
        for column in range(min(2, latents.shape[1])):
            axis = directions[:, -1 - column]
            axes[:, column] = axis * np.sign(axis[np.abs(axis).argmax()])
            shares[column] = float(max(variances[-1 - column], 0) / max(variances.sum(), np.finfo(float).tiny))
        return cls(mean, axes, shares)

    def project(self, latents: np.ndarray) -> np.ndarray:
        """Places `(n, 2)` of latents `(n, d)`."""
        return (latents.astype(np.float64) - self.mean) @ self.axes


@dataclass(frozen=True)
class LatentMap:
    """
    Texts on the principal plane of their latents.

    Args:
        texts (`list[str]`), latents (`np.ndarray` of shape `(n, d)`): In step; at least two.
        symbols (`np.ndarray` of shape `(n,)`, *optional*): Each text's symbol, if the model has symbols.
        plane ([`PrincipalPlane`]): Of the latents.
        places (`np.ndarray` of shape `(n, 2)`): Of the texts.
    """

    texts: list[str]
    latents: np.ndarray
    symbols: np.ndarray | None
    plane: PrincipalPlane
    places: np.ndarray

    @classmethod
    def of(cls, texts: Sequence[str], latents: np.ndarray, symbols: np.ndarray | None = None) -> Self:
        """
        Raises:
            ValueError: Without two texts, or not one latent for each.
        """
        if len(texts) < 2 or len(texts) != len(latents):
            raise ValueError(f"texts must be two or more with a latent each, got {len(texts)} and {len(latents)}")
        plane = PrincipalPlane.fit(latents)
        return cls(list(texts), latents, symbols, plane, plane.project(latents))

    @property
    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and the highest place that the map shows, `(2,)` each, of one width and height."""
        low, high = np.quantile(self.places, [0.002, 0.998], axis=0)  # a stray text does not make the rest a dot
        center, half = (low + high) / 2, 0.54 * max((high - low).max(), 1e-9)
        return center - half, center + half

    def nearest(self, latent: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the texts nearest to a latent `(d,)`, the nearest first, and their Euclidean distances."""
        distances = np.linalg.norm(self.latents - latent, axis=1)
        order = np.argsort(distances, kind="stable")[:number]
        return order, distances[order]

    def latent_at(self, x: float, y: float) -> np.ndarray:
        """
        A latent `(d,)` whose place is exactly `(x, y)`.

        What the plane does not show is as around there: the mean of the `NUM_SURROUNDING` texts that are nearest on
        the map, the nearer the heavier.
        """
        place = np.array([x, y], dtype=np.float64)
        distances = np.linalg.norm(self.places - place, axis=1)
        around = np.argsort(distances, kind="stable")[:NUM_SURROUNDING]
        width = max(distances[around].max(), 1e-9) / 2
        weights = np.exp(-0.5 * (distances[around] / width) ** 2)
        latent = weights @ self.latents[around].astype(np.float64) / weights.sum()
        return latent + self.plane.axes @ (place - self.plane.project(latent[None])[0])
