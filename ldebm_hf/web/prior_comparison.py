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
POOL_SIZE = 2 * MAX_POINTS
"""Points that are drawn from each model once, for all requests."""
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
        self._pools: dict[str, np.ndarray] = {}

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

    def prepare(self) -> None:
        """Draw the points that all requests choose from."""
        for name in self.models:
            self._pool(name)

    def true_points(self, num_points: int, seed: int) -> np.ndarray:
        """Points of the distribution itself, `(num_points, 2)`."""
        return self.distribution.sample(num_points, [seed, 1])[0]

    def draw(self, num_points: int = 1000, seed: int = 0) -> list[PriorDraw]:
        """
        `num_points` samples of each model, chosen by the seed among `POOL_SIZE` samples that serve all requests.

        Raises:
            BadRequest: For a number of points outside `MIN_POINTS` to `MAX_POINTS`, or a seed outside 0 to `MAX_SEED`.
        """
        num_points = whole_number("number of points", num_points, MIN_POINTS, MAX_POINTS)
        seed = whole_number("seed", seed, 0, MAX_SEED)
        true = self.true_points(num_points, seed)
        return [self._draw(name, true, seed) for name in self.models]

    def _draw(self, name: str, true: np.ndarray, seed: int) -> PriorDraw:
        pool = self._pool(name)
        points = pool[np.random.default_rng([seed, 2]).choice(len(pool), len(true), replace=False)]
        modes = mode_scores(self.distribution.assign(points, NUM_STDS), self.distribution.weights)
        return PriorDraw(
            name,
            PRIOR_TITLES.get(name, name),
            points,
            modes.modes_covered,
            len(self.distribution.weights),
            modes.off_mode,
            energy_distance(torch.from_numpy(points), torch.from_numpy(true)),
        )

    def _pool(self, name: str) -> np.ndarray:
        """Points of a model, from which those of all requests are chosen; they are drawn when first asked for."""
        with ONE_AT_A_TIME:
            if name not in self._pools:
                model = self.models[name]
                generator = torch.Generator(model.device).manual_seed(0)
                points = model.generate(num_samples=POOL_SIZE, do_sample=True, generator=generator)
                self._pools[name] = points.float().cpu().numpy()
            return self._pools[name]
