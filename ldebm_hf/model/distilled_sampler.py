r"""
A sampler without gradients for the diffusion prior: each level's chain distilled into a draw, and its exact check.

The density of a level is a Gaussian tilted by the energy, p(z̃_t | z_{t+1}) ∝ N(z̃_t; m, v I) exp E(z̃_t). A small
network per level reads z_{t+1} and the symbol, and gives a mixture of Gaussians q over the standardised state
u = (z̃_t - m) / √v. It is fitted to states of the model's own Langevin chains (`distillation.py`). A mixture suits the
density: F is the logsumexp of one output per symbol, so that exp F times a Gaussian is a sum of one tilted Gaussian
per symbol.

Since q is known, so is the importance weight of a draw, w(u) = exp(E) N(u; 0, I) / q(u), up to the level's normaliser.
From several independent draws, independence Metropolis steps (Tierney, Annals of Statistics 1994) choose one: from
the state u to the next draw u' with probability min(1, w(u') / w(u)). They leave the level's density invariant,
whatever q is, and approach it at the rate 1 - 1 / max w of normalised weights. They need the energy at each draw, and
no gradient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .energy import EnergyLinear, draw_weights
from .noise import draw, gaussian_like, gumbel_like
from .tilted_chains import ChainDiagnostics, TiltedGaussian

DEFAULT_PROPOSALS = 4
"""Draws from the network per level and sample, unless a call says otherwise."""
SMALLEST_LOG_STD, LARGEST_LOG_STD = -5.0, 2.0
"""Limits of the logarithms of the components' standard deviations, in units of the level's Gaussian."""
FIRST_MEANS_STD = 0.5
"""Standard deviation of the components' means before the fit; equal components would stay equal."""


@dataclass(frozen=True)
class DiagonalMixture:
    """
    A mixture of C Gaussians with diagonal covariances for each row.

    Args:
        log_weights (`torch.Tensor` of shape `(num_rows, C)`): Logarithms of the components' weights.
        means (`torch.Tensor` of shape `(num_rows, C, size)`): Their means.
        log_stds (`torch.Tensor` of shape `(num_rows, C, size)`): Logarithms of their standard deviations.
    """

    log_weights: torch.Tensor
    means: torch.Tensor
    log_stds: torch.Tensor

    def sample(self, num_draws: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """`num_draws` independent draws for each row, `(num_draws, num_rows, size)`."""
        log_weights = self.log_weights.expand(num_draws, *self.log_weights.shape)
        component = (log_weights + gumbel_like(log_weights, generator)).argmax(-1)
        row = torch.arange(len(self.means), device=component.device)
        means = self.means[row, component]
        return means + self.log_stds[row, component].exp() * gaussian_like(means, generator)

    def log_prob(self, states: torch.Tensor) -> torch.Tensor:
        """Log-density in nats, `(num_draws, num_rows)`, of states `(num_draws, num_rows, size)`."""
        standardized = (states[:, :, None] - self.means) * (-self.log_stds).exp()
        of_components = -(standardized.square() / 2 + self.log_stds).sum(-1)
        constant = states.shape[-1] / 2 * math.log(2 * math.pi)
        return (self.log_weights + of_components).logsumexp(-1) - constant


class LevelProposal(nn.Module):
    """
    The network of one level: from z_{t+1} and the symbol to a [`DiagonalMixture`] over u.

    Args:
        latent_size (`int`): Size d of the latent.
        num_symbols (`int`): Number of symbols.
        hidden_size (`int`): Width of the two hidden layers.
        num_components (`int`): Number of components of the mixture.
    """

    def __init__(self, latent_size: int, num_symbols: int, hidden_size: int, num_components: int):
        super().__init__()
        self.num_symbols, self.num_components = num_symbols, num_components
        self.first = EnergyLinear(latent_size + num_symbols, hidden_size)
        self.second = EnergyLinear(hidden_size, hidden_size)
        self.output = EnergyLinear(hidden_size, num_components * (2 * latent_size + 1))

    def forward(self, z_next: torch.Tensor, class_labels: torch.Tensor | None = None) -> DiagonalMixture:
        """
        Args:
            z_next (`torch.Tensor` of shape `(batch_size, latent_size)`): z_{t+1}.
            class_labels (`torch.LongTensor` of shape `(batch_size,)`, *optional*): Symbols; -1 for none.
        """
        if class_labels is None:
            symbols = z_next.new_zeros(len(z_next), self.num_symbols)
        else:
            symbols = F.one_hot(class_labels + 1, self.num_symbols + 1)[:, 1:].to(z_next.dtype)
        features = F.silu(self.first(torch.cat([z_next, symbols], -1)))
        outputs = self.output(F.silu(self.second(features)))
        of_components = outputs.unflatten(-1, (self.num_components, -1))
        scores, means, log_stds = of_components.split([1, z_next.shape[1], z_next.shape[1]], -1)
        log_stds = log_stds.clamp(SMALLEST_LOG_STD, LARGEST_LOG_STD)
        return DiagonalMixture(scores.squeeze(-1).log_softmax(-1), means, log_stds)

    @torch.no_grad()
    def start_from_gaussian(self, generator: torch.Generator | None = None) -> None:
        """Draw the weights anew, such that the mixture is near N(0, I), the level's density without an energy."""
        for layer in (self.first, self.second):
            draw_weights(layer, generator)
        self.output.weight.zero_()
        of_components = self.output.bias.zero_().unflatten(-1, (self.num_components, -1))
        means = of_components[:, 1 : 1 + (of_components.shape[1] - 1) // 2]
        means.copy_(FIRST_MEANS_STD * gaussian_like(means, generator))


class DistilledSampler(nn.Module):
    """
    The networks of all levels. Its weights are fitted by [`distil_sampler`] alone: training leaves them as they are.

    Args:
        latent_size (`int`): Size d of the latent.
        num_symbols (`int`): Number of symbols.
        num_levels (`int`): Number T of levels.
        settings (`dict`): `config.distilled_sampler`.
    """

    def __init__(self, latent_size: int, num_symbols: int, num_levels: int, settings: Mapping[str, Any]):
        super().__init__()
        sizes = latent_size, num_symbols, settings["hidden_size"], settings["num_components"]
        self.levels = nn.ModuleList(LevelProposal(*sizes) for _ in range(num_levels))
        self.guidance_scale = settings["guidance_scale"]
        self.requires_grad_(False)

    def propose(self, z_next: torch.Tensor, level: int, class_labels: torch.Tensor | None = None) -> DiagonalMixture:
        """q over the standardised states u of level t; arguments as in [`LevelProposal`]."""
        return self.levels[level](z_next, class_labels)


def log_densities(
    target: TiltedGaussian, proposal: DiagonalMixture, draws: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    E(z̃) + log N(u; 0, I), the log-density of the level up to the normaliser of each row, and log q(u).

    Args:
        target ([`TiltedGaussian`]): The density of the level.
        proposal ([`DiagonalMixture`]): q.
        draws (`torch.Tensor` of shape `(num_draws, num_rows, size)`): u.

    Returns:
        Two tensors of shape `(num_draws, num_rows)`, in nats.
    """
    std, constant = target.variance.sqrt(), draws.shape[-1] / 2 * math.log(2 * math.pi)
    of_target, of_proposal = [], []
    for one in draws:  # one of each row at a time, so that activations stay in the processor's cache
        gaussian = -one.square().sum(-1) / 2 - constant
        of_target.append(target.energy.value(target.mean + std * one) + gaussian)
        of_proposal.append(proposal.log_prob(one[None])[0])
    return torch.stack(of_target), torch.stack(of_proposal)


def log_importance_weights(target: TiltedGaussian, proposal: DiagonalMixture, draws: torch.Tensor) -> torch.Tensor:
    """
    log w(u), the difference of the [`log_densities`], `(num_draws, num_rows)`: equal for all draws of a row if the
    proposal is the target.
    """
    of_target, of_proposal = log_densities(target, proposal, draws)
    return of_target - of_proposal


def choose_by_metropolis(
    log_weights: torch.Tensor, generator: torch.Generator | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """
    Independence Metropolis steps from the first draw of each row through all others.

    Args:
        log_weights (`torch.Tensor` of shape `(num_draws, num_rows)`): As [`log_importance_weights`] returns them.
        generator (`torch.Generator`, *optional*): Source of the uniform random numbers.

    Returns:
        The index of the draw at which each row ends, the index after half of the steps, and the fraction of accepted
        steps (NaN without a step), each of shape `(num_rows,)`.
    """
    num_draws, num_rows = log_weights.shape
    chosen = torch.zeros(num_rows, dtype=torch.long, device=log_weights.device)
    middle, num_accepted = chosen, torch.zeros_like(log_weights[0])
    uniforms = draw(torch.rand, (num_draws - 1, num_rows), log_weights, generator)
    for number, uniform in enumerate(uniforms, start=1):
        log_ratio = log_weights[number] - log_weights.gather(0, chosen[None])[0]
        accept = uniform.log() < log_ratio
        chosen = torch.where(accept, number, chosen)
        num_accepted = num_accepted + accept
        if number == (num_draws - 1) // 2:
            middle = chosen
    steps = num_draws - 1 if num_draws > 1 else math.nan
    return chosen, middle, num_accepted / steps


def effective_sample_size(log_weights: torch.Tensor) -> torch.Tensor:
    """(Σ w)² / Σ w², `(...)`, given log weights `(..., S)`: from 1, if one weight dominates, to S (Kong, 1992)."""
    return log_weights.softmax(-1).square().sum(-1).reciprocal()


def draw_level(
    target: TiltedGaussian,
    proposal: DiagonalMixture,
    num_proposals: int,
    generator: torch.Generator | None = None,
    diagnostics: list[ChainDiagnostics] | None = None,
) -> torch.Tensor:
    """
    One state for each row from the density of a level.

    Args:
        target ([`TiltedGaussian`]): The density.
        proposal ([`DiagonalMixture`]): q.
        num_proposals (`int`): Draws from q for each row, at each of which the energy is evaluated.
        generator (`torch.Generator`, *optional*): Source of the noise.
        diagnostics (`list[ChainDiagnostics]`, *optional*): A list to which what the steps did is appended.

    Returns:
        `torch.Tensor` of shape `(num_rows, size)`.
    """
    draws = proposal.sample(num_proposals, generator)
    row = torch.arange(draws.shape[1], device=draws.device)
    log_density, of_proposal = log_densities(target, proposal, draws)
    log_weights = log_density - of_proposal
    chosen, middle, acceptance_rate = choose_by_metropolis(log_weights, generator)
    if diagnostics is not None:
        diagnostics.append(
            ChainDiagnostics(
                acceptance_rate=acceptance_rate,
                distance_moved=(draws[chosen, row] - draws[0]).square().mean(-1).sqrt(),
                energy_drift=log_density[chosen, row] - log_density[middle, row],
                effective_sample_size=effective_sample_size(log_weights.T),
            )
        )
    return target.mean + target.variance.sqrt() * draws[chosen, row]
