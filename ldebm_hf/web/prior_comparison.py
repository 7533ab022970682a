"""Priors side by side: what small models of points of the plane, each with a prior of its own, draw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch

from ..data import POINT_DISTRIBUTIONS
from ..model.modeling_ldebm import LDEBMModel
from ..scores import energy_distance, mode_scores
from ..scores.point_models import NUM_STDS
from .explorer import ONE_AT_A_TIME
from .explorer_requests import whole_number

PRIOR_TITLES = {
    "ldebm": "latent diffusion EBM",
    "svebm": "single-level EBM (SVEBM)",
    "vae": "standard normal (VAE)",
    "gm_vae": "mixture of Gaussians (GM-VAE)",
}
MIN_POINTS, MAX_POINTS = 100, 3000
MAX_SEED = 2**31 - 1


@dataclass(frozen=True)
class PriorDraw:
    """
    Args:
        model (`str`), title (`str`): Its folder's name, and what its prior is.
        points (`np.ndarray` of shape `(n, 2)`): Drawn from the prior through the decoder, with its noise.
        modes_covered (`int`), num_modes (`int`): As [`ModeScores`] counts them, and how many there are.
        off_mode (`float`): Share of the points off every mode.
        energy_distance (`float`): To as many true points, in their units.
    """

    model: str
    title: str
    points: np.ndarray
    modes_covered: int
    num_modes: int
    off_mode: float
    energy_distance: float


class PriorComparison:
    """
    Models of points of one known distribution.

    Args:
        data (`str`): Name of the distribution, `"gaussians"` or `"pinwheel"`.
        models (`dict[str, LDEBMModel]`): By name, in evaluation mode.
    """

    def __init__(self, data: str, models: dict[str, LDEBMModel]):
        if data not in POINT_DISTRIBUTIONS:
            raise ValueError(f"data must be one of {', '.join(POINT_DISTRIBUTIONS)}, got {data!r}")
        self.data, self.distribution, self.models = data, POINT_DISTRIBUTIONS[data], models

    @classmethod
    def from_folder(cls, folder: str | Path) -> Self:
        """
        The models in the folders of `folder`, which has the distribution's name.

        Raises:
            FileNotFoundError: Without any model.
        """
        folder = Path(folder)
        found = [path.name for path in sorted(folder.glob("*")) if (path / "config.json").is_file()]
        if not found:
            raise FileNotFoundError(f"no models of points in {str(folder)!r}")
        names = [name for name in PRIOR_TITLES if name in found] + [name for name in found if name not in PRIOR_TITLES]
        return cls(folder.name, {name: LDEBMModel.from_pretrained(folder / name).eval() for name in names})

    def true_points(self, num_points: int, seed: int) -> np.ndarray:
        """Points of the distribution itself, `(num_points, 2)`."""
        return self.distribution.sample(num_points, [seed, 1])[0]

    def draw(self, num_points: int = 1000, seed: int = 0) -> list[PriorDraw]:
        """
        So many points of each model's prior.

        Raises:
            BadRequest: For a number outside 100 to `MAX_POINTS`, and a seed that is no whole number from 0.
        """
        num_points = whole_number("number of points", num_points, MIN_POINTS, MAX_POINTS)
        seed = whole_number("seed", seed, 0, MAX_SEED)
        true = torch.from_numpy(self.true_points(num_points, seed))
        with ONE_AT_A_TIME:
            return [self._draw(name, model, true, seed) for name, model in self.models.items()]

    def _draw(self, name: str, model: LDEBMModel, true: torch.Tensor, seed: int) -> PriorDraw:
        generator = torch.Generator(model.device).manual_seed(seed)
        points = model.generate(num_samples=len(true), do_sample=True, generator=generator).float().cpu()
        modes = mode_scores(self.distribution.assign(points.numpy(), NUM_STDS), self.distribution.weights)
        return PriorDraw(
            name,
            PRIOR_TITLES.get(name, name),
            points.numpy(),
            modes.modes_covered,
            len(self.distribution.weights),
            modes.off_mode,
            energy_distance(points, true),
        )
