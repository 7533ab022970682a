"""Importance weights in logarithms: means, their standard errors and resampling, and estimates made of them."""

import math
from dataclasses import dataclass

import torch

from ..model.noise import draw


def log_mean(log_weights: torch.Tensor) -> torch.Tensor:
    """log 1/S Σ_s w_s, `(...)`, given log weights `(..., S)`."""
    return log_weights.logsumexp(-1) - math.log(log_weights.shape[-1])


def effective_sample_size(log_weights: torch.Tensor) -> torch.Tensor:
    """(Σ w)² / Σ w², `(...)`, given log weights `(..., S)`: from 1, if one weight dominates, to S (Kong, 1992)."""
    return log_weights.softmax(-1).square().sum(-1).reciprocal()


def relative_variance(log_weights: torch.Tensor) -> torch.Tensor:
    """
    Variance of the mean weight divided by its square, `(...)`, given log weights `(..., S)`: by the delta method the
    variance of [`log_mean`]. It is 1/ESS - 1/S, which is too small as long as the largest weights have not been drawn,
    and 0 for a single weight.
    """
    size = log_weights.shape[-1]
    return (1 / effective_sample_size(log_weights) - 1 / size).clamp(min=0) * size / max(size - 1, 1)


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

    Args:
        lower (`torch.Tensor` of shape `(batch_size,)`): In expectation a lower bound on the true value.
        upper (`torch.Tensor` of shape `(batch_size,)`): In expectation at least the estimate with exact normalisers;
            with too few samples not an upper bound on the true value.
        lower_error, upper_error (`torch.Tensor` of shape `(batch_size,)`): Their standard errors by the delta method.
        effective_samples (`torch.Tensor` of shape `(batch_size,)`, *optional*): Effective sample size of the latents,
            for models with a latent.
        effective_annealed (`torch.Tensor` of shape `(batch_size,)`, *optional*): Effective sample size of the samples
            whose normalisers were annealed, the smaller of that of `lower` and that of `upper`.
    """

    lower: torch.Tensor
    upper: torch.Tensor
    lower_error: torch.Tensor
    upper_error: torch.Tensor
    effective_samples: torch.Tensor | None = None
    effective_annealed: torch.Tensor | None = None

    @classmethod
    def from_exact_weights(cls, log_weights: torch.Tensor) -> "LikelihoodEstimate":
        """The estimate from log weights `(batch_size, S)` that are known exactly."""
        mean, error = log_mean(log_weights), relative_variance(log_weights).sqrt()
        return cls(mean, mean, error, error, effective_sample_size(log_weights))
