"""A map of latents: their first two principal components, the places of texts on it, and the latents of places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

NUM_SURROUNDING = 12
"""Number of surrounding texts that determine the dimensions of a latent that the map does not show."""


@dataclass(frozen=True)
class PrincipalPlane:
    """
    The plane of the first two principal components.

    Args:
        mean (`np.ndarray` of shape `(d,)`): Mean of the latents, in float64.
        axes (`np.ndarray` of shape `(d, 2)`): Orthonormal directions; the second one is zero if d is 1.
        explained (`list[float]`): Fraction of the variance that each component explains.
    """

    mean: np.ndarray
    axes: np.ndarray
    explained: list[float]

    @classmethod
    def fit(cls, latents: np.ndarray) -> Self:
        """The plane of `latents` `(n, d)`; the largest coordinate of each axis is positive."""
        from sklearn.decomposition import PCA

        num_components = min(2, *latents.shape)
        with np.errstate(invalid="ignore", divide="ignore"):  # the variance of one latent, or of equal ones
            pca = PCA(num_components, svd_solver="full").fit(latents.astype(np.float64))
        axes, explained = np.zeros((latents.shape[1], 2)), np.zeros(2)
        axes[:, :num_components] = pca.components_.T
        explained[:num_components] = np.nan_to_num(pca.explained_variance_ratio_)
        return cls(pca.mean_, axes, explained.tolist())

    def project(self, latents: np.ndarray) -> np.ndarray:
        """The places `(n, 2)` of latents `(n, d)`."""
        return (latents.astype(np.float64) - self.mean) @ self.axes


@dataclass(frozen=True)
class LatentMap:
    """
    Texts on the principal plane of their latents; [`LatentMap.fit`] makes one.

    Args:
        texts (`list[str]`): At least two texts.
        latents (`np.ndarray` of shape `(n, d)`): The latent of each text.
        symbols (`np.ndarray` of shape `(n,)`, *optional*): The symbol of each text, if the model has symbols.
        plane ([`PrincipalPlane`]): The plane of the latents.
        places (`np.ndarray` of shape `(n, 2)`): The place of each text on the plane.
    """

    texts: list[str]
    latents: np.ndarray
    symbols: np.ndarray | None
    plane: PrincipalPlane
    places: np.ndarray

    @classmethod
    def fit(cls, texts: Sequence[str], latents: np.ndarray, symbols: np.ndarray | None = None) -> Self:
        """
        Map texts by their latents; arguments as above.

        Raises:
            ValueError: There are fewer than two texts, or not one latent for each.
        """
        if len(texts) < 2 or len(texts) != len(latents):
            raise ValueError(f"texts must be two or more with a latent each, got {len(texts)} and {len(latents)}")
        plane = PrincipalPlane.fit(latents)
        return cls(list(texts), latents, symbols, plane, plane.project(latents))

    @property
    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and the highest place that the map shows, `(2,)` each; the map is a square."""
        center, half = central_square(self.places)
        return center - 1.08 * half, center + 1.08 * half

    def latent_at(self, x: float, y: float) -> np.ndarray:
        """
        A latent `(d,)` whose place is exactly `(x, y)`.

        In the dimensions that the map does not show, it is the weighted mean of the `NUM_SURROUNDING` texts that are
        nearest on the map; nearer texts weigh more.
        """
        place = np.array([x, y], dtype=np.float64)
        distances = np.linalg.norm(self.places - place, axis=1)
        around = np.argsort(distances, kind="stable")[:NUM_SURROUNDING]
        width = max(distances[around].max(), 1e-9) / 2
        weights = np.exp(-0.5 * (distances[around] / width) ** 2)
        latent = weights @ self.latents[around].astype(np.float64) / weights.sum()
        return latent + self.plane.axes @ (place - self.plane.project(latent[None])[0])


def central_square(places: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre `(2,)` and half the side of a square around all places `(n, 2)` but outliers (0.2 % at either end)."""
    low, high = np.quantile(places, [0.002, 0.998], axis=0)
    return (low + high) / 2, max((high - low).max() / 2, 1e-9)
