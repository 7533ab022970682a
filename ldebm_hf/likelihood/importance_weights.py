"""Arithmetic of importance weights, in logarithms: means, their errors, resampling; and estimates made of them."""

import math
from dataclasses import dataclass

import torch

from ..model.noise import draw


def log_mean(log_weights: torch.Tensor) -> torch.Tensor:
    """log 1/S Σ_s w_s of log weights `(..., S)`, `(...)`."""
    return log_weights.logsumexp(-1) - math.log(log_weights.shape[-1])


def effective_sample_size(log_weights: torch.Tensor) -> torch.Tensor:
    """(Σ w)² / Σ w² of log weights `(..., S)`, `(...)`: from 1, where one weight is all, to S (Kong, 1992)."""
    return log_weights.softmax(-1).square().sum(-1).reciprocal()


def relative_variance(log_weights: torch.Tensor) -> torch.Tensor:
    """
    Of the mean of weights over its square, `(...)` for log weights `(..., S)`: by the delta method the variance of
    [`log_mean`]. It is 1/ESS - 1/S, and too small wherever the largest weights have not been met yet: 0 of one weight.
    """
    size = log_weights.shape[-1]
    return (1 / effective_sample_size(log_weights) - 1 / size).clamp(min=0) * size / max(size - 1, 1)


def temper(log_weights: torch.Tensor, effective_size: float, num_bisections: int = 30) -> torch.Tensor:
    """
    The log weights times the largest power in [0, 1] that leaves an effective sample size of at least
    `effective_size`; row by row of `(batch_size, S)`.
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
    Indices of samples, `(batch_size, num_draws)`, sample s of log weights `(batch_size, S)` being drawn num_draws w_s
    times on average: systematic resampling, one uniform number per row (Kitagawa, 1996).
    """
    cumulative = log_weights.double().softmax(-1).cumsum(-1)
    offset = draw(torch.rand, (len(log_weights), 1), cumulative, generator)
    places = (torch.arange(num_draws, device=log_weights.device) + offset) / num_draws
    return torch.searchsorted(cumulative, places).clamp(max=log_weights.shape[-1] - 1)


@dataclass(frozen=True)
class LikelihoodEstimate:
    """
    Two estimates of the logarithm of a mean of importance weights, per example, in nats. They are the same where the
    weights are known exactly; where they hold normalisers that are themselves estimated, from both sides,

        E[lower] ≤ E[the same from the same samples with exact normalisers] ≤ E[upper],    and the middle ≤ the truth.

    Args:
        lower (`torch.Tensor` of shape `(batch_size,)`): In expectation a lower bound on the truth.
        upper (`torch.Tensor` of shape `(batch_size,)`): In expectation no less than exact normalisers would give.
            It is no upper bound on the truth where there are too few samples.
        lower_error, upper_error (`torch.Tensor` of shape `(batch_size,)`): Their standard errors by the delta method.
        effective_samples (`torch.Tensor` of shape `(batch_size,)`, *optional*): Effective size of the samples of the
            latent, if there is one.
        effective_annealed (`torch.Tensor` of shape `(batch_size,)`, *optional*): That of the samples whose normalisers
            were annealed, the smaller one of `lower`'s and `upper`'s.
    """

    lower: torch.Tensor
    upper: torch.Tensor
    lower_error: torch.Tensor
    upper_error: torch.Tensor
    effective_samples: torch.Tensor | None = None
    effective_annealed: torch.Tensor | None = None

    @classmethod
    def from_exact_weights(cls, log_weights: torch.Tensor) -> "LikelihoodEstimate":
        """The estimate from log weights `(batch_size, S)` in which nothing is estimated."""
        mean, error = log_mean(log_weights), relative_variance(log_weights).sqrt()
        return cls(mean, mean, error, error, effective_sample_size(log_weights))
