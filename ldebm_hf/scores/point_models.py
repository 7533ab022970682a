"""Scores of a model of points on held-out points: of its samples, latents and symbols."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..files.atomic import write_file
from .distances import energy_distance, sliced_wasserstein
from .mode_coverage import mode_scores
from .symbol_agreement import symbol_scores

if TYPE_CHECKING:
    from ..data import GaussianGrid, Pinwheel, PointSplit
    from ..model.modeling_ldebm import LDEBMModel

NUM_STDS = 3.0
"""Maximum distance of a sample from its mode, in standard deviations: about one true sample in 200 is farther away.
With 4, no point between the Gaussians of the grid would be off every mode."""
BATCH_SIZE = 2000


@dataclass
class PointSamples:
    """
    Held-out points, and samples of a model's posterior and prior.

    Args:
        data (`np.ndarray` of shape `(n, 2)`): The held-out points, at most `num_samples` of them.
        posterior_points (`np.ndarray` of shape `(n, 2)`): Samples of p(x|z) at `posterior_latents`.
        reconstructions (`np.ndarray` of shape `(n, 2)`): Means of p(x|z) at the modes of the posteriors.
        prior_points (`np.ndarray` of shape `(num_samples, 2)`): Samples of p(x|z) at `prior_latents`.
        posterior_latents (`np.ndarray` of shape `(n, total_latent_size)`): A sample of q(z|x) for each point.
        prior_latents (`np.ndarray` of shape `(num_samples, total_latent_size)`): Samples of the prior.
        gaussian_size (`int`): Number of leading coordinates of a latent that are not codes.
        classes (`np.ndarray` of shape `(n,)`): Classes of the points, negative where unknown.
        symbols (`np.ndarray` of shape `(n,)`, *optional*): The most probable symbol of each point.
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
        arrays = {name: value for name, value in vars(self).items() if value is not None}

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.savez_compressed(file, **arrays)

        write_file(path, write)

    @classmethod
    def load(cls, path: Path) -> PointSamples:
        """Load what [`save`] wrote."""
        with np.load(path) as arrays:
            values = {"symbols": None, **arrays}
        return cls(**values | {"gaussian_size": int(values["gaussian_size"])})


@torch.no_grad()
def draw_samples(model: LDEBMModel, split: PointSplit, num_samples: int = 10_000, seed: int = 0) -> PointSamples:
    """
    Draw samples of the posterior and the prior of a model of points, which is put into evaluation mode.

    Args:
        model ([`LDEBMModel`]): A model of points.
        split (`PointSplit`): Held-out points, of which the first `num_samples` are used.
        num_samples (`int`, *optional*, defaults to 10000): Number of samples of the prior.
        seed (`int`, *optional*, defaults to 0): Seed of all noise.
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
    """
    Score a model on held-out points.

    Args:
        model ([`LDEBMModel`]): A model of points.
        split (`PointSplit`): Held-out points, of which the first `num_samples` are used.
        distribution (*optional*): The distribution of the points, one of `POINT_DISTRIBUTIONS`, for the scores of its
            modes.
        num_samples (`int`, *optional*, defaults to 10000): Number of samples of the prior.
        seed (`int`, *optional*, defaults to 0): Seed of all noise.

    Returns:
        `dict[str, float]`:

        - for points sampled from the prior, with the decoder's noise: `modes_covered`, `weight_error` and `off_mode`
          (if `distribution` is given), and `x_energy_distance` and `x_sliced_wasserstein` in the units of the points;
        - for points sampled from the posteriors: `posterior_off_mode`, the fraction off every mode due to decoding
          alone;
        - for reconstructions: `reconstruction_rms`, the root mean square of their distances to the points;
        - for latents of the prior against those of the posteriors: `z_energy_distance` and `z_sliced_wasserstein`, in
          units of the latter's standard deviation in each dimension;
        - for symbols, if the model has any and classes are known: the fields of [`SymbolScores`].
    """
    return score_samples(draw_samples(model, split, num_samples, seed), distribution, seed)


def score_samples(
    samples: PointSamples, distribution: GaussianGrid | Pinwheel | None = None, seed: int = 0
) -> dict[str, float]:
    """As [`score_points`], for given samples; `seed` is that of the sliced distances and of the chance level."""
    scores = _point_scores(samples.prior_points, samples.data, distribution, seed)
    if distribution is not None:
        posterior_modes = mode_scores(distribution.assign(samples.posterior_points, NUM_STDS), distribution.weights)
        scores["posterior_off_mode"] = posterior_modes.off_mode
    errors = samples.reconstructions - samples.data
    scores["reconstruction_rms"] = float(np.sqrt((errors**2).sum(-1).mean()))
    mean, std = samples.posterior_latents.mean(0), samples.posterior_latents.std(0)
    std = np.where(std > 0, std, 1)  # a category of a code that no point has
    latents = [(z - mean) / std for z in (samples.prior_latents, samples.posterior_latents)]
    scores |= {f"z_{name}": value for name, value in _distances(*latents, seed).items()}
    if samples.symbols is not None and (samples.classes >= 0).any():
        scores |= asdict(symbol_scores(samples.symbols, samples.classes, seed=seed))
    return scores


def floor_scores(
    split: PointSplit, distribution: GaussianGrid | Pinwheel | None = None, num_samples: int = 10_000, seed: int = 0
) -> dict[str, float]:
    """
    The scores of a perfect model: true points take the place of the samples of the prior.

    They are drawn from `distribution`. Without one, the second half of the held-out points is compared with the first.
    Arguments are as in [`score_points`], and so are the scores, of which only those of the prior's points exist.
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
