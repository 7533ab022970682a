"""Priors over latents as components: the interface that all have in common, and which configuration means which."""

from typing import Protocol

import torch

from .code_priors import CodePrior, SemiPrior
from .configuration_ldebm import LDEBMConfig
from .diffusion_prior import DiffusionPrior
from .gaussian_priors import GaussianPrior, MixturePrior
from .objective import PriorLoss
from .posteriors import Posterior


class Prior(Protocol):
    """What the model asks of a prior. Beyond this, priors with symbols have `symbol_logits`, and their `sample` takes
    symbols; [`DiffusionPrior`]'s takes what steers its chains, too."""

    def loss(
        self,
        latents: torch.Tensor,
        posterior: Posterior,
        generator: torch.Generator | None,
        context: torch.Tensor | None = None,
    ) -> PriorLoss:
        """
        Args:
            latents (`torch.Tensor` of shape `(batch_size, total_latent_size)`): Reparameterised posterior samples.
            posterior ([`Posterior`]): What they are samples of, for terms in closed form.
            generator (`torch.Generator`, *optional*): Source of noise.
            context (`torch.Tensor` of shape `(batch_size, context_size)`, *optional*): What the texts follow on, for
                priors of models with contexts; they read it in every method.
        """

    def log_prob(self, latents: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """log p(z), `(batch_size,)`; raises ValueError where it has no closed form."""

    def sample(
        self, num_samples: int, *, generator: torch.Generator | None = None, context: torch.Tensor | None = None
    ) -> torch.Tensor:
        """
        Returns:
            `torch.Tensor` of shape `(num_states, num_samples, total_latent_size)`: the samples last, before them the
            states that led there, if the prior has any.
        """


def build_prior(config: LDEBMConfig) -> Prior:
    """The prior that `config.prior` names."""
    match config.prior:
        case "diffusion":
            return DiffusionPrior(config)
        case "mixture":
            return MixturePrior(config)
        case "discrete":
            return CodePrior(config)
        case "semi":
            return SemiPrior(config)
    return GaussianPrior(config.gaussian_size, config.context_size)
