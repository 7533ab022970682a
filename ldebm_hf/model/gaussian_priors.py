"""Gaussian priors: the standard normal of variational autoencoders, mixtures (GM-VAE, DGM-VAE), and no latent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers import initialization as init

from .codes import CodeDistribution, joint_logits
from .noise import at_least_float32, draw
from .objective import PriorLoss
from .prior import LogDensity, Prior, PriorWithCodes
from .validation import require

if TYPE_CHECKING:
    from .configuration_ldebm import LDEBMConfig
    from .posteriors import Posterior

LOG_2_PI = math.log(2 * math.pi)


class GaussianPrior(Prior):
    """
    p(z) = N(0, I); with a context c, p(z|c) = N(m(c), diag s²(c)), where m and log s² are linear in c (conditional
    VAE).

    Args:
        config ([`LDEBMConfig`]): Settings of the model.
    """

    card_description = "model with a latent variable (prior: gaussian)"

    def __init__(self, config: LDEBMConfig):
        super().__init__(config)
        size = config.gaussian_size
        self.register_buffer("location", torch.zeros(size))  # the mean; also gives the prior's device and precision
        self.of_context = nn.Linear(config.context_size, 2 * size) if config.context_size and size else None

    def init_tensors(self) -> None:
        """Fill the buffer of zeros."""
        init.zeros_(self.location)

    def loss(
        self,
        latents: torch.Tensor,
        posterior: Posterior,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> PriorLoss:
        """
        -E_q[log p(z)] in closed form: ½ Σ (μ² + σ²), or with a context ½ Σ ((μ - m)² + σ²)/s² + log s². The constant
        d/2 · log 2π is left out, as it is in the posterior's entropy. Arguments as in [`Prior`].
        """
        mean, log_variance = self._moments(context)
        spread = (posterior.mean - mean).square() + posterior.log_variance.exp()
        return PriorLoss((spread / log_variance.exp() + log_variance).sum(-1).mean() / 2)

    def log_prob(self, latents: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """log p(z) in nats, `(batch_size,)`."""
        mean, log_variance = self._moments(context)
        return -((latents - mean).square() / log_variance.exp() + log_variance + LOG_2_PI).sum(-1) / 2

    def sample(
        self,
        num_samples: int,
        symbols: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """`(1, num_samples, size)`; `symbols` are not used, because there are none."""
        mean, log_variance = self._moments(context)
        noise = draw(torch.randn, (1, num_samples, len(self.location)), self.location, generator)
        return mean + (0.5 * log_variance).exp() * noise

    def _moments(self, context: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """m and log s², which broadcast over the batch."""
        if self.of_context is None:
            return self.location, self.location
        return at_least_float32(self.of_context(context.to(self.location.dtype))).chunk(2, -1)


class NoLatentPrior(GaussianPrior):
    """The prior of a model without a latent (a recurrent language model): a distribution over vectors of size 0."""

    card_description = "recurrent language model"
    has_latent = False
    has_gaussian_part = False

    @classmethod
    def validate(cls, config: LDEBMConfig) -> None:
        """Only an autoregressive decoder is a model of its own without a latent."""
        is_autoregressive = config.modality_class.is_autoregressive
        require(is_autoregressive, "modality", config.modality, '"text" for prior="none", a language model')


class MixturePrior(PriorWithCodes):
    r"""
    Each of M equal slices of z has a mixture of C Gaussian components, all equally likely:

        p(z) = Π_m 1/C Σ_c N(z_m; μ_mc, diag σ²_mc),   with the posterior q(z|x) Π_m q(c_m|x)

    (Shi et al., ICML 2020). Minimising the bound with a posterior that is unsure of the component draws the components
    together. The dispersion, where A is a component's log-normaliser and η its natural parameters,

        Σ_m E_q(c)[A(η_mc)] - A(E_q(c)[η_mc]) ≥ 0,

    measures by how much; `dispersion_weight` β subtracts β times it from the loss. Symbols are joint components. With
    a context, p(c|context) replaces the equal probabilities.
    """

    card_description = "model with a latent variable (prior: mixture)"
    exclusive_settings = ("dispersion_weight",)

    def __init__(self, config: LDEBMConfig):
        super().__init__(config)
        shape = (config.num_code_variables, config.code_categories, config.latent_size // config.num_code_variables)
        self.codes = CodeDistribution(config)
        self.means = nn.Parameter(torch.empty(shape))
        self.log_variances = nn.Parameter(torch.empty(shape))

    @classmethod
    def validate(cls, config: LDEBMConfig) -> None:
        super().validate(config)
        allowed = f"a multiple of num_code_variables={config.num_code_variables}"
        require(config.latent_size % config.num_code_variables == 0, "latent_size", config.latent_size, allowed)

    def init_tensors(self) -> None:
        """Draw the components' means from N(0, 1), and let their variances be 1."""
        init.normal_(self.means)
        init.zeros_(self.log_variances)

    def loss(
        self,
        latents: torch.Tensor,
        posterior: Posterior,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> PriorLoss:
        """-E_q[log p(z|c) p(c)] minus the weighted dispersion. Arguments as in [`Prior`]."""
        probability = posterior.code_logits.softmax(-1)  # (batch_size, M, C)
        mean, variance = self._slices(posterior.mean), self._slices(posterior.log_variance).exp()
        spread = (mean - self.means).square() + variance
        cross_entropy = (spread / self.log_variances.exp() + self.log_variances).sum(-1) / 2
        terms = probability * cross_entropy
        loss = terms.flatten(1).sum(-1).mean()
        if context is None:
            loss = loss + self.config.num_code_variables * math.log(self.config.code_categories)
        else:
            loss = loss - (probability * self.codes.log_probability(context)).flatten(1).sum(-1).mean()
        if self.config.dispersion_weight:
            loss = loss - self.config.dispersion_weight * self.dispersion(probability).mean()
        return PriorLoss(loss)

    def dispersion(self, probability: torch.Tensor) -> torch.Tensor:
        """
        The dispersion of the components' natural parameters, `(batch_size,)`, at least 0.

        Args:
            probability (`torch.Tensor` of shape `(batch_size, num_variables, num_categories)`): q(c|x).
        """
        precision = (-self.log_variances).exp()
        shift = self.means * precision
        weight = probability[..., None]
        mean_of_normalizers = (weight * _log_normalizer(shift, precision)).sum(2)
        normalizer_of_mean = _log_normalizer((weight * shift).sum(2), (weight * precision).sum(2))
        return (mean_of_normalizers - normalizer_of_mean).flatten(1).sum(-1)

    def component_logits(self, latents: torch.Tensor) -> torch.Tensor:
        """log N(z_m; μ_mc, σ²_mc) of every slice and component, `(batch_size, num_variables, num_categories)`."""
        offset = (self._slices(latents) - self.means).square() / self.log_variances.exp()
        return -(offset + self.log_variances + LOG_2_PI).sum(-1) / 2

    def symbol_logits(self, latents: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """log p(c|z) of joint components, up to a constant, `(batch_size, num_symbols)`."""
        logits = self.component_logits(latents)
        return joint_logits(logits if context is None else logits + self.codes.log_probability(context))

    def log_prob(self, latents: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """log p(z) in nats, `(batch_size,)`."""
        return (self.component_logits(latents) + self.codes.log_probability(context)).logsumexp(-1).sum(-1)

    def sample(
        self,
        num_samples: int,
        symbols: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """`(1, num_samples, latent_size)`, from the joint components `symbols` `(num_samples,)` if given."""
        codes = self.codes.sample(num_samples, symbols, self.means, generator, context)[..., None]
        mean, log_variance = (codes * self.means).sum(2), (codes * self.log_variances).sum(2)
        noise = draw(torch.randn, mean.shape, mean, generator)
        return (mean + (0.5 * log_variance).exp() * noise).flatten(1)[None]

    def log_density_for_chains(
        self,
        latents: torch.Tensor,
        class_labels: torch.Tensor | None = None,
        guidance_scale: float | None = None,
        generator: torch.Generator | None = None,
    ) -> LogDensity:
        """log p(z), or log p(z) + log p(y|z) with class labels. Arguments as in [`Prior`]."""
        if class_labels is None:
            return self.log_prob
        rows = class_labels[:, None]
        return lambda latents: self.log_prob(latents) + self.symbol_logits(latents).gather(1, rows)[:, 0]

    def _slices(self, values: torch.Tensor) -> torch.Tensor:
        """`(batch_size, latent_size)` as `(batch_size, num_variables, 1, slice_size)`."""
        return values.unflatten(-1, (self.config.num_code_variables, 1, -1))


def _log_normalizer(shift: torch.Tensor, precision: torch.Tensor) -> torch.Tensor:
    """A(η) of a Gaussian with natural parameters (μ/σ², -1/(2σ²)), given as μ/σ² and 1/σ²."""
    return shift.square() / precision / 2 - precision.log() / 2
