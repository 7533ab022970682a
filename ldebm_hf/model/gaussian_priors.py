"""Gaussian priors: the standard normal of variational autoencoders, and mixtures (GM-VAE, DGM-VAE)."""

import math

import torch
from torch import nn

from .codes import joint_logits, one_hot_codes
from .configuration_ldebm import LDEBMConfig
from .noise import draw
from .objective import PriorLoss
from .posteriors import Posterior
from .precision import AtLeastFloat32, at_least_float32

LOG_2_PI = math.log(2 * math.pi)


class GaussianPrior(AtLeastFloat32):
    """
    p(z) = N(0, I), or in a context c p(z|c) = N(m(c), diag s²(c)) with m and log s² linear (conditional VAE).

    Args:
        size (`int`): Size of z; 0 for a model without a latent.
        context_size (`int`, *optional*, defaults to 0): Size of c, if there is one.
    """

    def __init__(self, size: int, context_size: int = 0):
        super().__init__()
        self.register_buffer("location", torch.zeros(size))  # zero; knows device and precision
        self.of_context = nn.Linear(context_size, 2 * size) if context_size and size else None

    def loss(
        self,
        latents: torch.Tensor,
        posterior: Posterior,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> PriorLoss:
        """
        -E_q[log p(z)] in closed form, ½ Σ (μ² + σ²), with a context ½ Σ ((μ - m)² + σ²)/s² + log s²; without its
        ½ log 2π, as the posterior's entropy is. Arguments as in [`Prior`].
        """
        mean, log_variance = self._moments(context)
        spread = (posterior.mean - mean).square() + posterior.log_variance.exp()
        return PriorLoss((spread / log_variance.exp() + log_variance).sum(-1).mean() / 2)

    def log_prob(self, latents: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """log p(z), `(batch_size,)`."""
        mean, log_variance = self._moments(context)
        return -((latents - mean).square() / log_variance.exp() + log_variance + LOG_2_PI).sum(-1) / 2

    def sample(
        self, num_samples: int, generator: torch.Generator | None = None, context: torch.Tensor | None = None
    ) -> torch.Tensor:
        """`(1, num_samples, size)`."""
        mean, log_variance = self._moments(context)
        noise = draw(torch.randn, (1, num_samples, len(self.location)), self.location, generator)
        return mean + (0.5 * log_variance).exp() * noise

    def _moments(self, context: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """m and log s², to be broadcast over the batch."""
        if self.of_context is None:
            return self.location, self.location
        return at_least_float32(self.of_context(context.to(self.location.dtype))).chunk(2, -1)


class CodeDistribution(nn.Module):
    """p(c) of M code variables of C categories each: uniform, or in a context softmax of a linear map of it."""

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.shape = (config.num_code_variables, config.code_categories)
        self.of_context = nn.Linear(config.context_size, math.prod(self.shape)) if config.context_size else None

    def log_probability(self, context: torch.Tensor | None) -> torch.Tensor | float:
        """Of every category of every variable, `(batch_size, num_variables, num_categories)`, or one for all."""
        if self.of_context is None:
            return -math.log(self.shape[1])
        logits = self.of_context(context.to(self.of_context.weight.dtype))
        return at_least_float32(logits).unflatten(-1, self.shape).log_softmax(-1)


class MixturePrior(AtLeastFloat32):
    r"""
    Each of M equal slices of z is of one of C Gaussian components, all equally likely:

        p(z) = Π_m 1/C Σ_c N(z_m; μ_mc, diag σ²_mc),   with the posterior q(z|x) Π_m q(c_m|x)

    (Shi et al., ICML 2020). Minimising the bound with a posterior that is unsure of the component draws the components
    together; the dispersion, A being a component's log-normaliser and η its natural parameters,

        Σ_m E_q(c)[A(η_mc)] - A(E_q(c)[η_mc]) ≥ 0,

    is by how much. `dispersion_weight` β takes β times it off the loss. Symbols are joint components. In a
    context the components are as likely as that says, not equally.
    """

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.config = config
        shape = (config.num_code_variables, config.code_categories, config.latent_size // config.num_code_variables)
        self.codes = CodeDistribution(config)
        self.means = nn.Parameter(torch.empty(shape))
        self.log_variances = nn.Parameter(torch.empty(shape))

    def loss(
        self,
        latents: torch.Tensor,
        posterior: Posterior,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> PriorLoss:
        """-E_q[log p(z|c) p(c)] less the weighted dispersion; arguments as in [`Prior`]."""
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
        The dispersion of natural parameters, `(batch_size,)`, at least 0.

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
        """log p(z), `(batch_size,)`."""
        return (self.component_logits(latents) + self.codes.log_probability(context)).logsumexp(-1).sum(-1)

    def sample(
        self,
        num_samples: int,
        symbols: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """`(1, num_samples, latent_size)`, of the joint components `symbols` `(num_samples,)` if given."""
        codes = draw_codes(num_samples, self.config, symbols, self.means, generator, self.codes, context)[..., None]
        mean, log_variance = (codes * self.means).sum(2), (codes * self.log_variances).sum(2)
        noise = draw(torch.randn, mean.shape, mean, generator)
        return (mean + (0.5 * log_variance).exp() * noise).flatten(1)[None]

    def _slices(self, values: torch.Tensor) -> torch.Tensor:
        """`(batch_size, latent_size)` as `(batch_size, num_variables, 1, slice_size)`."""
        return values.unflatten(-1, (self.config.num_code_variables, 1, -1))


def draw_codes(
    num_samples: int,
    config: LDEBMConfig,
    symbols: torch.Tensor | None,
    like: torch.Tensor,
    generator: torch.Generator | None,
    distribution: CodeDistribution,
    context: torch.Tensor | None,
) -> torch.Tensor:
    """Codes, or those of `symbols`, as one-hot vectors `(num_samples, num_variables, num_categories)`."""
    num_variables, categories = config.num_code_variables, config.code_categories
    if symbols is not None:
        return one_hot_codes(symbols, num_variables, categories).to(like.dtype)
    uniform = draw(torch.rand, (num_samples, num_variables), like, generator)
    drawn = (uniform * categories).long()
    if context is not None:  # the first category up to which the probabilities add up to more
        drawn = (distribution.log_probability(context).exp().cumsum(-1) <= uniform[..., None]).sum(-1)
    drawn = drawn.clamp(max=categories - 1)
    return nn.functional.one_hot(drawn, categories).to(like.dtype)


def _log_normalizer(shift: torch.Tensor, precision: torch.Tensor) -> torch.Tensor:
    """A(η) of a Gaussian with natural parameters (μ/σ², -1/(2σ²)), given as μ/σ² and 1/σ²."""
    return shift.square() / precision / 2 - precision.log() / 2
