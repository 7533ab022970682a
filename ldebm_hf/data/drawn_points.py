"""Points drawn from the two published toy distributions, as corpora."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from .point_distributions import GaussianGrid, Pinwheel
from .schema import Corpus, PointSplit
from .sources import OWN_LICENSE, InMemorySource, Origin
from .splits import check_validation_fraction

TOY = "The points are drawn from a toy distribution and stand for nothing."


@dataclass(kw_only=True)
class DrawnPoints(InMemorySource):
    """Points drawn from a distribution, whose modes are their labels.

    Args:
        num_points (`int`, *optional*, defaults to 100000): the number of training points.
        validation_fraction (`float`, *optional*, defaults to 0.1): this many validation points for each training
            point are drawn as well, independently.

    Class attributes:
        distribution (`GaussianGrid` or `Pinwheel`): what they are drawn from.
    """

    modality: ClassVar[Literal["text", "point"]] = "point"
    distribution: ClassVar[GaussianGrid | Pinwheel]

    num_points: int = 100_000
    validation_fraction: float = 0.1

    def read(self) -> Corpus:
        check_validation_fraction(self.validation_fraction)
        if self.num_points < 1:
            raise ValueError(f"num_points must be at least 1, got {self.num_points}")
        num_validation = max(1, round(self.validation_fraction * self.num_points))
        # Numpy takes [seed, 0] for the same seed as `seed` alone, which a caller may use for points of their own.
        train = PointSplit(*self.distribution.sample(self.num_points, [self.seed, 1]))
        validation = PointSplit(*self.distribution.sample(num_validation, [self.seed, 2]))
        return Corpus(
            name=self.name,
            train=train,
            validation=validation,
            label_names=[f"mode {mode}" for mode in range(self.distribution.num_modes)],
            license=OWN_LICENSE,
            notes=[
                f"{self.num_points:,} training and {num_validation:,} validation points drawn from the distribution "
                f"{self.name!r} with seed {self.seed}"
            ],
        )


@dataclass(kw_only=True)
class GaussianPoints(DrawnPoints):
    """Points of 16 Gaussians on a grid."""

    name: ClassVar[str] = GaussianGrid.name
    distribution: ClassVar[GaussianGrid] = GaussianGrid()
    origin: ClassVar[Origin] = Origin(
        "Gaussians on a grid", "points of a mixture of 16 Gaussians", OWN_LICENSE, TOY, None
    )


@dataclass(kw_only=True)
class PinwheelPoints(DrawnPoints):
    """Points of a pinwheel of ten arms."""

    name: ClassVar[str] = Pinwheel.name
    distribution: ClassVar[Pinwheel] = Pinwheel()
    origin: ClassVar[Origin] = Origin("pinwheel", "points of a pinwheel of ten arms", OWN_LICENSE, TOY, None)
