"""Langevin dynamics as a pure function of a log-density's score (Eq. 12), and its Metropolis correction."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from .noise import draw

NOISE_BLOCK = 64  # number of steps whose noise is drawn at once


@dataclass
class LangevinOutput:
    """
    Args:
        samples (`torch.Tensor` of shape `(batch_size, size)`): Last states of the chains.
        middle (`torch.Tensor` of shape `(batch_size, size)`): States after half of the steps, rounded down.
        acceptance_rate (`torch.Tensor` of shape `(batch_size,)`, *optional*): Fraction of accepted steps of each
            chain, if there is a Metropolis correction.
    """

    samples: torch.Tensor
    middle: torch.Tensor
    acceptance_rate: torch.Tensor | None = None


@dataclass
class MetropolisChains:
    """
    Chains with Metropolis-corrected steps, one for each row.

    Args:
        states (`torch.Tensor` of shape `(num_chains, size)`): Current states.
        value (`torch.Tensor` of shape `(num_chains,)`): Log-density (or energy) at the states.
        gradient (`torch.Tensor` of shape `(num_chains, size)`): Its gradient at the states.

    `acceptance_probability`, `(num_chains,)`, is the probability with which the latest proposal was accepted.
    """

    states: torch.Tensor
    value: torch.Tensor
    gradient: torch.Tensor

    def __post_init__(self):
        self.accepted = torch.zeros_like(self.value)
        self.acceptance_probability = torch.zeros_like(self.value)
        self.num_steps = 0

    @property
    def acceptance_rate(self) -> torch.Tensor:
        """Fraction of accepted steps of each chain so far, `(num_chains,)`."""
        return self.accepted / max(self.num_steps, 1)

    def accept_or_stay(
        self,
        proposal: torch.Tensor,
        value: torch.Tensor,
        gradient: torch.Tensor,
        *,
        log_density_ratio: torch.Tensor,
        noise: torch.Tensor,
        backward_noise: torch.Tensor,
        uniform: torch.Tensor,
    ) -> None:
        """
        Move to a Gaussian proposal with the probability that leaves the density invariant, else stay.

        Args:
            proposal, value, gradient: As `states`, `value` and `gradient`, at the proposal.
            log_density_ratio (`torch.Tensor` of shape `(num_chains,)`): Log-density of the proposal minus that of the
                current state.
            noise (`torch.Tensor` of shape `(num_chains, size)`): Standard normal noise that made the proposal.
            backward_noise (`torch.Tensor` of the same shape): Noise that would lead from the proposal back to the
                current state.
            uniform (`torch.Tensor` of shape `(num_chains,)`): Uniform random numbers, by which it is decided.
        """
        log_ratio = log_density_ratio + 0.5 * (noise.square() - backward_noise.square()).sum(-1)
        self.acceptance_probability = log_ratio.clamp(max=0).exp().nan_to_num(nan=0.0)
        accept = uniform.log() < log_ratio
        self.states = torch.where(accept[:, None], proposal, self.states)
        self.gradient = torch.where(accept[:, None], gradient, self.gradient)
        self.value = torch.where(accept, value, self.value)
        self.accepted = self.accepted + accept
        self.num_steps += 1


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
    Run chains of z ← z + h ∇ log p(z) + s ε, where h = ½ s² unless `drift` is given.

    Args:
        score (`Callable`): ∇ log p, from states `(batch_size, size)` to the same shape.
        start (`torch.Tensor` of shape `(batch_size, size)`): Initial states.
        step_variance (`torch.Tensor` of shape `(num_steps, batch_size, 1)`): s² of every step; with a second dimension
            of 1 all chains have the same. Each step evaluates the score once; the Metropolis correction adds one
            evaluation.
        drift (`torch.Tensor` of the same shape, *optional*, defaults to ½ s²): h.
        final_noise (`bool`, *optional*, defaults to `True`): If `False`, the last step adds no noise.
        log_density_and_score (`Callable`, *optional*): log p up to a constant, `(batch_size,)`, and ∇ log p. If given,
            it is used instead of `score`, and every step with noise is a Metropolis-adjusted proposal, so that the
            chain leaves p exactly invariant.
        generator (`torch.Generator`, *optional*): Source of the noise.

    Returns:
        [`LangevinOutput`], detached from any graph.
    """
    drift = 0.5 * step_variance if drift is None else drift
    num_steps = len(step_variance)
    num_noisy = num_steps if final_noise else max(num_steps - 1, 0)
    steps = list(zip(drift[:num_noisy], step_variance[:num_noisy].sqrt(), strict=True))
    noises = _noises(torch.randn, num_noisy, start, generator)
    middle = start
    if log_density_and_score is None:
        state, acceptance_rate = start, None
        for number, ((h, s), noise) in enumerate(zip(steps, noises, strict=True), start=1):
            state = state + h * score(state) + s * noise
            if number == num_steps // 2:
                middle = state
        last_score = score(state) if num_noisy < num_steps else None
    else:
        chains = MetropolisChains(start, *log_density_and_score(start))
        uniforms = _noises(torch.rand, num_noisy, chains.value, generator)
        for number, ((h, s), noise, uniform) in enumerate(zip(steps, noises, uniforms, strict=True), start=1):
            proposal = chains.states + h * chains.gradient + s * noise
            log_density, gradient = log_density_and_score(proposal)
            chains.accept_or_stay(
                proposal,
                log_density,
                gradient,
                log_density_ratio=log_density - chains.value,
                noise=noise,
                backward_noise=(chains.states - proposal - h * gradient) / s,
                uniform=uniform,
            )
            if number == num_steps // 2:
                middle = chains.states
        state, last_score, acceptance_rate = chains.states, chains.gradient, chains.acceptance_rate
    if num_noisy < num_steps:
        state = state + drift[-1] * last_score
    return LangevinOutput(state, middle, acceptance_rate)


def _noises(sampler, num_steps: int, like: torch.Tensor, generator: torch.Generator | None) -> Iterator[torch.Tensor]:
    """`num_steps` draws of `like`'s shape, made in blocks to limit calls, and transfers from a CPU generator."""
    for done in range(0, num_steps, NOISE_BLOCK):
        yield from draw(sampler, (min(NOISE_BLOCK, num_steps - done), *like.shape), like, generator)
