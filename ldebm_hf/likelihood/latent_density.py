r"""
The density of the diffusion prior's samples, p(z_0) = ∫ p(z_{0:T}) dz_{1:T}, by importance sampling along the forward
process, with the normaliser of every level annealed.

With c = z_{t+1}, level t's conditional is a tilted Gaussian, N(z̃_t; m(c), v I) exp(E_t(z̃_t)) / R_t(c); as a density
of z_t it is (z̃_t/z_t)^d times that. So, with z_{1..T-1} from the forward process q,

    p(z_0) = E_q[ Π_t p(z_t|z_{t+1}) / Π_t q(z_{t+1}|z_t) ].

z_T is not drawn, because the last level's conditional does not depend on it; for the same reason the last level's R is
a single number. This is the density of what [`DiffusionPrior.sample`] draws with perfect chains: z_0 is what the
decoder reads, and the noise of a base level, which only training adds, has no part in it. With a single level (SVEBM)
there is no path, and p(z) is known up to that number.

An R_t(c) appears as its reciprocal. Chains up to the target give an unbiased R, whose reciprocal is too large on
average: an upper estimate. Chains down from an exact sample of the target give an unbiased 1/R: a lower estimate
(bidirectional Monte Carlo: Grosse et al., 2015). Exact samples of p(z̃_t|z_{t+1}) exist only for data that the model
itself generated; here chains go down from the path's own z̃_t. What the estimates then bound:

* For any z_0, the lower estimate is in expectation a lower bound on the log-density of a proper prior: the one whose
  levels below the last are drawn by these very chains going up. This needs no assumption except for the last level's
  R, below.
* It is a lower bound on the log-density with perfect chains as far as chains going up arrive at their targets, and on
  average over data that perfect chains generated, because such data are likelier under their own density than under
  any other (Gibbs' inequality).
* Where chains can end in modes far apart, the two densities differ from point to point, and the sides may even change
  places. A gap that remains as temperatures are added indicates this.
* The last level's R, a single number, is annealed down from the ends of chains going up. Its upper side, and with it
  the lower estimate, is a bound as far as these chains arrive.

With contexts the last level's R depends on the context as well. It is then annealed with all others, down from the
path's own z̃, and the lower estimate needs no such assumption.

Chains are run where the weights are large: samples are chosen for annealing with probabilities proportional to their
weights under a guess of every R, which takes six evaluations of the energy. The annealed R then corrects the guess,
and the mean remains exact.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch.nn.utils import parametrize

from ..model.diffusion_prior import DiffusionPrior
from ..model.noise import as_generator, gaussian_like
from ..model.tilted_chains import TiltedGaussian
from .annealed_importance import anneal_down, anneal_up, tune_step
from .importance_weights import (
    LikelihoodEstimate,
    effective_sample_size,
    log_mean,
    log_mean_error,
    pareto_k,
    resample,
)

PILOT_CHAINS = 64
"""Number of samples of the prior on which the steps of each level are tuned."""
GUESS_DRAWS = 4
"""Number of draws for the guess of a normaliser."""


@dataclass(frozen=True)
class Annealing:
    """
    What [`prepare_annealing`] finds about a prior's levels. It holds only numbers, so that it can be saved as JSON.

    Args:
        num_temperatures (`int`): Number of temperatures of all chains.
        steps (`list[float]`): Relative Langevin step at each level's target.
        log_last_tilt_lower, log_last_tilt_upper (`float`): Estimates of the last level's log R, in expectation bounds;
            the upper one as far as chains going up, from whose ends its chains start, arrive. 0 with contexts, where
            every context has its own R.
        log_last_tilt_error (`float`): The larger of their standard errors, which all estimates have in common.
    """

    num_temperatures: int
    steps: list[float]
    log_last_tilt_lower: float
    log_last_tilt_upper: float
    log_last_tilt_error: float


@torch.no_grad()
def prepare_annealing(
    prior: DiffusionPrior,
    num_temperatures: int = 200,
    *,
    num_chains: int = 1024,
    context: torch.Tensor | None = None,
    generator: torch.Generator | int | None = None,
) -> Annealing:
    """
    Tune the chains of every level on samples of the prior, and anneal the last level.

    Args:
        prior ([`DiffusionPrior`]): The prior, in evaluation mode.
        num_temperatures (`int`, *optional*, defaults to 200): Number of temperatures; the last level gets twice as
            many.
        num_chains (`int`, *optional*, defaults to 1024): Number of chains of the last level.
        context (`torch.Tensor` of shape `(n, context_size)`, *optional*): Context vectors to tune with, for a prior
            with contexts.
        generator (`torch.Generator` or `int`, *optional*): Source of all noise.
    """
    _check_context(prior, context)
    generator = as_generator(generator)
    for name, value in (("num_temperatures", num_temperatures), ("num_chains", num_chains)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if context is not None:
        context = context[torch.arange(PILOT_CHAINS, device=context.device) % len(context)]
    states = prior.sample(PILOT_CHAINS, generator=generator, context=context).flip(0)  # z_0, z_1, ..., z_T
    steps = []
    for t, scale in enumerate(prior.levels.latent_scale):
        level = torch.full((PILOT_CHAINS,), t, device=states.device)
        target = _target(prior, states[t + 1], level, context)
        steps.append(tune_step(target, scale * states[t], generator=generator))
    if context is not None:
        return Annealing(num_temperatures, steps, 0.0, 0.0, 0.0)

    last = prior.config.num_levels - 1
    level = torch.full((num_chains,), last, device=states.device)
    target = _target(prior, states.new_zeros(num_chains, states.shape[-1]), level)
    step = states.new_full((num_chains, 1), steps[last])
    up, ends = anneal_up(target, step, 2 * num_temperatures, generator)
    ends = ends[resample(up[None], num_chains, generator)[0]]
    down = anneal_down(target, ends, step, 2 * num_temperatures, generator)
    errors = [log_mean_error(weights.double()).item() for weights in (up, -down)]
    lower, upper = log_mean(up.double()).item(), -log_mean(-down.double()).item()
    return Annealing(num_temperatures, steps, lower, upper, max(errors))


@dataclass(frozen=True)
class DiffusionPaths:
    """
    Latents z_0, each with z_1, ..., z_{T-1} drawn from the forward process.

    Args:
        states (`torch.Tensor` of shape `(num_rows, T, latent_size)`): z_0, ..., z_{T-1}.
        log_ratio (`torch.Tensor` of shape `(num_rows,)`): log p(z_{0:T-1}) / q(z_{1:T-1}|z_0) with all R = 1.
        guessed_log_normalizers (`torch.Tensor` of shape `(num_rows, T - 1)`): Guesses of log R_t of all levels but the
            last; with contexts `(num_rows, T)`, including the last.
        context (`torch.Tensor` of shape `(num_rows, context_size)`, *optional*): Context vectors.
    """

    states: torch.Tensor
    log_ratio: torch.Tensor
    guessed_log_normalizers: torch.Tensor
    context: torch.Tensor | None = None

    @property
    def guessed_log_prior(self) -> torch.Tensor:
        """Guess of log p(z_{0:T-1}) / q(z_{1:T-1}|z_0), `(num_rows,)`; up to the last level's R without contexts."""
        return self.log_ratio - self.guessed_log_normalizers.sum(-1)


@torch.no_grad()
def draw_paths(
    prior: DiffusionPrior,
    annealing: Annealing,
    latents: torch.Tensor,
    generator: torch.Generator | None = None,
    context: torch.Tensor | None = None,
) -> DiffusionPaths:
    """
    Draw one path of the forward process from each latent.

    Args:
        prior ([`DiffusionPrior`]), annealing ([`Annealing`]): The prior, and how to anneal its levels.
        latents (`torch.Tensor` of shape `(num_rows, latent_size)`): z_0.
        generator (`torch.Generator`, *optional*): Source of noise.
        context (`torch.Tensor` of shape `(num_rows, context_size)`, *optional*): Context vectors, for a prior with
            contexts.
    """
    levels, num_levels = prior.levels, prior.config.num_levels
    state = latents.to(levels.step_std.dtype)
    states, guesses = [state], []
    log_ratio = torch.zeros(len(latents), dtype=torch.float64, device=latents.device)
    with parametrize.cached():
        for t in range(num_levels):
            level = torch.full((len(latents),), t, device=latents.device)
            z_next = torch.zeros_like(state)  # not used by the last level
            if t < num_levels - 1:
                noise = gaussian_like(state, generator)
                z_next = levels.step_scale[t] * state + levels.step_std[t] * noise
                log_ratio -= _log_normal(levels.step_std[t] * noise, levels.step_std[t].square())
                states.append(z_next)
            target, scaled = _target(prior, z_next, level, context), levels.latent_scale[t] * state
            log_ratio += _log_normal(scaled - target.mean, target.variance)
            log_ratio += target.energy.value_and_gradient(scaled)[0]
            log_ratio += state.shape[1] * levels.latent_scale[t].log()
            if t < num_levels - 1 or context is not None:
                guesses.append(_guess_log_normalizer(target, annealing.steps[t]))
            state = z_next
    guessed = torch.stack(guesses, -1).double() if guesses else log_ratio.new_zeros(len(latents), 0)
    return DiffusionPaths(torch.stack(states, 1), log_ratio, guessed, context)


@torch.no_grad()
def anneal_paths(
    prior: DiffusionPrior,
    annealing: Annealing,
    paths: DiffusionPaths,
    log_factors: torch.Tensor,
    num_annealed_samples: int,
    generator: torch.Generator | None = None,
) -> LikelihoodEstimate:
    """
    Estimate log 1/S Σ_s factor_s p(z_s) for each example.

    Args:
        prior ([`DiffusionPrior`]), annealing ([`Annealing`]): The prior, and how to anneal its levels.
        paths ([`DiffusionPaths`]): Paths from batch_size * S latents, those of an example side by side.
        log_factors (`torch.Tensor` of shape `(batch_size, S)`): Logarithms of the factors of p(z_s).
        num_annealed_samples (`int`): Number of samples of each example that are chosen for annealing.
        generator (`torch.Generator`, *optional*): Source of all noise.
    """
    batch_size, num_samples = log_factors.shape
    guessed = log_factors.double() + paths.guessed_log_prior.view(batch_size, num_samples)
    num_annealed_levels = paths.guessed_log_normalizers.shape[1]
    if num_annealed_levels == 0:
        estimate = LikelihoodEstimate.from_exact_weights(guessed)
        return _with_last_level(estimate, annealing)

    chosen = resample(guessed, num_annealed_samples, generator)
    rows = (chosen + num_samples * torch.arange(batch_size, device=chosen.device)[:, None]).flatten()
    states, size = paths.states[rows], paths.states.shape[-1]
    level = torch.arange(num_annealed_levels, device=rows.device).repeat(len(rows))
    # z_{t+1} and z̃_t of every row and level, (num_rows * num_levels, size), for all chains at once. The last level
    # does not depend on z_T.
    z_next = torch.cat([states[:, 1:], torch.zeros_like(states[:, :1])], 1)[:, :num_annealed_levels].reshape(-1, size)
    scaled = prior.levels.latent_scale[level][:, None] * states[:, :num_annealed_levels].reshape(-1, size)
    context = None if paths.context is None else paths.context[rows].repeat_interleave(num_annealed_levels, 0)
    step = torch.tensor(annealing.steps, dtype=states.dtype, device=states.device)[level][:, None]
    with parametrize.cached():
        target = _target(prior, z_next, level, context)
    up, _ = anneal_up(target, step, annealing.num_temperatures, generator)
    down = anneal_down(target, scaled, step, annealing.num_temperatures, generator)

    def corrections(log_normalizer: torch.Tensor) -> torch.Tensor:
        """Log ratio of each sample's weight to its guessed weight, `(batch_size, num_annealed_samples)`."""
        excess = paths.guessed_log_normalizers[rows] - log_normalizer.double().view(len(rows), num_annealed_levels)
        return excess.sum(-1).view(batch_size, num_annealed_samples)

    weights = [corrections(down), corrections(up)]
    lower, upper = (log_mean(guessed) + log_mean(correction) for correction in weights)
    errors = [torch.hypot(log_mean_error(guessed), log_mean_error(correction)) for correction in weights]
    annealed = torch.minimum(*(effective_sample_size(correction) for correction in weights))
    estimate = LikelihoodEstimate(lower, upper, *errors, effective_sample_size(guessed), annealed, pareto_k(guessed))
    return _with_last_level(estimate, annealing)


@torch.no_grad()
def estimate_log_prior(
    prior: DiffusionPrior,
    latents: torch.Tensor,
    *,
    num_paths: int = 500,
    num_annealed_samples: int = 32,
    annealing: Annealing | None = None,
    context: torch.Tensor | None = None,
    generator: torch.Generator | int | None = None,
) -> LikelihoodEstimate:
    """
    Estimate log p(z_0) of given latents; with contexts log p(z_0|c).

    Args:
        prior ([`DiffusionPrior`]): The prior, in evaluation mode.
        latents (`torch.Tensor` of shape `(batch_size, latent_size)`): z_0.
        num_paths (`int`, *optional*, defaults to 500): Number of forward paths per latent.
        num_annealed_samples (`int`, *optional*, defaults to 32): Number of paths per latent whose normalisers are
            annealed.
        annealing ([`Annealing`], *optional*): How to anneal the levels; defaults to what [`prepare_annealing`] finds.
        context (`torch.Tensor` of shape `(batch_size, context_size)`, *optional*): Context vectors, for a prior with
            contexts.
        generator (`torch.Generator` or `int`, *optional*): Source of all noise.
    """
    _check_context(prior, context)
    generator = as_generator(generator)
    for name, value in (("num_paths", num_paths), ("num_annealed_samples", num_annealed_samples)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if annealing is None:
        annealing = prepare_annealing(prior, context=context, generator=generator)
    repeated = None if context is None else context.repeat_interleave(num_paths, 0)
    paths = draw_paths(prior, annealing, latents.repeat_interleave(num_paths, 0), generator, repeated)
    log_factors = torch.zeros(len(latents), num_paths, dtype=torch.float64, device=latents.device)
    return anneal_paths(prior, annealing, paths, log_factors, num_annealed_samples, generator)


def _target(
    prior: DiffusionPrior, z_next: torch.Tensor, level: torch.Tensor, context: torch.Tensor | None = None
) -> TiltedGaussian:
    return TiltedGaussian(*prior.level_gaussian(z_next, level), prior.level_energy(level, context=context))


def _check_context(prior: DiffusionPrior, context: torch.Tensor | None) -> None:
    size = prior.config.context_size
    if (context is not None) != bool(size):
        allowed = f"have shape (n, {size})" if size else "be None for a prior without contexts"
        raise ValueError(f"context must {allowed}, got {None if context is None else tuple(context.shape)}")


def _with_last_level(estimate: LikelihoodEstimate, annealing: Annealing) -> LikelihoodEstimate:
    return replace(
        estimate,
        lower=estimate.lower - annealing.log_last_tilt_upper,
        upper=estimate.upper - annealing.log_last_tilt_lower,
    )


def _guess_log_normalizer(target: TiltedGaussian, step: float) -> torch.Tensor:
    """
    Guess log R by importance sampling from the Gaussian without its tilt, moved to the better of its mean and a point
    uphill of it. All rows use the same few draws, so that guesses differ only where the rows differ.
    """
    value, gradient = target.energy.value_and_gradient(target.mean)
    uphill = (1 - math.sqrt(1 - step)) * target.variance * gradient
    value_there = target.energy.value_and_gradient(target.mean + uphill)[0]
    is_higher = value_there - (uphill.square() / target.variance).sum(-1) / 2 > value
    shift, common = torch.where(is_higher[:, None], uphill, 0.0), torch.Generator().manual_seed(0)
    half = torch.randn(GUESS_DRAWS // 2, shift.shape[1], dtype=torch.float64, generator=common)
    log_weights = []
    for noise in torch.cat([half, -half]).to(shift):
        offset = shift + target.variance.sqrt() * noise
        log_ratio = (noise.square().sum() - (offset.square() / target.variance).sum(-1)) / 2
        log_weights.append(target.energy.value_and_gradient(target.mean + offset)[0] + log_ratio)
    return log_mean(torch.stack(log_weights, -1))


def _log_normal(offset: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    """log N(offset; 0, variance I), `(num_rows,)`."""
    return -(offset.square() / variance + (2 * math.pi * variance).log()).sum(-1) / 2
