"""Gaussian priors: the standard normal of variational autoencoders, and mixtures (GM-VAE, DGM-VAE)."""

import math

import torch
from torch import nn

from .codes import joint_logits, one_hot_codes
from .configuration_ldebm import LDEBMConfig
from .noise import draw
from .objective import PriorLoss
from .posteriors import Posterior
from .precision import AtLeastFloat32

LOG_2_PI = math.log(2 * math.pi)


class GaussianPrior(AtLeastFloat32):
    """
    p(z) = N(0, I).

    Args:
        size (`int`): Size of z; 0 for a model without a latent.
    """

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("location", torch.zeros(size))  # zero; knows device and precision

    def loss(self, latents: torch.Tensor, posterior: Posterior, generator: torch.Generator | None = None) -> PriorLoss:
        """-E_q[log p(z)] in closed form, ½ Σ (μ² + σ²); arguments as in [`Prior`]."""
        return PriorLoss((posterior.mean.square() + posterior.log_variance.exp()).sum(-1).mean() / 2)

    def log_prob(self, latents: torch.Tensor) -> torch.Tensor:
        """log p(z), `(batch_size,)`."""
        return -(latents.square() + LOG_2_PI).sum(-1) / 2

    def sample(self, num_samples: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """`(1, num_samples, size)`."""
        return draw(torch.randn, (1, num_samples, len(self.location)), self.location, generator)


class MixturePrior(AtLeastFloat32):
    r"""
    Each of M equal slices of z is of one of C Gaussian components, all equally likely:

        p(z) = Π_m 1/C Σ_c N(z_m; μ_mc, diag σ²_mc),   with the posterior q(z|x) Π_m q(c_m|x)

    (Shi et al., ICML 2020). Minimising the bound with a posterior that is unsure of the component draws the components
    together; the dispersion, A being a component's log-normaliser and η its natural parameters,

        Σ_m E_q(c)[A(η_mc)] - A(E_q(c)[η_mc]) ≥ 0,

    is by how much. `dispersion_weight` β takes β times it off the loss. Symbols are joint components.
    """

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.config = config
        shape = (config.num_code_variables, config.code_categories, config.latent_size // config.num_code_variables)
        self.means = nn.Parameter(torch.empty(shape))
        self.log_variances = nn.Parameter(torch.empty(shape))

    def loss(self, latents: torch.Tensor, posterior: Posterior, generator: torch.Generator | None = None) -> PriorLoss:
        """-E_q[log p(z|c) p(c)] less the weighted dispersion; arguments as in [`Prior`]."""
        probability = posterior.code_logits.softmax(-1)  # (batch_size, M, C)
        mean, variance = self._slices(posterior.mean), self._slices(posterior.log_variance).exp()
        spread = (mean - self.means).square() + variance
        cross_entropy = (spread / self.log_variances.exp() + self.log_variances).sum(-1) / 2
        terms = probability * cross_entropy
        loss = terms.flatten(1).sum(-1).mean() + self.config.num_code_variables * math.log(self.config.code_categories)
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

    def symbol_logits(self, latents: torch.Tensor) -> torch.Tensor:
        """log p(c|z) of joint components, `(batch_size, num_symbols)`."""
        return joint_logits(self.component_logits(latents))

    def log_prob(self, latents: torch.Tensor) -> torch.Tensor:
        """log p(z), `(batch_size,)`."""
        return (self.component_logits(latents).logsumexp(-1) - math.log(self.config.code_categories)).sum(-1)

    def sample(
        self, num_samples: int, symbols: torch.Tensor | None = None, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """`(1, num_samples, latent_size)`, of the joint components `symbols` `(num_samples,)` if given."""
        codes = draw_codes(num_samples, self.config, symbols, self.means, generator)[..., None]
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
) -> torch.Tensor:
    """Uniform codes, or those of `symbols`, as one-hot vectors `(num_samples, num_variables, num_categories)`."""
    num_variables, categories = config.num_code_variables, config.code_categories
    if symbols is not None:
        return one_hot_codes(symbols, num_variables, categories).to(like.dtype)
    uniform = draw(torch.rand, (num_samples, num_variables), like, generator)
    drawn = (uniform * categories).long().clamp(max=categories - 1)
    return nn.functional.one_hot(drawn, categories).to(like.dtype)


def _log_normalizer(shift: torch.Tensor, precision: torch.Tensor) -> torch.Tensor:
    """A(η) of a Gaussian with natural parameters (μ/σ², -1/(2σ²)), given as μ/σ² and 1/σ²."""
    return shift.square() / precision / 2 - precision.log() / 2
