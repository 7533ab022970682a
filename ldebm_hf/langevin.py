"""The sampler: Langevin dynamics as a pure function of a log-density's score (Eq. 12)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .noise import draw, gaussian_like


@dataclass
class LangevinOutput:
    """
    Args:
        samples (`torch.Tensor` of shape `(batch_size, size)`): Last state of the chains.
        acceptance_rate (`torch.Tensor` of shape `(batch_size,)`, *optional*): Share of accepted steps per chain, with
            Metropolis correction.
    """

    samples: torch.Tensor
    acceptance_rate: torch.Tensor | None = None


@torch.no_grad()
def langevin(
    score: Callable[[torch.Tensor], torch.Tensor],
    start: torch.Tensor,
    step_variance: torch.Tensor | float,
    num_steps: int,
    *,
    final_noise: bool = True,
    log_density: Callable[[torch.Tensor], torch.Tensor] | None = None,
    generator: torch.Generator | None = None,
) -> LangevinOutput:
    r"""
    Run `num_steps` of z ← z + ½ s² ∇ log p(z) + s ε.

    Args:
        score (`Callable`): ∇ log p, from states `(batch_size, size)` to the same shape.
        start (`torch.Tensor` of shape `(batch_size, size)`): Initial states.
        step_variance (`torch.Tensor` of shape `(batch_size, 1)` or `float`): s².
        num_steps (`int`): Number of steps, at least 0.
        final_noise (`bool`, *optional*, defaults to `True`): With `False` the last step only follows the score.
        log_density (`Callable`, *optional*): log p up to a constant, from states to `(batch_size,)`. If given, every
            noisy step is a Metropolis-adjusted proposal, and the chain leaves p exactly invariant.
        generator (`torch.Generator`, *optional*): Source of the noise.

    Returns:
        [`LangevinOutput`], detached from any graph.
    """
    if num_steps < 0:
        raise ValueError(f"num_steps must be at least 0, got {num_steps}")
    step_variance = torch.as_tensor(step_variance, dtype=start.dtype, device=start.device)
    step = step_variance.sqrt()
    state, drift = start, None
    accepted = start.new_zeros(len(start))
    num_noisy = num_steps if final_noise else max(num_steps - 1, 0)
    for _ in range(num_noisy):
        if drift is None:
            drift = 0.5 * step_variance * score(state)
        noise = gaussian_like(state, generator)
        proposal = state + drift + step * noise
        if log_density is None:
            state, drift = proposal, None
            continue
        proposal_drift = 0.5 * step_variance * score(proposal)
        backward_noise = (state - proposal - proposal_drift) / step
        log_ratio = log_density(proposal) - log_density(state)
        log_ratio = log_ratio + 0.5 * (noise.square() - backward_noise.square()).sum(-1)
        accept = draw(torch.rand, accepted.shape, accepted, generator).log() < log_ratio
        state = torch.where(accept[:, None], proposal, state)
        drift = torch.where(accept[:, None], proposal_drift, drift)
        accepted = accepted + accept
    if num_noisy < num_steps:
        state = state + 0.5 * step_variance * score(state)
    rate = None if log_density is None else accepted / max(num_noisy, 1)
    return LangevinOutput(state, rate)
