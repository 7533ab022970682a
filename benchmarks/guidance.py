"""Whether samples keep up with the guidance: steered samples of models of points against exact conditionals.

    python examples/train.py --config pinwheel
    python benchmarks/guidance.py spaces_app/priors/gaussians/ldebm outputs/pinwheel

With two latent dimensions every level's conditional is known on a grid, so that samples of the model's prior can be
drawn without chains: from z_T on, each level's z̃_t is drawn from the grid given z_{t+1}, for the symbol and guidance.
The energy distance is the mean over symbols of that of z_0 to such samples, and the null that of a second set of them.
A symbol asks for the mode on which most points lie that the model reads as it; the share is that of its samples, with
the decoder's noise, within three standard deviations of this mode.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from ldebm_hf import LDEBMModel
from ldebm_hf.commands.options import list_of, run_script
from ldebm_hf.data import POINT_DISTRIBUTIONS
from ldebm_hf.reports.tables import markdown_table
from ldebm_hf.scores import energy_distance
from ldebm_hf.scores.point_models import NUM_STDS

HALF_WIDTH, SPACING = 8.0, 0.03  # of the grid, in units of the scaled latents; levels' widths are 0.05 or more
NUM_POINTS = 5000  # points by which the mode of each symbol is found


class ExactPrior:
    """
    Samples of a diffusion prior with two latent dimensions, without chains.

    Args:
        prior ([`DiffusionPrior`]): The prior.
    """

    def __init__(self, prior):
        self.prior = prior
        self.axis = torch.arange(-HALF_WIDTH, HALF_WIDTH, SPACING)
        grid = torch.cartesian_prod(self.axis, self.axis)
        self.logits = [self._logits(grid, t) for t in range(prior.config.num_levels)]

    def _logits(self, grid: torch.Tensor, level: int) -> torch.Tensor:
        parts = [self.prior.energy(part, torch.full((len(part),), level)) for part in grid.split(20_000)]
        return torch.cat(parts).view(len(self.axis), len(self.axis), -1)

    def sample(self, num_samples: int, symbol: int, guidance_scale: float, generator: torch.Generator) -> torch.Tensor:
        """z_0 for a symbol, `(num_samples, 2)`."""
        levels = self.prior.levels
        z = torch.randn(num_samples, 2, generator=generator)
        for t in reversed(range(self.prior.config.num_levels)):
            logits = self.logits[t].double()
            free_energy = logits.logsumexp(-1)
            energy = free_energy / levels.temperature[t] + guidance_scale * (logits[..., symbol] - free_energy)
            z = self._draw(energy, z, t, generator) / levels.latent_scale[t]
        return z

    def _draw(self, energy: torch.Tensor, z_next: torch.Tensor, level: int, generator) -> torch.Tensor:
        """z̃_t: a cell of the grid for each row, first its x given z_{t+1} and then its y, and a place in the cell."""
        tilt = (energy - energy.max()).exp()
        mean, variance = self.prior.level_gaussian(z_next, torch.full((len(z_next),), level))
        along_x, along_y = (
            (-(self.axis.double() - center[:, None].double()).square() / (2 * variance)).exp() for center in mean.T
        )
        x = (along_x * (along_y @ tilt.T)).multinomial(1, generator=generator)[:, 0]
        y = (along_y * tilt[x]).multinomial(1, generator=generator)[:, 0]
        cells = torch.stack([self.axis[x], self.axis[y]], 1)
        return cells + SPACING * (torch.rand(cells.shape, generator=generator) - 0.5)


def modes_of_symbols(model: LDEBMModel, distribution) -> np.ndarray:
    """The mode that each symbol asks for, `(num_symbols,)`; -1 for a symbol that no point has."""
    points, modes = distribution.sample(NUM_POINTS, seed=7)
    symbols = model.infer_symbols(points=torch.from_numpy(points)).argmax(-1).numpy()
    asked = np.full(model.config.num_labels, -1)
    for symbol in np.unique(symbols):
        asked[symbol] = np.bincount(modes[symbols == symbol]).argmax()
    return asked


@torch.no_grad()
def measure(model: LDEBMModel, distribution, guidance_scales: list[float], num_samples: int) -> list[dict[str, str]]:
    """Rows of the table for a model; `num_samples` of each symbol."""
    prior, num_symbols, num_levels = model.prior, model.config.num_labels, model.config.num_levels
    exact, asked = ExactPrior(prior), modes_of_symbols(model, distribution)
    labels = torch.arange(num_symbols).repeat_interleave(num_samples)
    rows = []

    def chains(guidance_scale: float, steps: str, num_steps: int | None = None) -> tuple[torch.Tensor, str]:
        model.config.guided_steps = steps
        output = model.sample_latents(
            class_labels=labels,
            guidance_scale=guidance_scale,
            num_langevin_steps=num_steps,
            generator=1,
            return_diagnostics=True,
        )
        unsettled = (~output.diagnostics.settled(2)).nonzero()[:, 0].tolist()
        return output.latents.view(num_symbols, num_samples, 2), ", ".join(map(str, unsettled)) or "none"

    for scale in guidance_scales:
        generator = torch.Generator().manual_seed(0)
        reference, other = torch.stack(
            [exact.sample(2 * num_samples, symbol, scale, generator) for symbol in range(num_symbols)]
        ).split(num_samples, dim=1)
        fixed, adaptive = model.config.langevin_steps, 2 * model.config.langevin_steps
        samplers = {
            "exact": (other, ""),
            f"fixed, {fixed} steps": chains(scale, "fixed"),
            f"fixed, {10 * fixed} steps": chains(scale, "fixed", 10 * fixed),
            "adaptive (default)": chains(scale, "adaptive"),
            f"adaptive, {fixed} steps": chains(scale, "adaptive", fixed),
        }
        gradients = [
            "0",
            str(num_levels * fixed),
            str(num_levels * 10 * fixed),
            str((num_levels - 1) * (adaptive + 1) + 2 * adaptive + 1),
            str(num_levels * (fixed + 1)),
        ]
        for (name, (latents, unsettled)), cost in zip(samplers.items(), gradients, strict=True):
            pairs = zip(latents, reference, strict=True)
            distance = np.mean([energy_distance(*pair) if pair[0].isfinite().all() else np.inf for pair in pairs])
            points = model.generate(latents=latents.reshape(-1, 2), do_sample=True, generator=2).numpy()
            reached = distribution.assign(points, NUM_STDS).reshape(num_symbols, -1) == asked[:, None]
            shares = 100 * reached.mean(1)
            rows.append({
                "points": distribution.name,
                "guidance": f"{scale:g}",
                "sampler": name,
                "gradients per sample": cost,
                "energy distance": f"{distance:.4f}",
                "asked mode reached, %": f"{shares.mean():.1f}",
                "of the worst symbol, %": f"{shares.min():.1f}",
                "levels that did not settle": unsettled,
            })  # fmt: skip
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="folders of models of points, named or inside of folders "
                        "named gaussians or pinwheel")  # fmt: skip
    parser.add_argument("--guidance_scales", type=list_of(float), default=[1.0, 2.0, 4.0, 8.0, 16.0], metavar="A,B")
    parser.add_argument("--num_samples", type=int, default=250, help="latents of each symbol (default 250)")
    options = parser.parse_args()
    rows = []
    for path in options.models:
        known = [POINT_DISTRIBUTIONS[part] for part in path.parts if part in POINT_DISTRIBUTIONS]
        if not known:
            parser.error(f"the path must have a part named {' or '.join(POINT_DISTRIBUTIONS)}, got {path}")
        model = LDEBMModel.from_pretrained(path)
        rows += measure(model, known[-1], options.guidance_scales, options.num_samples)
    print(markdown_table({name: [row[name] for row in rows] for name in rows[0]}))


if __name__ == "__main__":
    run_script(main)
