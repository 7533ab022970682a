"""The sampler: Langevin dynamics as a pure function of a log-density's score (Eq. 12)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from .noise import draw

NOISE_BLOCK = 64  # steps whose noise is drawn at once


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
    step_variance: torch.Tensor,
    *,
    drift: torch.Tensor | None = None,
    final_noise: bool = True,
    log_density_and_score: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]] | None = None,
    generator: torch.Generator | None = None,
) -> LangevinOutput:
    r"""
    Run chains of z ← z + h ∇ log p(z) + s ε, with h = ½ s² unless `drift` says otherwise.

    Args:
        score (`Callable`): ∇ log p, from states `(batch_size, size)` to the same shape.
        start (`torch.Tensor` of shape `(batch_size, size)`): Initial states.
        step_variance (`torch.Tensor` of shape `(num_steps, batch_size, 1)`): s² of every step; a second dimension of 1
            serves all chains. Each step evaluates the score once; the Metropolis correction adds one evaluation.
        drift (`torch.Tensor` of the same shape, *optional*, defaults to ½ s²): h.
        final_noise (`bool`, *optional*, defaults to `True`): With `False` the last step only follows the score.
        log_density_and_score (`Callable`, *optional*): log p up to a constant, `(batch_size,)`, and ∇ log p. If given,
            it is used instead of `score`, every noisy step is a Metropolis-adjusted proposal, and the chain leaves p
            exactly invariant.
        generator (`torch.Generator`, *optional*): Source of the noise.

    Returns:
        [`LangevinOutput`], detached from any graph.
    """
    drift = 0.5 * step_variance if drift is None else drift
    num_steps = len(step_variance)
    num_noisy = num_steps if final_noise else max(num_steps - 1, 0)
    steps = list(zip(drift[:num_noisy], step_variance[:num_noisy].sqrt(), strict=True))
    noises = _noises(torch.randn, num_noisy, start, generator)
    state, rate = start, None
    if log_density_and_score is None:
        for (h, s), noise in zip(steps, noises, strict=True):
            state = state + h * score(state) + s * noise
    else:
        log_density, gradient = log_density_and_score(state)
        accepted = torch.zeros_like(log_density)
        thresholds = _noises(torch.rand, num_noisy, log_density, generator)
        for (h, s), noise, threshold in zip(steps, noises, thresholds, strict=True):
            proposal = state + h * gradient + s * noise
            proposal_log_density, proposal_gradient = log_density_and_score(proposal)
            backward_noise = (state - proposal - h * proposal_gradient) / s
            log_ratio = proposal_log_density - log_density
            log_ratio = log_ratio + 0.5 * (noise.square() - backward_noise.square()).sum(-1)
            accept = threshold.log() < log_ratio
            state = torch.where(accept[:, None], proposal, state)
            gradient = torch.where(accept[:, None], proposal_gradient, gradient)
            log_density = torch.where(accept, proposal_log_density, log_density)
            accepted = accepted + accept
        rate = accepted / max(num_noisy, 1)
    if num_noisy < num_steps:
        state = state + drift[-1] * (score(state) if log_density_and_score is None else gradient)
    return LangevinOutput(state, rate)


def _noises(sampler, num_steps: int, like: torch.Tensor, generator: torch.Generator | None) -> Iterator[torch.Tensor]:
    """`num_steps` draws of `like`'s shape, made in blocks: few calls, and few transfers from a CPU generator."""
    for done in range(0, num_steps, NOISE_BLOCK):
        yield from draw(sampler, (min(NOISE_BLOCK, num_steps - done), *like.shape), like, generator)
