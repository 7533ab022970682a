r"""
The prior of a conditional GAN over latents: a generator that is fitted to the posteriors of the training examples.

Subramanian et al. ("Towards Text Generation with Adversarially Learned Neural Outlines", NeurIPS 2018) generate
vectors of sentences by a Wasserstein GAN with a gradient penalty, and decode them. Here the vectors are the latents of
the model's own autoencoder. It is trained first, with N(0, I) in the divergence and a classifier p(y|z) that keeps the
classes apart; the generator, which maps noise and a class to a latent, is fitted afterwards (`adversarial_fit.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.utils import logging

from .energy import SLOPE, EnergyLinear, draw_weights
from .gaussian_priors import GaussianPrior
from .noise import draw
from .prior import LogDensity
from .validation import require

if TYPE_CHECKING:
    from .configuration_ldebm import LDEBMConfig

logger = logging.get_logger(__name__)


class ConditionalNetwork(nn.Module):
    """
    A network with two hidden layers that reads a vector and a class: the form of generator and critic.

    Args:
        size (`int`): Size of the vector.
        num_classes (`int`): Number of classes, which are read as one-hot vectors.
        hidden_size (`int`): Size of both hidden layers.
        output_size (`int`): Size of the output.
    """

    def __init__(self, size: int, num_classes: int, hidden_size: int, output_size: int):
        super().__init__()
        self.num_classes = num_classes
        self.first = EnergyLinear(size + num_classes, hidden_size)
        self.second = EnergyLinear(hidden_size, hidden_size)
        self.output = EnergyLinear(hidden_size, output_size)

    def forward(self, vectors: torch.Tensor, class_labels: torch.Tensor) -> torch.Tensor:
        """`(batch_size, output_size)` of vectors `(batch_size, size)` and class ids `(batch_size,)`."""
        classes = F.one_hot(class_labels, self.num_classes).to(vectors.dtype)
        hidden = F.leaky_relu(self.first(torch.cat([vectors, classes], -1)), SLOPE)
        return self.output(F.leaky_relu(self.second(hidden), SLOPE))

    def draw_weights(self, generator: torch.Generator | None = None) -> None:
        """Draw all weights anew."""
        for layer in (self.first, self.second, self.output):
            draw_weights(layer, generator)


class LatentGenerator(nn.Module):
    """
    z = m + s ⊙ (ε + g(ε, y)), where ε ~ N(0, I) has the size of the latent, m and s are the mean and the standard
    deviations of the latents that the generator was fitted to, and g is a [`ConditionalNetwork`]. Its weights are
    fitted by [`fit_adversarial_prior`] alone: training leaves them as they are.

    Args:
        latent_size (`int`): Size of the latent.
        num_classes (`int`): Number of classes.
        settings (`dict`): `config.latent_generator`.
    """

    def __init__(self, latent_size: int, num_classes: int, settings: Mapping[str, Any]):
        super().__init__()
        self.network = ConditionalNetwork(latent_size, num_classes, settings["hidden_size"], latent_size)
        self.register_buffer("mean", torch.zeros(latent_size))
        self.register_buffer("std", torch.ones(latent_size))
        self.register_buffer("class_shares", torch.full((num_classes,), 1 / num_classes))
        self.requires_grad_(False)

    def init_tensors(self) -> None:
        """Fill the buffers as before any fit."""
        init.zeros_(self.mean)
        init.ones_(self.std)
        init.constant_(self.class_shares, 1 / len(self.class_shares))

    def standardized(self, noise: torch.Tensor, class_labels: torch.Tensor) -> torch.Tensor:
        """ε + g(ε, y), `(batch_size, latent_size)`, of noise of that shape and class ids `(batch_size,)`."""
        return noise + self.network(noise, class_labels)

    def draw_classes(self, num_samples: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Class ids `(num_samples,)`, as frequent as among the latents that the generator was fitted to."""
        uniform = draw(torch.rand, (num_samples, 1), self.class_shares, generator)
        seen = self.class_shares.nonzero()[:, 0]
        bounds = self.class_shares[seen].cumsum(0)[:-1]  # without the last one, which may be a little below 1
        return seen[(bounds <= uniform).sum(-1)]

    def forward(self, noise: torch.Tensor, class_labels: torch.Tensor) -> torch.Tensor:
        """Latents `(batch_size, latent_size)`. Arguments as in [`standardized`]."""
        return self.mean + self.std * self.standardized(noise, class_labels)


class AdversarialPrior(GaussianPrior):
    """
    The distribution of a generator's latents, whose density is not known. In training the divergence is that from
    N(0, I), and p(y|z) is the softmax of a linear map of the latent. Until a generator is fitted, latents are drawn
    from N(0, I), and a class does not change them.
    """

    card_description = "model with a latent variable (prior: adversarial)"
    can_have_symbols = True
    has_exact_density = False
    has_density = False
    is_fitted_after_training = True
    exclusive_settings = ("latent_generator",)

    def __init__(self, config: LDEBMConfig):
        super().__init__(config)
        self.classifier = EnergyLinear(config.latent_size, config.num_labels)
        self.latent_generator = None
        if config.latent_generator is not None:
            self.latent_generator = LatentGenerator(config.latent_size, config.num_labels, config.latent_generator)

    @classmethod
    def has_symbols(cls, config: LDEBMConfig) -> bool:
        """Its classes are symbols."""
        return True

    @classmethod
    def validate(cls, config: LDEBMConfig) -> None:
        allowed = '0 for prior="adversarial", whose generator does not depend on contexts'
        require(config.context_size == 0, "context_size", config.context_size, allowed)

    def log_prob(self, latents: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """Raises ValueError: the density of what a generator draws is not known."""
        raise ValueError(f"prior={self.config.prior!r} has no density: its latents are drawn by a generator")

    def symbol_logits(self, latents: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """Logits of p(y|z), `(batch_size, num_symbols)`."""
        return self.classifier(latents.to(self.location.dtype))

    def sample(
        self,
        num_samples: int,
        symbols: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """
        `(1, num_samples, latent_size)`, of the classes `symbols` `(num_samples,)` or of classes as frequent as where
        the generator was fitted.

        Raises:
            ValueError: For a class of which the generator has seen no latent.
        """
        if self.latent_generator is None:
            if symbols is not None:
                logger.warning_once(
                    "The latents are not those of a class, because no generator is fitted: call "
                    "fit_adversarial_prior, as training does at its end."
                )
            return super().sample(num_samples, generator=generator)
        if symbols is None:
            symbols = self.latent_generator.draw_classes(num_samples, generator)
        self._require_fitted(symbols)
        noise = draw(torch.randn, (num_samples, len(self.location)), self.location, generator)
        return self.latent_generator(noise, symbols)[None]

    def _require_fitted(self, symbols: torch.Tensor) -> None:
        """Raise ValueError for a class of which the generator has seen no latent."""
        is_unseen = self.latent_generator.class_shares[symbols] == 0
        if is_unseen.any():
            name = self.config.id2label[int(symbols[is_unseen][0])]
            seen = (self.latent_generator.class_shares > 0).nonzero()[:, 0].tolist()
            allowed = f"of {', '.join(repr(self.config.id2label[symbol]) for symbol in seen)}"
            require(False, "class_labels", name, f"{allowed}, to which the generator was fitted")

    def group_symbols(self, groups: Sequence[int] | None) -> None:
        """Raises ValueError: the generator was fitted to the classes as they are."""
        raise ValueError(
            f"symbols of prior={self.config.prior!r} cannot be merged: they are the classes that its generator and "
            "its classifier were fitted to"
        )

    def log_density_for_chains(
        self,
        latents: torch.Tensor,
        class_labels: torch.Tensor | None = None,
        guidance_scale: float | None = None,
        generator: torch.Generator | None = None,
    ) -> LogDensity:
        """
        log N(z; 0, I), the prior of the autoencoder's training, which stands for that of the generator; with class
        labels plus log p(y|z). Arguments as in [`Prior`].
        """
        if class_labels is None:
            return super().log_prob
        rows = class_labels[:, None]
        gaussian = super().log_prob
        return lambda latents: gaussian(latents) + self.symbol_logits(latents).log_softmax(-1).gather(1, rows)[:, 0]
