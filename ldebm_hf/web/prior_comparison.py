"""Comparison of priors: samples of small models of points in the plane that differ in their priors."""

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
from .limits import whole_number
from .page_requests import ONE_AT_A_TIME

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
        model (`str`), title (`str`): The name of the model's folder, and the name of its prior for the visitor.
        points (`np.ndarray` of shape `(n, 2)`): Samples of the prior, decoded, with the decoder's noise.
        modes_covered (`int`), num_modes (`int`): Number of modes covered, as in [`ModeScores`], and of all modes.
        off_mode (`float`): Fraction of the points that lie on no mode.
        energy_distance (`float`): Energy distance to as many true points, in their units.
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
    Models of the points of one known distribution.

    Args:
        data (`str`): Name of the distribution, `"gaussians"` or `"pinwheel"`.
        models (`dict[str, LDEBMModel]`): The models by name, in evaluation mode.
    """

    def __init__(self, data: str, models: dict[str, LDEBMModel]):
        if data not in POINT_DISTRIBUTIONS:
            raise ValueError(f"data must be one of {', '.join(POINT_DISTRIBUTIONS)}, got {data!r}")
        self.data, self.distribution, self.models = data, POINT_DISTRIBUTIONS[data], models

    @classmethod
    def from_folder(cls, folder: str | Path) -> Self:
        """
        The models in the subfolders of `folder`, whose own name is that of the distribution.

        Raises:
            FileNotFoundError: If there is no model in it.
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
        `num_points` samples of each model.

        Raises:
            BadRequest: For a number of points outside `MIN_POINTS` to `MAX_POINTS`, or a seed outside 0 to `MAX_SEED`.
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
