"""The contract of a prior p(z): what every prior says about itself, and what the model asks of it.

A new prior is a subclass of [`Prior`] (or of [`PriorWithCodes`]) in a file of its own, and one line in `priors.py`.
Everything that depends on which prior a model has is a class attribute or a method here; no code asks for a prior by
its name. Settings are fields of [`LDEBMConfig`]; `validate` and `validate_settings` check those of a prior.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from .objective import PriorLoss
from .validation import require

if TYPE_CHECKING:
    from .configuration_ldebm import LDEBMConfig
    from .posteriors import Posterior

LogDensity = Callable[[torch.Tensor], torch.Tensor]
"""A log-density as a function of latents `(n, total_latent_size)`, with values `(n,)`."""


class Prior(nn.Module):
    """
    Base class of priors. They follow the model between devices, but stay in float32 when the model is cast to half
    precision (`model.half()`, `model.to(torch.bfloat16)`): energies are differences of large numbers.

    The class attributes are facts about a kind of prior, which [`LDEBMConfig`] and everything above the model read:

    * `card_description`: what a model with this prior is called in its model card.
    * `has_latent`: whether there is a latent vector at all.
    * `has_gaussian_part`: whether the posterior q(z|x) has a Gaussian part.
    * `has_codes`: whether the posterior has categorical variables, "codes".
    * `decodes_codes`: whether the latent vector, as the decoder reads it, holds the codes as one-hot vectors.
    * `can_have_symbols`: whether some configurations with this prior have symbols; see [`has_symbols`].
    * `has_energy`: whether training compares energies of posterior and prior samples.
    * `has_exact_density`: whether [`log_prob`] is available in closed form. Otherwise the likelihood needs annealed
      importance sampling, for which a prior must have the levels of [`DiffusionPrior`].
    * `has_density`: whether p(z) is known at all, exactly or by estimates. Otherwise there is no likelihood.
    * `is_fitted_after_training`: whether [`fit_adversarial_prior`] fits it to the latents of labelled examples when
      all else is trained.
    * `normalizes_posterior`: default of `LDEBMConfig.normalize_posterior`.
    * `sampling_options`: keyword arguments that [`sample`] takes beyond those of the base class.
    * `exclusive_settings`: settings that all other priors refuse unless they are 0.

    Args:
        config ([`LDEBMConfig`]): Settings of the model.
    """

    card_description: ClassVar[str]
    has_latent: ClassVar[bool] = True
    has_gaussian_part: ClassVar[bool] = True
    has_codes: ClassVar[bool] = False
    decodes_codes: ClassVar[bool] = False
    can_have_symbols: ClassVar[bool] = False
    has_energy: ClassVar[bool] = False
    has_exact_density: ClassVar[bool] = True
    has_density: ClassVar[bool] = True
    is_fitted_after_training: ClassVar[bool] = False
    normalizes_posterior: ClassVar[bool] = False
    sampling_options: ClassVar[tuple[str, ...]] = ()
    exclusive_settings: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.config = config
        self.sampler_options: dict[str, Any] = {}

    @classmethod
    def has_symbols(cls, config: LDEBMConfig) -> bool:
        """Whether a model with this configuration assigns symbols to its inputs."""
        return False

    @classmethod
    def clusters_by_default(cls, num_levels: int) -> bool:
        """Whether training finds symbols by geometric clustering unless a setting says otherwise."""
        return False

    @classmethod
    def validate(cls, config: LDEBMConfig) -> None:
        """Raise ValueError if a model with this prior cannot have these settings."""

    @classmethod
    def validate_settings(cls, config: LDEBMConfig) -> None:
        """Raise ValueError if settings of this prior do not go together, whichever prior the model has."""

    def loss(
        self,
        latents: torch.Tensor,
        posterior: Posterior,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> PriorLoss:
        """
        The prior's part of the objective.

        Args:
            latents (`torch.Tensor` of shape `(batch_size, total_latent_size)`): Reparameterised posterior samples.
            posterior ([`Posterior`]): The posterior that they were drawn from, for terms in closed form.
            generator (`torch.Generator`, *optional*): Source of noise.
            context (`torch.Tensor` of shape `(batch_size, context_size)`, *optional*): Context vectors, for models
                with contexts; required there by every method that takes a context.
        """
        raise NotImplementedError

    def log_prob(self, latents: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """log p(z) in nats, `(batch_size,)`. Raises ValueError if the prior has no exact density."""
        raise NotImplementedError

    def sample(
        self,
        num_samples: int,
        symbols: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """
        Draw latents.

        Args:
            num_samples (`int`): Number of latents.
            symbols (`torch.LongTensor` of shape `(num_samples,)`, *optional*): Symbol of each sample, for priors with
                symbols.
            generator (`torch.Generator`, *optional*): Source of noise.
            context (`torch.Tensor` of shape `(num_samples, context_size)`, *optional*): Context vectors.

        Returns:
            `torch.Tensor` of shape `(num_states, num_samples, total_latent_size)`. The last state is the sample; the
            states before it, if any, are the intermediate ones of an iterative sampler.
        """
        raise NotImplementedError

    def symbol_logits(self, latents: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """Logits of p(y|z), `(batch_size, num_symbols)`, for priors with symbols."""
        raise NotImplementedError

    def training_symbol_logits(
        self,
        latents: torch.Tensor,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """As [`symbol_logits`], with the noise that the prior adds to latents in training, if any."""
        return self.symbol_logits(latents, context=context)

    def noisy_symbol_logits(
        self,
        latents: torch.Tensor,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> torch.Tensor | None:
        """
        Logits of the symbols of noisy versions of the latents, `(num_pairs, num_symbols)`, if symbols are learned
        there, else `None`. Pair `i` belongs to example `i % batch_size`.
        """
        return None

    def group_symbols(self, groups: Sequence[int] | None) -> None:
        """
        Let symbols have several outputs each, where symbols are outputs of an energy network.

        Args:
            groups (`Sequence[int]`, *optional*): The symbol of each output, as `config.symbol_groups`.

        Raises:
            ValueError: If symbols of this prior are something else.
        """
        raise ValueError(
            f"symbols of prior={self.config.prior!r} cannot be merged: they are values of codes, and not outputs of "
            "an energy network"
        )

    def log_density_for_chains(
        self,
        latents: torch.Tensor,
        class_labels: torch.Tensor | None = None,
        guidance_scale: float | None = None,
        generator: torch.Generator | None = None,
    ) -> LogDensity:
        """
        The log-density that stands for log p(z), or with class labels for log p(z, y), in Markov chains on p(z|x); up
        to a constant.

        Args:
            latents (`torch.Tensor` of shape `(num_chains, total_latent_size)`): Current states of the chains.
            class_labels (`torch.LongTensor` of shape `(num_chains,)`, *optional*): Symbols to steer to.
            guidance_scale (`float`, *optional*): Weight γ of log p(y|z), for priors that take it.
            generator (`torch.Generator`, *optional*): Source of noise.
        """
        return self.log_prob

    def optimize_sampler(self, *, compile: bool = False, dtype: torch.dtype | None = None) -> None:
        """Choose how an iterative sampler computes. No effect on priors that are sampled directly."""

    def _apply(self, fn, recurse=True):
        def converted_or_kept(tensor: torch.Tensor) -> torch.Tensor:
            converted = fn(tensor)
            return tensor.to(converted.device) if converted.dtype.itemsize < 4 else converted

        return super()._apply(converted_or_kept, recurse)


class PriorWithCodes(Prior):
    """Base class of priors with M categorical variables of C categories each, whose joint values are the symbols."""

    has_codes = True
    can_have_symbols = True

    @classmethod
    def has_symbols(cls, config: LDEBMConfig) -> bool:
        """Whether the number of joint codes equals the number of symbol names."""
        return config.num_joint_codes == config.num_labels

    @classmethod
    def validate(cls, config: LDEBMConfig) -> None:
        num_variables, categories = config.num_code_variables, config.num_code_categories
        require(categories is None or categories >= 2, "num_code_categories", categories, "at least 2, or None")
        if categories is None:
            is_power = config.num_joint_codes == config.num_labels and config.num_labels >= 2
            allowed = f"C**{num_variables}, with num_code_variables={num_variables} of C categories each"
            require(is_power, "num_labels", config.num_labels, allowed if num_variables > 1 else "at least 2")
