r"""
Metropolis-corrected chains on a Gaussian tilted by an energy, N(z; m, v I) exp(E(z)), and steps that adapt to it.

This is the density of every level of the diffusion prior. Steps

    z ← m + ρ (z - m) + (1 - ρ) v ∇E + √(v s) ε,    ρ² = 1 - s,

solve the Gaussian part exactly for every relative step s, the fraction of v that a step redraws. What limits s is the
curvature of E, which grows with the guidance scale and differs from place to place. The energy networks are piecewise
linear up to their logsumexp, so that their Hessians miss the curvature that the kinks between the pieces make. The
acceptance rate does feel it, at the length of the steps themselves, and costs nothing.
"""

from dataclasses import dataclass

import torch

from .energy import FrozenEnergy
from .langevin import LangevinOutput, MetropolisChains
from .noise import draw, gaussian_like

LARGEST_STEP = 0.9  # fraction of the Gaussian's variance that one Langevin step redraws; 1 would forget the state
SMALLEST_ADAPTED_STEP = 1e-6
FIRST_ADAPTED_STEP = 0.5
BEST_ACCEPTANCE = 0.574  # optimal for Metropolis-adjusted Langevin chains (Roberts and Rosenthal, 1998)
FIRST_GAIN = 2.0  # change of log s per unit of acceptance probability at the first step: a rejection divides s by 3
FEWEST_JUDGED = 8
"""Number of chains below which their mean drift is too uncertain to be judged."""
DRIFT_ERRORS = 4.0
"""Mean drift, in its standard errors, from which it is no chance: two-sided, 6 in 100,000 for many chains."""
LARGEST_DRIFT = 0.2
"""Mean drift, in units of √(size / 2) nats, from which it matters: the log-density of a Gaussian has that spread."""
LEAST_ACCEPTANCE = 0.05
"""Acceptance rate of a chain below which it is stuck."""
LARGEST_STUCK_SHARE = 0.05
"""Fraction of stuck chains from which it matters."""
LEAST_EFFECTIVE_DRAWS = 1.2
"""Mean effective sample size of several draws of the distilled sampler below which they are far from the density. The
acceptance rate does not tell: among draws that are all far, there is a better one now and then."""
GAIN_DECAY = 0.6  # power of the step's number by which the gain shrinks; between 1/2 and 1 (Robbins and Monro, 1951)


@dataclass(frozen=True)
class TiltedGaussian:
    """
    The density N(z; m, v I) exp(E(z)), up to its normaliser, for each row.

    Args:
        mean (`torch.Tensor` of shape `(num_rows, size)`): m.
        variance (`torch.Tensor` of shape `(num_rows, 1)`): v.
        energy ([`FrozenEnergy`]): E and its gradient.
    """

    mean: torch.Tensor
    variance: torch.Tensor
    energy: FrozenEnergy

    def draw_gaussian(self, generator: torch.Generator | None = None) -> torch.Tensor:
        """A draw from N(m, v I) for each row, `(num_rows, size)`."""
        return self.mean + self.variance.sqrt() * gaussian_like(self.mean, generator)

    def log_density(
        self, states: torch.Tensor, value: torch.Tensor, inverse_temperature: torch.Tensor | float = 1.0
    ) -> torch.Tensor:
        """Log-density at `states` up to its normaliser, `(num_rows,)`, where `value` is that of the energy there."""
        gaussian = ((states - self.mean).square() / self.variance).sum(-1) / 2
        return (inverse_temperature * value[:, None]).squeeze(-1) - gaussian


class AnnealedChains(MetropolisChains):
    """
    One chain for each row of a [`TiltedGaussian`], at any inverse temperature β, which multiplies E; `value` and
    `gradient` are those of E.

    The steps leave the Gaussian invariant for every s; the Metropolis correction makes them leave the tilted density
    invariant. Each evaluates the energy once.

    Args:
        target ([`TiltedGaussian`]): The target, β = 1.
        states (`torch.Tensor` of shape `(num_rows, size)`): Initial states.
        generator (`torch.Generator`, *optional*): Source of noise.
    """

    def __init__(self, target: TiltedGaussian, states: torch.Tensor, generator: torch.Generator | None = None):
        super().__init__(states, *target.energy.value_and_gradient(states))
        self.target, self.generator = target, generator

    def step(self, inverse_temperature: torch.Tensor | float, relative_step: torch.Tensor | float) -> None:
        """One step at β with s, each a number or `(num_rows, 1)`."""
        target = self.target
        std = (relative_step * target.variance).sqrt()
        correlation = (1 - relative_step * torch.ones_like(target.variance)).sqrt()

        def proposal_mean(states: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
            drift = (1 - correlation) * target.variance * inverse_temperature * gradient
            return target.mean + correlation * (states - target.mean) + drift

        noise = gaussian_like(self.states, self.generator)
        proposal = proposal_mean(self.states, self.gradient) + std * noise
        value, gradient = target.energy.value_and_gradient(proposal)
        proposed = target.log_density(proposal, value, inverse_temperature)
        self.accept_or_stay(
            proposal,
            value,
            gradient,
            log_density_ratio=proposed - target.log_density(self.states, self.value, inverse_temperature),
            noise=noise,
            backward_noise=(self.states - proposal_mean(proposal, gradient)) / std,
            uniform=draw(torch.rand, value.shape, value, self.generator),
        )


@dataclass
class ChainDiagnostics:
    """
    What chains did at one level, or at all levels stacked with a leading dimension `num_levels`, level 0 first.

    Args:
        acceptance_rate (`torch.Tensor` of shape `(num_chains,)`): Fraction of accepted steps; NaN for steps without a
            Metropolis correction.
        distance_moved (`torch.Tensor` of shape `(num_chains,)`): Distance of the last state from the first one, in
            units of √(size v_t), the root mean square distance of a draw of the level's Gaussian from its mean. Chains
            that forget their start at a level without a tilt have about √2.
        energy_drift (`torch.Tensor` of shape `(num_chains,)`): Log-density at the last state minus that at half of the
            steps, in nats. Its mean over settled chains is 0; where it is positive, chains are still on their way.
        effective_sample_size (`torch.Tensor` of shape `(num_chains,)`): Of the distilled sampler, the number of
            draws from the density of the level that its draws are worth, from 1 to their number; NaN for Langevin
            chains.
    """

    acceptance_rate: torch.Tensor
    distance_moved: torch.Tensor
    energy_drift: torch.Tensor
    effective_sample_size: torch.Tensor

    def settled(self, size: int) -> torch.Tensor:
        """
        Whether chains of states of `size` dimensions give no sign that they ended before they reached their target,
        `(num_levels,)` or a single value, for at least `FEWEST_JUDGED` chains; fewer give no sign.

        A sign is a mean drift, upwards or downwards, that is neither chance (`DRIFT_ERRORS`) nor small
        (`LARGEST_DRIFT`), or a fraction of chains that accept next to no step (`LEAST_ACCEPTANCE`,
        `LARGEST_STUCK_SHARE`). Chains that settled in one of several modes give none. Of the distilled sampler, whose
        few draws are independent, a sign is instead that they are worth no more than one (`LEAST_EFFECTIVE_DRAWS`).
        """
        num_chains = self.energy_drift.shape[-1]
        if num_chains < FEWEST_JUDGED:
            return torch.ones(self.energy_drift.shape[:-1], dtype=torch.bool, device=self.energy_drift.device)
        drift = self.energy_drift.double()
        error = drift.std(-1) / num_chains**0.5
        drifts = drift.mean(-1).abs() > torch.maximum(
            DRIFT_ERRORS * error, torch.full_like(error, LARGEST_DRIFT * (size / 2) ** 0.5)
        )
        stuck = (self.acceptance_rate < LEAST_ACCEPTANCE).double().mean(-1) > LARGEST_STUCK_SHARE
        is_distilled = self.effective_sample_size.isfinite().all(-1)
        are_several = self.acceptance_rate.isfinite().all(-1)
        are_far = are_several & (self.effective_sample_size.mean(-1) < LEAST_EFFECTIVE_DRAWS)
        return ~torch.where(is_distilled, are_far, drifts | stuck)

    @classmethod
    def of_chains(cls, target: TiltedGaussian, start: torch.Tensor, chains: LangevinOutput) -> "ChainDiagnostics":
        """What chains towards `target` did that began at `start`; it evaluates the energy twice."""
        middle, end = (
            target.log_density(states, target.energy.value_and_gradient(states)[0])
            for states in (chains.middle, chains.samples)
        )
        acceptance_rate = chains.acceptance_rate
        if acceptance_rate is None:
            acceptance_rate = torch.full_like(end, torch.nan)
        distance = ((chains.samples - start).square() / target.variance).mean(-1).sqrt()
        return cls(acceptance_rate, distance, end - middle, torch.full_like(end, torch.nan))

    @classmethod
    def stack(cls, levels: list["ChainDiagnostics"]) -> "ChainDiagnostics":
        """The diagnostics of several levels as one, `(num_levels, num_chains)`."""
        return cls(*(torch.stack(values) for values in zip(*(vars(level).values() for level in levels), strict=True)))

    @classmethod
    def concatenate(cls, batches: list["ChainDiagnostics"]) -> "ChainDiagnostics":
        """The diagnostics of several batches of chains as one."""
        values = zip(*(vars(batch).values() for batch in batches), strict=True)
        return cls(*(torch.cat(parts, -1) for parts in values))


def adaptive_chains(
    target: TiltedGaussian, start: torch.Tensor, num_steps: int, generator: torch.Generator | None = None
) -> LangevinOutput:
    """
    Run Metropolis-corrected chains, each of which finds its own step size from its acceptance probabilities.

    After the k-th step, log s changes by `FIRST_GAIN` k^(-`GAIN_DECAY`) (a - `BEST_ACCEPTANCE`), where a is the
    probability with which that step was accepted. Changes become small as the chain grows, so that it converges to
    the target (diminishing adaptation: Roberts and Rosenthal, 2007).

    Args:
        target ([`TiltedGaussian`]): The target of each chain.
        start (`torch.Tensor` of shape `(num_chains, size)`): Initial states.
        num_steps (`int`): Steps of each chain. Each evaluates the energy once; there is one evaluation more.
        generator (`torch.Generator`, *optional*): Source of noise.
    """
    chains = AnnealedChains(target, start, generator)
    relative_step = torch.full_like(target.variance, FIRST_ADAPTED_STEP)
    middle = start
    for number in range(1, num_steps + 1):
        chains.step(1.0, relative_step)
        gain = FIRST_GAIN * number**-GAIN_DECAY
        change = gain * (chains.acceptance_probability[:, None] - BEST_ACCEPTANCE)
        relative_step = (relative_step * change.exp()).clamp(SMALLEST_ADAPTED_STEP, LARGEST_STEP)
        if number == num_steps // 2:
            middle = chains.states
    return LangevinOutput(chains.states, middle, chains.acceptance_rate)
