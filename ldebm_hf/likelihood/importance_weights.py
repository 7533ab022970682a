"""Importance weights in logarithms: means, their standard errors and resampling, and estimates made of them."""

import math
from dataclasses import dataclass

import torch

from ..model.distilled_sampler import effective_sample_size
from ..model.noise import draw

TRUSTED_K = 0.7
"""Largest Pareto k with which a mean of weights can be trusted (Vehtari et al., 2024)."""
LARGEST_FINITE_K = 0.45
"""Pareto k beyond which a tail's variance is taken to be that at this k, as it is infinite from 1/2 on."""
SHORTEST_TAIL = 5
"""Number of largest weights that a Pareto distribution is fitted to at least."""
TIE = 5e-7
"""Difference of log weights, relative to the largest or to 1 if that is less, up to which they are equal: four
roundings in single precision, because the same code scored in another batch may differ by these."""


def log_mean(log_weights: torch.Tensor) -> torch.Tensor:
    """log 1/S Σ_s w_s, `(...)`, given log weights `(..., S)`."""
    return log_weights.logsumexp(-1) - math.log(log_weights.shape[-1])


def relative_variance(log_weights: torch.Tensor) -> torch.Tensor:
    """
    Variance of the mean weight divided by its square, `(...)`, given log weights `(..., S)`: by the delta method the
    variance of [`log_mean`]. It is 1/ESS - 1/S, which is too small as long as the largest weights have not been drawn,
    and 0 for a single weight.
    """
    size = log_weights.shape[-1]
    return (1 / effective_sample_size(log_weights) - 1 / size).clamp(min=0) * size / max(size - 1, 1)


@dataclass(frozen=True)
class ParetoTail:
    """
    A generalised Pareto distribution fitted to how far the largest weights exceed a threshold.

    Args:
        size (`int`): Number M of largest weights; the threshold is the largest of the others.
        num_above (`torch.Tensor` of shape `(...)`): How many of them are above the threshold and have been fitted: M
            unless there are ties, and 0 if the weights have no tail.
        shape (`torch.Tensor` of shape `(...)`): k. From 1/2 on the weights have no variance, from 1 on no mean.
        scale (`torch.Tensor` of shape `(...)`): σ, in units of the largest weight.
        threshold (`torch.Tensor` of shape `(...)`): In units of the largest weight.
    """

    size: int
    num_above: torch.Tensor
    shape: torch.Tensor
    scale: torch.Tensor
    threshold: torch.Tensor


def tail_size(num_weights: int) -> int:
    """Number of largest weights that are the tail (Vehtari et al., 2024); 0 if there are too few weights for one."""
    size = min(num_weights // 5, int(3 * math.sqrt(num_weights)))
    return size if size >= SHORTEST_TAIL else 0


def pareto_tail(log_weights: torch.Tensor) -> ParetoTail:
    """
    Fit the tail of weights given as log weights `(..., S)`, with S of at least 25: by the profile likelihood of Zhang
    and Stephens (2009), with k drawn towards 1/2 by ten weights' worth of prior, as in Pareto-smoothed importance
    sampling (Vehtari et al., 2024).

    Weights that equal the threshold are not in the tail. Fewer than five above it, or weights of which no more than
    half are distinct, are not fitted and have k = 0 and σ = 0: the distribution is continuous, and says nothing about
    a latent of codes, whose few weights have all been drawn again and again.
    """
    size = tail_size(log_weights.shape[-1])
    largest = log_weights.double().topk(size + 1, dim=-1).values.flip(-1)
    is_new = largest.diff(dim=-1) > TIE * largest[..., -1:].abs().clamp(min=1)
    is_above = is_new.cumsum(-1) > 0
    num_above = is_above.sum(-1)
    has_tail = (num_above >= SHORTEST_TAIL) & (2 * is_new.sum(-1) > num_above)
    num_fitted = torch.where(has_tail, num_above, size)
    relative = (largest - largest[..., -1:]).exp()
    threshold, excess = relative[..., 0], torch.where(is_above, relative[..., 1:] - relative[..., :1], 0.0)
    excess = torch.where(has_tail[..., None], excess, torch.linspace(0.5, 1, size).to(excess))
    num_candidates = 30 + int(math.sqrt(size))
    place = torch.arange(1, num_candidates + 1, dtype=excess.dtype, device=excess.device) - 0.5
    quartile_place = size - num_fitted + (num_fitted / 4 + 0.5).long() - 1
    quartile = excess.gather(-1, quartile_place[..., None]).clamp(min=torch.finfo(excess.dtype).tiny)
    candidates = 1 / excess[..., -1:] + (1 - (num_candidates / place).sqrt()) / (3 * quartile)
    shapes = torch.log1p(-candidates[..., None] * excess[..., None, :]).sum(-1) / num_fitted[..., None]
    log_likelihood = num_fitted[..., None] * ((-candidates / shapes).log() - shapes - 1)
    rate = (log_likelihood.softmax(-1) * candidates).sum(-1)
    shape = torch.log1p(-rate[..., None] * excess).sum(-1) / num_fitted
    scale = -shape / rate
    shape = (num_fitted * shape + 10 * 0.5) / (num_fitted + 10)
    shape, scale, num_above = (torch.where(has_tail, value, 0) for value in (shape, scale, num_above))
    return ParetoTail(size, num_above, shape, scale, threshold)


def pareto_k(log_weights: torch.Tensor) -> torch.Tensor | None:
    """Shape k of the tail of the weights, `(...)`, given log weights `(..., S)`; `None` for fewer than 25 weights."""
    return pareto_tail(log_weights).shape if tail_size(log_weights.shape[-1]) else None


def log_mean_error(log_weights: torch.Tensor) -> torch.Tensor:
    """
    Standard error of [`log_mean`], `(...)`, given log weights `(..., S)`, which also counts weights that are too rare
    to have been drawn.

    The largest of three: the delta method's error ([`relative_variance`]), which misses them; the same with the second
    moment of the tail from a Pareto distribution, whose k is made larger by its own standard error; and, from k = 0.7
    on, where no variance describes the error, S^(k-1), the rate at which means of such weights converge, or 2k nats if
    that is less: the logarithms of weights have an exponential tail of mean k. With fewer than 25 weights, and with
    weights without a tail, it is the delta method's.
    """
    error, num_weights = relative_variance(log_weights).sqrt(), log_weights.shape[-1]
    if not tail_size(num_weights):
        return error
    tail = pareto_tail(log_weights)
    wary = (tail.shape + (1 + tail.shape).clamp(min=0) / tail.num_above.sqrt()).clamp(max=LARGEST_FINITE_K)
    weights = (log_weights - log_weights.amax(-1, keepdim=True)).double().exp()
    body = weights.sort(-1).values[..., : num_weights - tail.size].square().sum(-1)
    first = tail.scale / (1 - wary)
    second = 2 * tail.scale.square() / ((1 - wary) * (1 - 2 * wary))
    second_moment = body + tail.size * tail.threshold.square()
    second_moment += tail.num_above * (2 * tail.threshold * first + second)
    variance = (second_moment * num_weights / weights.sum(-1).square() - 1).clamp(min=0) / num_weights
    error = torch.maximum(error, variance.sqrt().to(error.dtype))
    slow = torch.minimum(num_weights ** (tail.shape - 1), 2 * tail.shape).to(error.dtype)
    return torch.where(tail.shape > TRUSTED_K, torch.maximum(error, slow), error)


def temper(log_weights: torch.Tensor, effective_size: float, num_bisections: int = 30) -> torch.Tensor:
    """
    Raise weights to a power in [0, 1], row by row: the largest one with an effective sample size of at least
    `effective_size`.

    Args:
        log_weights (`torch.Tensor` of shape `(batch_size, S)`): Log weights.
        effective_size (`float`): Effective sample size to reach.
        num_bisections (`int`, *optional*, defaults to 30): Steps of the search.

    Returns:
        `torch.Tensor` of shape `(batch_size, S)`: log weights times the power of their row.
    """
    low, high = torch.zeros_like(log_weights[:, :1]), torch.ones_like(log_weights[:, :1])
    good = effective_sample_size(log_weights)[:, None] >= effective_size
    for _ in range(num_bisections):
        middle = (low + high) / 2
        enough = effective_sample_size(middle * log_weights)[:, None] >= effective_size
        low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
    return torch.where(good, 1.0, low) * log_weights


def resample(log_weights: torch.Tensor, num_draws: int, generator: torch.Generator | None = None) -> torch.Tensor:
    """
    Draw samples in proportion to their weights: systematic resampling, with one uniform number for each row (Kitagawa,
    1996).

    Args:
        log_weights (`torch.Tensor` of shape `(batch_size, S)`): Log weights.
        num_draws (`int`): Number of draws.
        generator (`torch.Generator`, *optional*): Source of the uniform numbers.

    Returns:
        `torch.LongTensor` of shape `(batch_size, num_draws)`: indices of samples.
    """
    cumulative = log_weights.double().softmax(-1).cumsum(-1)
    offset = draw(torch.rand, (len(log_weights), 1), cumulative, generator)
    places = (torch.arange(num_draws, device=log_weights.device) + offset) / num_draws
    return torch.searchsorted(cumulative, places).clamp(max=log_weights.shape[-1] - 1)


@dataclass(frozen=True)
class LikelihoodEstimate:
    """
    Two estimates of the logarithm of a mean of importance weights for each example, in nats. They are equal if the
    weights are known exactly. If the weights contain normalisers that are themselves estimated, from both sides,

        E[lower] ≤ E[the estimate with exact normalisers] ≤ E[upper],    and the middle term ≤ the true value.

    Errors, effective sample sizes and Pareto's k are all computed from the samples that were drawn. None of them shows
    a mode of the posterior that no sample has reached: `prior_share` of [`LikelihoodSettings`] looks for such modes.

    Args:
        lower (`torch.Tensor` of shape `(batch_size,)`): In expectation a lower bound on the true value.
        upper (`torch.Tensor` of shape `(batch_size,)`): In expectation at least the estimate with exact normalisers;
            with too few samples not an upper bound on the true value.
        lower_error, upper_error (`torch.Tensor` of shape `(batch_size,)`): Their standard errors ([`log_mean_error`]).
        effective_samples (`torch.Tensor` of shape `(batch_size,)`, *optional*): Effective sample size of the latents,
            for models with a latent.
        effective_annealed (`torch.Tensor` of shape `(batch_size,)`, *optional*): Effective sample size of the samples
            whose normalisers were annealed, the smaller of that of `lower` and that of `upper`.
        pareto_k (`torch.Tensor` of shape `(batch_size,)`, *optional*): Shape k of the tail of the latents' weights,
            for at least 25 latents. Above 0.7 the estimate is not to be trusted.
    """

    lower: torch.Tensor
    upper: torch.Tensor
    lower_error: torch.Tensor
    upper_error: torch.Tensor
    effective_samples: torch.Tensor | None = None
    effective_annealed: torch.Tensor | None = None
    pareto_k: torch.Tensor | None = None

    @classmethod
    def from_exact_weights(cls, log_weights: torch.Tensor) -> "LikelihoodEstimate":
        """The estimate from log weights `(batch_size, S)` that are known exactly."""
        mean, error = log_mean(log_weights), log_mean_error(log_weights)
        return cls(mean, mean, error, error, effective_sample_size(log_weights), pareto_k=pareto_k(log_weights))
