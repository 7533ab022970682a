"""Priors with discrete latents: codes alone (DI-VAE), and a Gaussian beside them (SEMI-VAE)."""

import math

import torch
from torch import nn

from .codes import joint_logits
from .configuration_ldebm import LDEBMConfig
from .gaussian_priors import CodeDistribution, GaussianPrior, draw_codes
from .objective import PriorLoss
from .posteriors import Posterior
from .precision import AtLeastFloat32


class CodePrior(AtLeastFloat32):
    """
    M independent categorical variables, uniform over C categories each, or as a context has it; a latent vector is
    their one-hot vectors side by side. Symbols are joint codes (Zhao et al., ACL 2018).
    """

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.config = config
        self.codes = CodeDistribution(config)
        log_probability = -config.num_code_variables * math.log(config.code_categories)
        self.register_buffer("log_probability", torch.tensor(log_probability))

    def loss(
        self,
        latents: torch.Tensor,
        posterior: Posterior,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> PriorLoss:
        """-E_q[log p(c)], without a context M log C, whatever the posterior; arguments as in [`Prior`]."""
        if context is None:
            return PriorLoss(-self.log_probability)
        probability = posterior.code_logits.softmax(-1)
        return PriorLoss(-(probability * self.codes.log_probability(context)).flatten(1).sum(-1).mean())

    def symbol_logits(self, latents: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """Log of the joint code in `latents`, one-hot or probabilities, `(batch_size, num_symbols)`."""
        codes = latents.unflatten(-1, (self.config.num_code_variables, self.config.code_categories))
        return joint_logits(codes.clamp(min=torch.finfo(codes.dtype).tiny).log())

    def log_prob(self, latents: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """log p(c) of one-hot codes, `(batch_size,)`."""
        if context is None:
            return self.log_probability.expand(len(latents))
        return (latents * self.codes.log_probability(context).flatten(1)).sum(-1)

    def sample(
        self,
        num_samples: int,
        symbols: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """`(1, num_samples, M C)`, with the codes of `symbols` `(num_samples,)` if given."""
        codes = draw_codes(num_samples, self.config, symbols, self.log_probability, generator, self.codes, context)
        return codes.flatten(1)[None]


class SemiPrior(nn.Module):
    """A standard normal and a code, independent, side by side in the latent vector (Kingma et al., NeurIPS 2014)."""

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.size = config.latent_size
        self.gaussian, self.code = GaussianPrior(config.latent_size, config.context_size), CodePrior(config)

    def loss(
        self,
        latents: torch.Tensor,
        posterior: Posterior,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> PriorLoss:
        """The sum of both; arguments as in [`Prior`]."""
        parts = [prior.loss(latents, posterior, context=context).loss for prior in (self.gaussian, self.code)]
        return PriorLoss(sum(parts))

    def symbol_logits(self, latents: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """As in [`CodePrior`], of the code in `latents`."""
        return self.code.symbol_logits(latents[:, self.size :])

    def log_prob(self, latents: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """log p(z) + log p(c), `(batch_size,)`."""
        gaussian, code = latents[:, : self.size], latents[:, self.size :]
        return self.gaussian.log_prob(gaussian, context) + self.code.log_prob(code, context)

    def sample(
        self,
        num_samples: int,
        symbols: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """`(1, num_samples, latent_size + M C)`, with the codes of `symbols` `(num_samples,)` if given."""
        parts = [
            self.gaussian.sample(num_samples, generator, context),
            self.code.sample(num_samples, symbols, generator, context),
        ]
        return torch.cat(parts, -1)
