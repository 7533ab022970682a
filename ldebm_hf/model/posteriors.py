"""The posterior q_φ(z|x) that an encoder computes for each example: Gaussian, categorical, or both side by side."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from .codes import joint_logits
from .noise import as_generator, at_least_float32, gaussian_like, gumbel_like
from .objective import negative_code_entropy, negative_entropy

if TYPE_CHECKING:
    from .configuration_ldebm import LDEBMConfig


@dataclass
class Posterior:
    """
    N(μ, diag σ²) times M categorical distributions, of which a prior may need only one.

    A latent vector, as the decoder reads it, is the Gaussian part, followed by the codes as M one-hot vectors if the
    prior's `decodes_codes` says so. A mixture's codes, its components, are not part of it.

    Args:
        config ([`LDEBMConfig`]): Settings of the model.
        mean (`torch.Tensor` of shape `(batch_size, gaussian_size)`): μ(x).
        log_variance (`torch.Tensor` of shape `(batch_size, gaussian_size)`): log σ²(x).
        code_logits (`torch.Tensor` of shape `(batch_size, num_variables, num_categories)`, *optional*): log q(c|x) up
            to constants.
        context (`torch.Tensor` of shape `(batch_size, context_size)`, *optional*): Context vectors for the prior,
            without a gradient; `None` for models without contexts.
    """

    config: LDEBMConfig
    mean: torch.Tensor
    log_variance: torch.Tensor
    code_logits: torch.Tensor | None = None
    context: torch.Tensor | None = None

    @property
    def expectation(self) -> torch.Tensor:
        """E_q of the latent vector, `(batch_size, total_latent_size)`; of codes the probabilities."""
        return self._latent_vector(self.mean, lambda: self.code_logits.softmax(-1))

    @property
    def mode(self) -> torch.Tensor:
        """The likeliest latent vector, `(batch_size, total_latent_size)`."""
        return self._latent_vector(self.mean, self._likeliest_code)

    def sample(self, generator: torch.Generator | int | None = None, relaxed: bool = True) -> torch.Tensor:
        """
        A reparameterised draw, `(batch_size, total_latent_size)`.

        Args:
            generator (`torch.Generator` or `int`, *optional*): Source of the noise; an integer is a seed.
            relaxed (`bool`, *optional*, defaults to `True`): Whether codes are drawn from the Gumbel-softmax, which is
                differentiable; else they are one-hot.
        """
        generator = as_generator(generator)
        latents = self.mean + (0.5 * self.log_variance).exp() * gaussian_like(self.mean, generator)
        return self._latent_vector(latents, lambda: self._draw_code(generator, relaxed))

    def log_prob(self, latents: torch.Tensor) -> torch.Tensor:
        """log q(z|x) in nats, `(batch_size,)`, of latents `(batch_size, total_latent_size)` with one-hot codes."""
        size = self.mean.shape[1]
        offset = (latents[:, :size] - self.mean).square() / self.log_variance.exp()
        log_prob = -(offset + self.log_variance + math.log(2 * math.pi)).sum(-1) / 2
        if self.config.prior_class.decodes_codes:
            codes = latents[:, size:].unflatten(-1, self.code_logits.shape[1:])
            log_prob = log_prob + (codes * self.code_logits.log_softmax(-1)).flatten(1).sum(-1)
        return log_prob

    def negative_entropy(self, threshold: float | None = None) -> torch.Tensor:
        """
        E_q[log q] in nats, mean over the examples, without the Gaussian part's constant d/2 · log 2π. `threshold` is
        that of `objective.negative_entropy`.
        """
        entropy = negative_entropy(self.log_variance, threshold)
        return entropy if self.code_logits is None else entropy + negative_code_entropy(self.code_logits)

    def symbol_logits(self) -> torch.Tensor:
        """log q(y|x) of the symbols, which are joint codes, `(batch_size, num_symbols)`."""
        return joint_logits(self.code_logits)

    def _latent_vector(self, gaussian_part: torch.Tensor, make_code: Callable[[], torch.Tensor]) -> torch.Tensor:
        if self.config.prior_class.decodes_codes:
            return torch.cat([gaussian_part, make_code().flatten(1)], -1)
        return gaussian_part

    def _likeliest_code(self) -> torch.Tensor:
        return F.one_hot(self.code_logits.argmax(-1), self.code_logits.shape[-1]).to(self.code_logits.dtype)

    def _draw_code(self, generator: torch.Generator | None, relaxed: bool) -> torch.Tensor:
        perturbed = self.code_logits + gumbel_like(self.code_logits, generator)
        if relaxed:
            return (perturbed / self.config.gumbel_temperature).softmax(-1)
        return F.one_hot(perturbed.argmax(-1), perturbed.shape[-1]).to(perturbed.dtype)


class PosteriorHeads(nn.Module):
    """
    Linear maps from an encoder's features to the parameters of the posterior.

    Args:
        config ([`LDEBMConfig`]): Settings of the model.
        num_features (`int`): Number of features.
    """

    def __init__(self, config: LDEBMConfig, num_features: int):
        super().__init__()
        self.config = config
        self.mean = self.log_variance = self.code = None
        if config.gaussian_size:
            self.mean = nn.Linear(num_features, config.gaussian_size)
            self.log_variance = nn.Linear(num_features, config.gaussian_size)
        if config.normalize_posterior:
            self.normalization = nn.BatchNorm1d(config.gaussian_size, affine=False)
        if config.has_codes:
            self.code = nn.Linear(num_features, config.num_code_variables * config.code_categories)

    def forward(self, features: torch.Tensor) -> Posterior:
        """The posterior, in float32 at least, given features `(batch_size, num_features)`."""
        parameters = [features[:, :0]] * 2
        if self.mean is not None:
            parameters = [self._normalized(self.mean(features)), self.log_variance(features)]
        if self.code is not None:
            shape = (self.config.num_code_variables, self.config.code_categories)
            parameters.append(self.code(features).unflatten(-1, shape))
        return Posterior(self.config, *(at_least_float32(parameter) for parameter in parameters))

    def _normalized(self, mean: torch.Tensor) -> torch.Tensor:
        if not self.config.normalize_posterior:
            return mean
        norm = self.normalization
        # The statistics describe the map to the means. Where it is frozen or has an adapter of peft, which would not
        # save them, they stay as they are.
        if norm.training and isinstance(self.mean, nn.Linear) and self.mean.weight.requires_grad:
            if len(mean) > 1:
                return norm(mean)
            # A batch of one has no variance, so past batches normalise it. It still counts as a batch, because another
            # process may have a larger one at the same step.
            norm.num_batches_tracked.add_(1)
        return nn.functional.batch_norm(mean, norm.running_mean, norm.running_var, eps=norm.eps)
