"""Scores of a model of points on held-out points: samples, latents and symbols."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from .distances import energy_distance, sliced_wasserstein
from .mode_coverage import mode_scores
from .symbol_agreement import symbol_scores

if TYPE_CHECKING:
    from ..data import GaussianGrid, Pinwheel, PointSplit
    from ..model.modeling_ldebm import LDEBMModel

NUM_STDS = 3.0
"""How far from a mode its samples may be, in standard deviations: about one true sample in 200 is farther from all. At
4 there would be no place between the Gaussians of the grid that is off every mode."""
BATCH_SIZE = 2000


@dataclass
class PointSamples:
    """
    What a model makes of held-out points and of its prior.

    Args:
        data (`np.ndarray` of shape `(n, 2)`): the points, at most as many as samples were asked for.
        posterior_points (`np.ndarray` of shape `(n, 2)`): drawn from p(x|z) of `posterior_latents`.
        reconstructions (`np.ndarray` of shape `(n, 2)`): the means of p(x|z) at the posteriors' likeliest latents.
        prior_points (`np.ndarray` of shape `(num_samples, 2)`): drawn from p(x|z) of `prior_latents`.
        posterior_latents (`np.ndarray` of shape `(n, total_latent_size)`): a draw from q(z|x) of each point.
        prior_latents (`np.ndarray` of shape `(num_samples, total_latent_size)`): draws from the prior.
        gaussian_size (`int`): how many leading coordinates of a latent are no codes.
        classes (`np.ndarray` of shape `(n,)`): the points' classes, negative where unknown.
        symbols (`np.ndarray` of shape `(n,)`, *optional*): the likeliest symbol of each point.
    """

    data: np.ndarray
    posterior_points: np.ndarray
    reconstructions: np.ndarray
    prior_points: np.ndarray
    posterior_latents: np.ndarray
    prior_latents: np.ndarray
    gaussian_size: int
    classes: np.ndarray
    symbols: np.ndarray | None

    def save(self, path: Path) -> None:
        """Write an .npz file."""
        temporary = path.with_name(f".{path.name}.tmp")
        with temporary.open("wb") as file:
            np.savez_compressed(file, **{name: value for name, value in vars(self).items() if value is not None})
        os.replace(temporary, path)

    @classmethod
    def load(cls, path: Path) -> PointSamples:
        """Read what `save` wrote."""
        with np.load(path) as arrays:
            values = {"symbols": None, **arrays}
        return cls(**values | {"gaussian_size": int(values["gaussian_size"])})


@torch.no_grad()
def draw_samples(model: LDEBMModel, split: PointSplit, num_samples: int = 10_000, seed: int = 0) -> PointSamples:
    """Draw [`PointSamples`] of a model of points, in evaluation mode.

    Args:
        split (`PointSplit`): held-out points; the first `num_samples` are used.
        num_samples (`int`, *optional*, defaults to 10000): samples of the prior.
        seed (`int`, *optional*, defaults to 0): of all noise.
    """
    model.eval()
    generator = torch.Generator(model.device).manual_seed(seed)
    points = torch.from_numpy(split.points[:num_samples]).to(model.device)
    parts = [model.posterior(points=part).sample(generator, relaxed=False) for part in points.split(BATCH_SIZE)]
    symbols = None
    if model.has_symbols:
        symbols = torch.cat([model.infer_symbols(points=part).argmax(-1) for part in points.split(BATCH_SIZE)])
        symbols = symbols.cpu().numpy()
    latents = torch.cat(parts)
    prior_latents = model.sample_latents(num_samples, batch_size=BATCH_SIZE, generator=generator)
    tensors = {
        "data": points,
        "posterior_points": model.generate(latents=latents, do_sample=True, generator=generator),
        "reconstructions": model.generate(points=points),
        "prior_points": model.generate(latents=prior_latents, do_sample=True, generator=generator),
        "posterior_latents": latents,
        "prior_latents": prior_latents,
    }
    return PointSamples(
        **{name: tensor.float().cpu().numpy() for name, tensor in tensors.items()},
        gaussian_size=model.config.gaussian_size,
        classes=np.asarray(split.labels[:num_samples]),
        symbols=symbols,
    )


def score_points(
    model: LDEBMModel,
    split: PointSplit,
    distribution: GaussianGrid | Pinwheel | None = None,
    num_samples: int = 10_000,
    seed: int = 0,
) -> dict[str, float]:
    """Score a model on held-out points.

    Args:
        split (`PointSplit`), num_samples (`int`), seed (`int`): as in [`draw_samples`].
        distribution (*optional*): what the points are from, one of `POINT_DISTRIBUTIONS`, for the scores of modes.

    Returns:
        `dict[str, float]`:

        - of the prior's points, with the decoder's noise: `modes_covered`, `weight_error`, `off_mode` (with
          `distribution`), `x_energy_distance`, `x_sliced_wasserstein`, in the units of the points;
        - of the points drawn from the posterior's latents: `posterior_off_mode`, what decoding alone puts off
          the modes;
        - of reconstructions: `reconstruction_rms`, the root mean square of their distances to the points;
        - of the prior's latents against the posterior's: `z_energy_distance`, `z_sliced_wasserstein`, in standard
          deviations of the latter in each dimension;
        - of symbols, where the model has them and classes are known: the fields of [`SymbolScores`].
    """
    return score_samples(draw_samples(model, split, num_samples, seed), distribution, seed)


def score_samples(
    samples: PointSamples, distribution: GaussianGrid | Pinwheel | None = None, seed: int = 0
) -> dict[str, float]:
    """As [`score_points`], of what is drawn already; `seed` is of the sliced distances and of the chance level."""
    scores = _point_scores(samples.prior_points, samples.data, distribution, seed)
    if distribution is not None:
        posterior_modes = mode_scores(distribution.assign(samples.posterior_points, NUM_STDS), distribution.weights)
        scores["posterior_off_mode"] = posterior_modes.off_mode
    errors = samples.reconstructions - samples.data
    scores["reconstruction_rms"] = float(np.sqrt((errors**2).sum(-1).mean()))
    mean, std = samples.posterior_latents.mean(0), samples.posterior_latents.std(0)
    std = np.where(std > 0, std, 1)  # a category that no point has
    latents = [(z - mean) / std for z in (samples.prior_latents, samples.posterior_latents)]
    scores |= {f"z_{name}": value for name, value in _distances(*latents, seed).items()}
    if samples.symbols is not None and (samples.classes >= 0).any():
        scores |= asdict(symbol_scores(samples.symbols, samples.classes, seed=seed))
    return scores


def floor_scores(
    split: PointSplit, distribution: GaussianGrid | Pinwheel | None = None, num_samples: int = 10_000, seed: int = 0
) -> dict[str, float]:
    """What a perfect model would score: fresh true points in the place of the prior's.

    Without a `distribution` to draw them from, the second half of the held-out points stands against the first.
    Arguments and scores (those of the prior's points alone) as in [`score_points`].
    """
    data = split.points[:num_samples]
    if distribution is None:
        first, second = np.array_split(data, 2)
    else:
        first, second = data, distribution.sample(num_samples, [seed, 3])[0]
    return _point_scores(second, first, distribution, seed)


def _point_scores(points: np.ndarray, data: np.ndarray, distribution, seed: int) -> dict[str, float]:
    scores: dict[str, float] = {}
    if distribution is not None:
        scores |= asdict(mode_scores(distribution.assign(points, num_stds=NUM_STDS), distribution.weights))
    return scores | {f"x_{name}": value for name, value in _distances(points, data, seed).items()}


def _distances(first: np.ndarray, second: np.ndarray, seed: int) -> dict[str, float]:
    tensors = torch.from_numpy(first), torch.from_numpy(second)
    generator = torch.Generator().manual_seed(seed)
    return {
        "energy_distance": energy_distance(*tensors),
        "sliced_wasserstein": sliced_wasserstein(*tensors, generator=generator),
    }
