"""The two published toy distributions of points of the plane, with their modes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

CHUNK_SIZE = 100_000


@dataclass(frozen=True)
class GaussianGrid:
    """The published toy data of 16 Gaussians on a 4 x 4 grid, all equally likely.

    As published, centres at 4 * {-1, -1/3, 1/3, 1} and noise of 0.5, all divided by 1.414, then multiplied by 4: the
    coordinates of the centres are +-11.3 and +-3.77, the standard deviation is 1.41. Neighbours are 5.3 standard
    deviations apart. Mode `4 * i + j` is at the i-th smallest x and the j-th smallest y.
    """

    name: ClassVar[str] = "gaussians"
    num_modes: ClassVar[int] = 16
    std: ClassVar[float] = 0.5 / 1.414 * 4

    @property
    def weights(self) -> np.ndarray:
        """The probability of each mode, `(16,)`."""
        return np.full(self.num_modes, 1 / self.num_modes)

    @property
    def centers(self) -> np.ndarray:
        """`(16, 2)`, float64."""
        axis = np.array([-1, -1 / 3, 1 / 3, 1]) * 4 / 1.414 * 4
        return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)

    def sample(self, num_points: int, seed: int | Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Draw points, `(n, 2)` float32, and the mode of each, `(n,)` int64. `seed` is that of numpy's generator."""
        rng = np.random.default_rng(seed)
        labels = rng.integers(self.num_modes, size=num_points)
        points = self.centers[labels] + self.std * rng.standard_normal((num_points, 2))
        return points.astype(np.float32), labels

    def assign(self, points: np.ndarray, num_stds: float = 4.0) -> np.ndarray:
        """The nearest mode of each point; -1 where it is farther than `num_stds` standard deviations from all.

        At the default no place between the modes is off all of them, since four neighbours meet at 3.8 standard
        deviations: -1 is the surroundings of the grid. Below 2.67 the modes' discs are apart.

        Args:
            points (`np.ndarray` of shape `(n, 2)`): NaN and infinity are off every mode.

        Returns:
            `(n,)`, int64.
        """
        return _nearest(self._squared_distances(points), num_stds)

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """The logarithm of the density at `points` `(n, 2)`: `(n,)`, float64."""
        normalizer = math.log(self.num_modes * 2 * math.pi * self.std**2)
        return np.logaddexp.reduce(-self._squared_distances(points) / 2, axis=1) - normalizer

    def _squared_distances(self, points: np.ndarray) -> np.ndarray:
        """Of each point to each centre in standard deviations, `(n, 16)`."""
        points = _require_points(points)
        return np.stack([_sum_of_squares((points - center) / self.std) for center in self.centers], axis=1)


@dataclass(frozen=True)
class Pinwheel:
    """The published toy data of 10 curved arms, all equally likely.

    As published, r = 1 + 0.3 a and t = 0.1 b with a and b standard normal; the vector (r, t) is turned clockwise by
    `2 pi k / 10 + 0.25 exp(r)` on arm k, then multiplied by 2 and by 4. The arms run into one another near the
    origin. An arm's own coordinates are (a, b): how far out and how far sideways, in standard deviations.
    """

    name: ClassVar[str] = "pinwheel"
    num_modes: ClassVar[int] = 10
    radial_std: ClassVar[float] = 0.3
    tangential_std: ClassVar[float] = 0.1
    rate: ClassVar[float] = 0.25
    scale: ClassVar[float] = 8.0

    @property
    def weights(self) -> np.ndarray:
        """The probability of each mode, `(10,)`."""
        return np.full(self.num_modes, 1 / self.num_modes)

    def sample(self, num_points: int, seed: int | Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Draw points, `(n, 2)` float32, and the arm of each, `(n,)` int64. `seed` is that of numpy's generator."""
        rng = np.random.default_rng(seed)
        labels = rng.integers(self.num_modes, size=num_points)
        normal = rng.standard_normal((num_points, 2))
        return self._place(normal, labels).astype(np.float32), labels

    def assign(self, points: np.ndarray, num_stds: float = 4.0) -> np.ndarray:
        """The arm in whose own coordinates each point is nearest to the origin; -1 beyond `num_stds` in all.

        Args:
            points (`np.ndarray` of shape `(n, 2)`): NaN and infinity are off every mode.

        Returns:
            `(n,)`, int64.
        """
        chunks = [_nearest(_sum_of_squares(normal), num_stds) for normal, _ in self._arm_coordinates(points)]
        return np.concatenate(chunks)

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """The logarithm of the density at `points` `(n, 2)`: `(n,)`, float64.

        Exact within 4 standard deviations of an arm. Farther out two places of one arm can be turned onto the same
        point, of which one is counted.
        """
        # Turning by an angle that grows by g = rate exp(r) per r changes areas by the factor 1 + g t.
        normalizer = math.log(self.num_modes * 2 * math.pi * self.radial_std * self.tangential_std * self.scale**2)
        chunks = []
        for normal, area in self._arm_coordinates(points):
            chunks.append(np.logaddexp.reduce(-_sum_of_squares(normal) / 2 - np.log(np.abs(area)), axis=1))
        return np.concatenate(chunks) - normalizer

    def _place(self, normal: np.ndarray, arms: np.ndarray) -> np.ndarray:
        radial = 1 + self.radial_std * normal[:, 0]
        tangential = self.tangential_std * normal[:, 1]
        angles = self._angles(radial, arms)
        cos, sin = np.cos(angles), np.sin(angles)
        return self.scale * np.stack([radial * cos + tangential * sin, tangential * cos - radial * sin], axis=1)

    def _angles(self, radial: np.ndarray, arms: np.ndarray) -> np.ndarray:
        return 2 * math.pi / self.num_modes * arms + self.rate * np.exp(radial)

    def _arm_coordinates(self, points: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Chunks of `(n, 10, 2)`, the points in each arm's coordinates (infinite if out of reach), and `(n, 10)`,
        the factor by which the turning changes areas there.

        Turned back by the angle that belongs to r, a point must have the radial coordinate r; Newton's method finds
        it from the point's distance to the origin, which is r up to t^2 / 2r.
        """
        points = _require_points(points)
        arms = np.arange(self.num_modes)
        for start in range(0, max(len(points), 1), CHUNK_SIZE):
            x, y = points[start : start + CHUNK_SIZE].T / self.scale
            # Beyond any arm exp(r) would overflow; such points only have to stay out of reach.
            distance = np.hypot(x, y)[:, None]
            far = ~(distance < 5)
            distance = np.where(far, 5, distance)
            direction = np.where(far, 0, np.arctan2(y, x)[:, None])
            radial = np.repeat(distance, self.num_modes, axis=1)
            for _ in range(12):
                angles = direction + self._angles(radial, arms)
                slope = 1 + self.rate * np.exp(radial) * distance * np.sin(angles)
                step = (distance * np.cos(angles) - radial) / np.where(np.abs(slope) < 0.05, 0.05, slope)
                radial = np.clip(radial + step, -distance, distance)
            angles = direction + self._angles(radial, arms)
            tangential = distance * np.sin(angles)
            reached = ~far & (np.abs(distance * np.cos(angles) - radial) < 1e-6)
            normal = np.stack([(radial - 1) / self.radial_std, tangential / self.tangential_std], axis=-1)
            area = np.where(reached, 1 + self.rate * np.exp(radial) * tangential, 1)
            yield np.where(reached[..., None], normal, np.inf), area


POINT_DISTRIBUTIONS = {distribution.name: distribution for distribution in (GaussianGrid(), Pinwheel())}
"""The built-in distributions by the name that `load_points` knows them by."""


def _require_points(points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"points must be of shape (n, 2), got {points.shape}")
    return points


def _sum_of_squares(vectors: np.ndarray) -> np.ndarray:
    return np.square(vectors).sum(axis=-1)


def _nearest(squares: np.ndarray, num_stds: float) -> np.ndarray:
    """The mode of the smallest squared distance `(n, num_modes)`; -1 beyond `num_stds`, NaN being beyond."""
    modes = squares.argmin(axis=1)
    within = squares[np.arange(len(squares)), modes] <= num_stds**2
    return np.where(within, modes, -1)
