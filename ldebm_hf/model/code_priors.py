"""Priors with discrete latents: codes alone (DI-VAE), and a Gaussian vector followed by a code (SEMI-VAE)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from transformers import initialization as init

from .codes import CodeDistribution, joint_logits
from .gaussian_priors import GaussianPrior
from .objective import PriorLoss
from .prior import PriorWithCodes

if TYPE_CHECKING:
    from .configuration_ldebm import LDEBMConfig
    from .posteriors import Posterior


class CodePrior(PriorWithCodes):
    """
    M independent categorical variables of C categories each: uniform or, with a context, with the softmax of a linear
    map of the context as probabilities. A latent vector is their one-hot vectors, concatenated. Symbols are joint
    codes (Zhao et al., ACL 2018).
    """

    card_description = "model with a latent variable (prior: discrete)"
    has_gaussian_part = False
    decodes_codes = True

    def __init__(self, config: LDEBMConfig):
        super().__init__(config)
        self.codes = CodeDistribution(config)
        self.register_buffer("log_probability", self.uniform_log_probability())

    def init_tensors(self) -> None:
        """Fill in log p(c) of uniform codes."""
        init.copy_(self.log_probability, self.uniform_log_probability())

    def uniform_log_probability(self) -> torch.Tensor:
        """log p(c) of every joint value c if all are equally likely, a scalar."""
        return torch.tensor(-self.config.num_code_variables * math.log(self.config.code_categories))

    def loss(
        self,
        latents: torch.Tensor,
        posterior: Posterior,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> PriorLoss:
        """-E_q[log p(c)]; without a context this is M log C for every posterior. Arguments as in [`Prior`]."""
        if context is None:
            return PriorLoss(-self.log_probability)
        probability = posterior.code_logits.softmax(-1)
        return PriorLoss(-(probability * self.codes.log_probability(context)).flatten(1).sum(-1).mean())

    def symbol_logits(self, latents: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """Logarithms of the joint codes in `latents`, one-hot or probabilities, `(batch_size, num_symbols)`."""
        codes = latents.unflatten(-1, (self.config.num_code_variables, self.config.code_categories))
        return joint_logits(codes.clamp(min=torch.finfo(codes.dtype).tiny).log())

    def log_prob(self, latents: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """log p(c) of one-hot codes in nats, `(batch_size,)`."""
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
        """One-hot codes, `(1, num_samples, M C)`: those of `symbols` `(num_samples,)` if given, else draws."""
        codes = self.codes.sample(num_samples, symbols, self.log_probability, generator, context)
        return codes.flatten(1)[None]


class SemiPrior(PriorWithCodes):
    """
    A standard normal vector and a code, independent, side by side in the latent vector (Kingma et al., NeurIPS 2014).
    """

    card_description = "model with a latent variable (prior: semi)"
    decodes_codes = True

    def __init__(self, config: LDEBMConfig):
        super().__init__(config)
        self.size = config.latent_size
        self.gaussian, self.code = GaussianPrior(config), CodePrior(config)

    def loss(
        self,
        latents: torch.Tensor,
        posterior: Posterior,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> PriorLoss:
        """The sum of the losses of both parts. Arguments as in [`Prior`]."""
        gaussian = self.gaussian.loss(latents, posterior, context=context)
        code = self.code.loss(latents, posterior, context=context)
        return PriorLoss(gaussian.loss + code.loss)

    def symbol_logits(self, latents: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """As in [`CodePrior`], of the codes in `latents`."""
        return self.code.symbol_logits(latents[:, self.size :])

    def log_prob(self, latents: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """log p(z) + log p(c) in nats, `(batch_size,)`."""
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
            self.gaussian.sample(num_samples, generator=generator, context=context),
            self.code.sample(num_samples, symbols, generator, context),
        ]
        return torch.cat(parts, -1)
