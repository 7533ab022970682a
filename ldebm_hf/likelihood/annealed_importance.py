r"""
Annealed importance sampling of the normaliser of a tilted Gaussian, in both directions (Neal, 2001; Grosse et al.,
2015).

The target is π(z) = N(z; m, v I) exp(E(z)) / R with an unknown normaliser R = E_N[exp E]. Chains go through

    π_β(z) ∝ N(z; m, v I) exp(β E(z)),    0 = β_0 < β_1 < ... < β_n = 1,

one Metropolis-corrected Langevin step at each, and collect the log weight Σ_k (β_k - β_{k-1}) E(z_{k-1}):

* up, from the Gaussian: exp(log weight) has mean R, so the log weight is in expectation a lower bound on log R;
* down, from the target: exp(-log weight) has mean 1/R, so the log weight is in expectation an upper bound on log R.

Going down from any given state z instead, the mean of N(z; m, v I) exp(E(z) - log weight) is exactly the density at
z of the last states of chains that go up (Salimans et al., 2015): the target's own density if they have time to reach
it.
"""

from collections.abc import Iterator

import torch

from ..model.tilted_chains import LARGEST_STEP, AnnealedChains, TiltedGaussian

SMALLEST_STEP = 1e-4
SOUGHT_ACCEPTANCE = 0.7  # acceptance rate to which steps are tuned


def temperature_path(step: torch.Tensor, num_temperatures: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    r"""
    Inverse temperatures β_k and relative Langevin steps at β_k, k = 0, 1, ..., n.

    If chains at the target need steps of a fraction s of the Gaussian's variance, and the Gaussian itself allows s_0,
    the target is taken to be 1 + κ = s_0/s times as narrow. The precisions 1 + β κ in between then grow by a constant
    factor from one temperature to the next (β_k = k/n if κ = 0), and steps shrink in proportion.

    Args:
        step (`torch.Tensor` of shape `(num_rows, 1)`): s, at most `LARGEST_STEP`.
        num_temperatures (`int`): n, at least 1.

    Returns:
        Iterator of n + 1 pairs of `(num_rows, 1)` tensors.
    """
    stiffness = LARGEST_STEP / step.double() - 1
    for k in range(num_temperatures + 1):
        fraction = k / num_temperatures
        curved = torch.expm1(fraction * stiffness.log1p()) / stiffness.clamp(min=1e-6)
        inverse_temperature = torch.where(stiffness > 1e-6, curved, fraction)
        relative_step = LARGEST_STEP / (1 + inverse_temperature * stiffness)
        yield inverse_temperature.to(step.dtype), relative_step.to(step.dtype)


def anneal_up(
    target: TiltedGaussian, step: torch.Tensor, num_temperatures: int, generator: torch.Generator | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Chains from the Gaussian to the target.

    Args:
        target ([`TiltedGaussian`]): The targets, one for each row.
        step (`torch.Tensor` of shape `(num_rows, 1)`), num_temperatures (`int`): As in [`temperature_path`].
        generator (`torch.Generator`, *optional*): Source of all noise.

    Returns:
        Log weights, `(num_rows,)`, and the chains' last states, `(num_rows, size)`, which are distributed as the
        target if all log weights are equal.
    """
    path = list(temperature_path(step, num_temperatures))
    chains = AnnealedChains(target, target.draw_gaussian(generator), generator)
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
    Chains from the target down to the Gaussian, the reverse of [`anneal_up`].

    Args:
        states (`torch.Tensor` of shape `(num_rows, size)`): Initial states.
        target, step, num_temperatures, generator: As in [`anneal_up`].

    Returns:
        `torch.Tensor` of shape `(num_rows,)`: log weights.
    """
    path = list(temperature_path(step, num_temperatures))
    chains = AnnealedChains(target, states, generator)
    log_weight = torch.zeros_like(chains.value)
    for (inverse_temperature, relative_step), (following, _) in zip(path[:0:-1], path[-2::-1], strict=True):
        chains.step(inverse_temperature, relative_step)
        log_weight = log_weight + (inverse_temperature - following)[:, 0] * chains.value
    return log_weight


def tune_step(
    target: TiltedGaussian, states: torch.Tensor, num_steps: int = 8, generator: torch.Generator | None = None
) -> float:
    """
    Find the largest of the relative steps 0.9, 0.45, 0.225, ... of which chains at the target accept at least 70 %.

    Args:
        target ([`TiltedGaussian`]): The targets, one for each row.
        states (`torch.Tensor` of shape `(num_rows, size)`): Initial states, which should be samples of the targets.
        num_steps (`int`, *optional*, defaults to 8): Steps of each trial, over which and over the rows the acceptance
            rate is averaged.
        generator (`torch.Generator`, *optional*): Source of noise.
    """
    step = LARGEST_STEP
    while step > SMALLEST_STEP:
        chains = AnnealedChains(target, states, generator)
        for _ in range(num_steps):
            chains.step(1.0, step)
        if chains.acceptance_rate.mean() >= SOUGHT_ACCEPTANCE:
            break
        step /= 2
    return step
