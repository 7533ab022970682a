r"""
Annealed importance sampling of the normaliser of a tilted Gaussian, up and down (Neal, 2001; Grosse et al., 2015).

The target is π(z) = N(z; m, v I) exp(E(z)) / R with unknown R = E_N[exp E]. Chains go through

    π_β(z) ∝ N(z; m, v I) exp(β E(z)),    0 = β_0 < β_1 < ... < β_n = 1,

one Metropolis-corrected Langevin step at each, and collect the log weight Σ_k (β_k - β_{k-1}) E(z_{k-1}):

* up, from the Gaussian: exp(log weight) has mean R, so the log weight is in expectation a lower bound on log R;
* down, from the target: exp(-log weight) has mean 1/R, so the log weight is in expectation an upper bound on log R.

Going down from any given state z instead, N(z; m, v I) exp(E(z) - log weight) has as its mean, exactly, the density at
z of what chains that go up draw (Salimans et al., 2015): the target's own density if they have time to reach it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ..model.energy import TiltedEnergy
from ..model.noise import draw, gaussian_like

LARGEST_STEP = 0.9  # share of the Gaussian's variance that one Langevin step draws anew; 1 would forget the state
SMALLEST_STEP = 1e-4
SOUGHT_ACCEPTANCE = 0.7


@dataclass(frozen=True)
class TiltedGaussian:
    """
    Args:
        mean (`torch.Tensor` of shape `(num_rows, size)`): m.
        variance (`torch.Tensor` of shape `(num_rows, 1)`): v.
        energy ([`TiltedEnergy`]): E and its gradient.
    """

    mean: torch.Tensor
    variance: torch.Tensor
    energy: TiltedEnergy

    def draw_gaussian(self, generator: torch.Generator | None = None) -> torch.Tensor:
        """From N(m, v I), `(num_rows, size)`."""
        return self.mean + self.variance.sqrt() * gaussian_like(self.mean, generator)


def temperature_path(step: torch.Tensor, num_temperatures: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    r"""
    β_k and the relative Langevin step at β_k, k = 0, 1, ..., n.

    A target at which steps of a share s of the Gaussian's variance are right, where the Gaussian itself allows s_0,
    is taken to be 1 + κ = s_0/s times as narrow: precisions 1 + β κ in between then grow by a constant factor from
    temperature to temperature (β_k = k/n if κ = 0), and steps shrink as they grow.

    Args:
        step (`torch.Tensor` of shape `(num_rows, 1)`): s at the target, at most `LARGEST_STEP`.
        num_temperatures (`int`): n, at least 1.

    Returns:
        Iterator of n + 1 pairs of `(num_rows, 1)` tensors.
    """
    stiffness = LARGEST_STEP / step.double() - 1
    for k in range(num_temperatures + 1):
        share = k / num_temperatures
        curved = torch.expm1(share * stiffness.log1p()) / stiffness.clamp(min=1e-6)
        inverse_temperature = torch.where(stiffness > 1e-6, curved, share)
        relative_step = LARGEST_STEP / (1 + inverse_temperature * stiffness)
        yield inverse_temperature.to(step.dtype), relative_step.to(step.dtype)


class MetropolisChains:
    """
    One chain per row of a [`TiltedGaussian`], at any temperature.

    Steps z ← m + ρ (z - m) + (1 - ρ) v β ∇E + √(v s) ε, ρ² = 1 - s, leave the Gaussian invariant for every s; the
    Metropolis correction makes them leave π_β invariant. Each evaluates the energy once.
    """

    def __init__(self, target: TiltedGaussian, states: torch.Tensor, generator: torch.Generator | None = None):
        self.target, self.states, self.generator = target, states, generator
        self.value, self.gradient = target.energy.value_and_gradient(states)
        self.accepted = torch.zeros_like(self.value)
        self.num_steps = 0

    @property
    def acceptance_rate(self) -> torch.Tensor:
        """Share of accepted steps so far, `(num_rows,)`."""
        return self.accepted / max(self.num_steps, 1)

    def step(self, inverse_temperature: torch.Tensor | float, relative_step: torch.Tensor | float) -> None:
        """One step at β with s, numbers or `(num_rows, 1)`."""
        target = self.target
        std = (relative_step * target.variance).sqrt()
        correlation = (1 - relative_step * torch.ones_like(target.variance)).sqrt()

        def center(states: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
            pull = (1 - correlation) * target.variance * inverse_temperature * gradient
            return target.mean + correlation * (states - target.mean) + pull

        def log_density(states: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
            gaussian = ((states - target.mean).square() / target.variance).sum(-1) / 2
            return (inverse_temperature * value[:, None]).squeeze(-1) - gaussian

        noise = gaussian_like(self.states, self.generator)
        proposal = center(self.states, self.gradient) + std * noise
        value, gradient = target.energy.value_and_gradient(proposal)
        backward_noise = (self.states - center(proposal, gradient)) / std
        log_ratio = log_density(proposal, value) - log_density(self.states, self.value)
        log_ratio = log_ratio + (noise.square() - backward_noise.square()).sum(-1) / 2
        accept = draw(torch.rand, log_ratio.shape, log_ratio, self.generator).log() < log_ratio
        self.states = torch.where(accept[:, None], proposal, self.states)
        self.gradient = torch.where(accept[:, None], gradient, self.gradient)
        self.value = torch.where(accept, value, self.value)
        self.accepted += accept
        self.num_steps += 1


def anneal_up(
    target: TiltedGaussian, step: torch.Tensor, num_temperatures: int, generator: torch.Generator | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Chains from the Gaussian to the target.

    Args:
        target ([`TiltedGaussian`]): One per row.
        step (`torch.Tensor` of shape `(num_rows, 1)`), num_temperatures (`int`): As in [`temperature_path`].
        generator (`torch.Generator`, *optional*): Source of all noise.

    Returns:
        Log weights, `(num_rows,)`, and the chains' last states, `(num_rows, size)`, which follow the target if the log
        weights are equal.
    """
    path = list(temperature_path(step, num_temperatures))
    chains = MetropolisChains(target, target.draw_gaussian(generator), generator)
    log_weight = torch.zeros_like(chains.value)
    for (earlier, _), (inverse_temperature, relative_step) in zip(path[:-1], path[1:], strict=True):
        log_weight = log_weight + (inverse_temperature - earlier)[:, 0] * chains.value
        chains.step(inverse_temperature, relative_step)
    return log_weight, chains.states


def anneal_down(
    target: TiltedGaussian,
    states: torch.Tensor,
    step: torch.Tensor,
    num_temperatures: int,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """
    Chains from `states`, `(num_rows, size)`, at the target down to the Gaussian: [`anneal_up`] in reverse. Arguments
    as there.

    Returns:
        `torch.Tensor` of shape `(num_rows,)`: log weights.
    """
    path = list(temperature_path(step, num_temperatures))
    chains = MetropolisChains(target, states, generator)
    log_weight = torch.zeros_like(chains.value)
    for (inverse_temperature, relative_step), (next_one, _) in zip(path[:0:-1], path[-2::-1], strict=True):
        chains.step(inverse_temperature, relative_step)
        log_weight = log_weight + (inverse_temperature - next_one)[:, 0] * chains.value
    return log_weight


def tune_step(
    target: TiltedGaussian, states: torch.Tensor, num_steps: int = 8, generator: torch.Generator | None = None
) -> float:
    """
    The largest of the relative steps 0.9, 0.45, 0.225, ... that chains at the target, from `states` `(num_rows, size)`
    on, accept at least 70 % of, on average over the rows.
    """
    step = LARGEST_STEP
    while step > SMALLEST_STEP:
        chains = MetropolisChains(target, states, generator)
        for _ in range(num_steps):
            chains.step(1.0, step)
        if chains.acceptance_rate.mean() >= SOUGHT_ACCEPTANCE:
            break
        step /= 2
    return step
