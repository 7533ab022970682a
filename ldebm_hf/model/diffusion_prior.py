"""The latent diffusion energy-based prior; with a single level, SVEBM's energy-based prior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F
from torch.nn.utils import parametrize

from .distilled_sampler import DEFAULT_PROPOSALS, DistilledSampler, draw_level
from .energy import EnergyMLP, EnergyNetwork, FrozenEnergy, weighted_energy
from .langevin import LangevinOutput, langevin
from .noise import draw, gaussian_like
from .noise_schedule import LevelConstants, fitting_step_variance, noise_schedule
from .objective import PriorLoss, contrastive_loss
from .prior import LogDensity, Prior
from .symbol_groups import SymbolGroups
from .tilted_chains import ChainDiagnostics, TiltedGaussian, adaptive_chains
from .validation import require

if TYPE_CHECKING:
    from .configuration_ldebm import LDEBMConfig
    from .posteriors import Posterior

ADAPTIVE_STEPS = 2
"""Adaptive chains take by default this many times `config.langevin_steps`, as they find their step sizes meanwhile."""
LAST_LEVEL_ADAPTIVE_STEPS = 4
"""The same at the last level, where no noisier state tells the chains where to start."""


class DiffusionPrior(Prior):
    r"""
    T conditional energy-based models along a diffusion of the latent, coupled to K symbols.

    Sampler, loss and every score use the same density of z̃_t given z_{t+1} at level t (Eq. 5), a Gaussian tilted by
    the energy:

        log p(z̃_t | z_{t+1}) = F(z̃_t, t)/τ_t - κ_t ‖z̃_t‖²/2 - ‖z̃_t - r_t z_{t+1}‖² / (2σ²_{t+1}) - log Z_t(z_{t+1}),

    with r_t = 1 except at the last level, where it is 0, and κ_t = 0 for a flat base measure. A symbol y adds
    γ log p(y|z̃_t), where p(y|z̃_t) = softmax f(z̃_t, t), at level 0 or at all levels. With one level this is
    p(z) ∝ exp(F(z)/τ) N(z; 0, I). With a context c, F(z̃_t, t, c) and f depend on it, and so does every normaliser.
    All computation is in the prior's own precision, also inside autocast.
    """

    card_description = "latent diffusion energy-based model"
    can_have_symbols = True
    has_energy = True
    has_exact_density = False
    normalizes_posterior = True
    sampling_options = ("guidance_scale", "num_langevin_steps", "sampler", "num_proposals")
    exclusive_settings = ("symbol_groups", "distilled_sampler")

    def __init__(self, config: LDEBMConfig):
        super().__init__(config)
        self.levels = LevelConstants(config)
        sizes = (config.latent_size, config.num_labels)
        if config.energy_network == "mlp":
            self.energy = EnergyMLP(
                *sizes,
                config.energy_hidden_size,
                config.energy_num_blocks,
                config.context_size,
                config.symbol_groups,
            )
        else:
            self.energy = EnergyNetwork(
                *sizes,
                config.num_levels,
                config.energy_hidden_size,
                config.energy_num_blocks,
                config.energy_spectral_norm,
                config.context_size,
                config.symbol_groups,
            )
        self.distilled_sampler = None
        if config.distilled_sampler is not None:
            self.distilled_sampler = DistilledSampler(*sizes, config.num_levels, config.distilled_sampler)

    @classmethod
    def has_symbols(cls, config: LDEBMConfig) -> bool:
        """The energy network has at least one output for each symbol."""
        return True

    @classmethod
    def clusters_by_default(cls, num_levels: int) -> bool:
        """With several levels; the single-level model was published without clustering."""
        return num_levels > 1

    @classmethod
    def validate_settings(cls, config: LDEBMConfig) -> None:
        """Energy network, noise schedule and Langevin sampler fit each other."""
        if config.energy_network == "mlp":
            require(config.num_levels == 1, "energy_network", "mlp", "residual for more than one level")
            require(not config.energy_spectral_norm, "energy_spectral_norm", True, 'False for energy_network="mlp"')
        rule, size = config.langevin_step_rule, config.langevin_step_size
        if rule == "published":
            require(config.base_level_noise, "langevin_step_rule", rule, "used with base_level_noise=True only")
        if rule == "relative" and config.langevin_integrator == "exponential":
            allowed = "at most 1 with langevin_integrator='exponential' and langevin_step_rule='relative'"
            require(size <= 1, "langevin_step_size", size, allowed)
        if config.noise_schedule == "linear_variance":
            allowed = "False for noise_schedule='linear_variance'"
            require(not config.base_level_noise, "base_level_noise", True, allowed)
        if config.base_measure == "gaussian":
            require(not config.scale_last_level, "scale_last_level", True, "False for base_measure='gaussian'")
        if config.num_levels == 1:
            require(not config.scale_last_level, "scale_last_level", True, "False for num_levels=1")
            require(rule != "published", "langevin_step_rule", rule, "relative or paper for num_levels=1")
        if config.distilled_sampler is not None:
            allowed = "None for a model with contexts, on which the distilled sampler does not depend"
            require(config.context_size == 0, "distilled_sampler", config.distilled_sampler, allowed)
        if config.prior_class is cls:  # other priors may have settings of this one that they do not use
            fitting_step_variance(config, noise_schedule(config))

    def group_symbols(self, groups: Sequence[int] | None) -> None:
        """As in [`Prior`]. A distilled sampler, which was fitted to the symbols as they were, is removed."""
        self.remove_distilled_sampler()
        self.energy.groups = None if groups is None else SymbolGroups(groups).to(self.levels.step_std.device)

    def remove_distilled_sampler(self) -> None:
        """Remove the distilled sampler, if there is one."""
        self.distilled_sampler = self.config.distilled_sampler = None

    def optimize_sampler(self, *, compile: bool = False, dtype: torch.dtype | None = None) -> None:
        """
        Choose how Langevin chains compute the energy. The choice is not saved with the model.

        Args:
            compile (`bool`, *optional*, defaults to `False`): Whether to compile the energy's gradient with
                `torch.compile` (on a GPU with CUDA graphs) at first use. If that fails, there is a warning, and the
                chains run without it.
            dtype (`torch.dtype`, *optional*): Precision of the energy network inside the chains, for example
                `torch.bfloat16`; defaults to the prior's own. States, steps and noise keep the prior's precision in
                any case. The Metropolis correction compares energies of this precision.
        """
        self.sampler_options = {"compile": compile, "dtype": dtype}

    def symbol_logits(
        self,
        latents: torch.Tensor,
        base_noise: bool = False,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """
        f(z̃_0, 0), whose softmax is p(y|z).

        Args:
            latents (`torch.Tensor` of shape `(batch_size, latent_size)`): z.
            base_noise (`bool`, *optional*, defaults to `False`): Whether to draw z_0 given z where the schedule has a
                base level, as in training, instead of taking its mean.
            generator (`torch.Generator`, *optional*): Source of that noise.
            context (`torch.Tensor` of shape `(batch_size, context_size)`, *optional*): Context vectors.

        Returns:
            `torch.Tensor` of shape `(batch_size, num_symbols)`.
        """
        with _without_autocast(latents):
            scaled = self.levels.first_level(latents.to(self.levels.step_std.dtype), base_noise, generator)
            level = torch.zeros(len(latents), dtype=torch.long, device=latents.device)
            return self.energy(scaled, level, **self._context_inputs(context))

    def training_symbol_logits(
        self,
        latents: torch.Tensor,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """As [`symbol_logits`], with the noise of a base level."""
        return self.symbol_logits(latents, base_noise=True, generator=generator, context=context)

    def noisy_symbol_logits(
        self,
        latents: torch.Tensor,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> torch.Tensor | None:
        """
        f(z̃_t, t) at levels drawn as in [`loss`], `(num_pairs, num_symbols)`, given `latents`
        `(batch_size, latent_size)`; pair `i` belongs to example `i % batch_size`. `None` if only the first level
        learns the symbols.
        """
        if self.config.symbol_levels == "first":
            return None
        with _without_autocast(latents), parametrize.cached():
            level = self.levels.draw_levels(len(latents), generator)
            repeats = len(level) // len(latents)
            repeated = latents.to(self.levels.step_std.dtype).repeat(repeats, 1)
            diffused, _ = self.levels.diffuse(repeated, level, generator)
            return self.energy(diffused, level, **self._context_inputs(context, repeats))

    def loss(
        self,
        latents: torch.Tensor,
        posterior: Posterior | None = None,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> PriorLoss:
        """
        The prior loss in one pass: its gradient with respect to the energy network is the contrastive one (Eq. 10),
        and its gradient with respect to `latents` is the encoder's (Eq. 11).

        Args:
            latents (`torch.Tensor` of shape `(batch_size, latent_size)`): Reparameterised posterior samples z.
            posterior ([`Posterior`], *optional*): Not used, because the loss only needs the samples.
            generator (`torch.Generator`, *optional*): Source of levels, diffusion noise and Langevin noise.
            context (`torch.Tensor` of shape `(batch_size, context_size)`, *optional*): Context vectors.
        """
        with _without_autocast(latents), parametrize.cached():
            batch_size, levels = len(latents), self.levels
            level = levels.draw_levels(batch_size, generator)
            repeats = len(level) // batch_size
            repeated = latents.to(levels.step_std.dtype).repeat(repeats, 1)
            positive, z_next = levels.diffuse(repeated, level, generator)
            negative = self.sample_level(
                z_next.detach(), level, generator=generator, **self._context_inputs(context, repeats)
            )
            both = torch.cat([positive, negative])
            logits = self.energy(both, level.repeat(2), **self._context_inputs(context, 2 * repeats))
            logits_positive, logits_negative = logits.chunk(2)
            energy_positive, energy_negative = logits_positive.logsumexp(-1), logits_negative.logsumexp(-1)
            loss = contrastive_loss(energy_positive, energy_negative, levels.energy_weight[level], batch_size)
            loss = loss + self._quadratic_terms(positive, negative, z_next, level).sum() / batch_size
            return PriorLoss(
                loss,
                energy_positive.detach().mean(),
                energy_negative.detach().mean(),
                noisy_symbol_logits=logits_positive if self.config.symbol_levels == "all" else None,
            )

    def _quadratic_terms(self, positive, negative, z_next, level) -> torch.Tensor:
        """
        The terms of -log p(z_{0:T}), other than F, that depend on the encoder, per pair, `(num_pairs,)`.

        Where r_t = 1, ‖z̃_t - z_{t+1}‖² = σ²‖ε‖² does not depend on the encoder. The remaining terms are the base
        measure and the last level's quadratic; ∇ log Z_t(z_{t+1}) = E[z̃⁻ - r z_{t+1}] r/σ², as a term whose value is
        zero; and log p(z_T).
        """
        levels, t = self.levels, level[:, None]
        variance = levels.step_std[t].square()
        is_last = t == self.config.num_levels - 1
        precision = torch.where(is_last, 1 / variance, levels.base_precision[t])
        terms = precision * positive.square() / 2
        if self.config.log_normalizer_gradient:
            center = levels.center_scale[t] * z_next.detach()
            gradient = (negative - center) * levels.center_scale[t] / variance
            terms = terms + gradient * (z_next - z_next.detach())
        if self.config.terminal_prior:
            terms = terms + torch.where(is_last, z_next.square() / 2, 0.0)
        return levels.quadratic_weight[level] * terms.sum(-1)

    def log_prob(self, latents: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        """Not in closed form: raises ValueError."""
        raise ValueError('prior="diffusion" has no normalised density in closed form: its normalisers are unknown')

    def log_density(
        self,
        scaled: torch.Tensor,
        z_next: torch.Tensor,
        level: torch.Tensor,
        class_labels: torch.Tensor | None = None,
        guidance_scale: float | None = None,
        context: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """
        log p(z̃_t | z_{t+1}) up to log Z_t, `(batch_size,)`; differentiable. `scaled` is z̃_t, `(batch_size,
        latent_size)`; the other arguments are those of [`sample_level`].
        """
        with _without_autocast(scaled):
            weights = self._energy_weights(level, class_labels, guidance_scale)
            logits = self.energy(scaled, level, **self._context_inputs(context))
            return weighted_energy(logits, *weights) - self._distance(scaled, z_next, level)

    def level_gaussian(self, z_next: torch.Tensor, level: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Mean m `(batch_size, latent_size)` and variance v `(batch_size, 1)` of N(m, v I), the density of level t if the
        energy is constant. Its true density is N(m, v I) times exp of [`level_energy`], normalised.
        """
        levels, t = self.levels, level[:, None]
        variance = levels.gaussian_variance[t]
        return levels.center_scale[t] * z_next * variance / levels.step_std[t].square(), variance

    def level_energy(
        self,
        level: torch.Tensor,
        class_labels: torch.Tensor | None = None,
        guidance_scale: float | None = None,
        context: torch.Tensor | None = None,
        **options: Any,
    ) -> FrozenEnergy:
        """
        F(z̃, t)/τ_t, plus γ log p(y|z̃) for a symbol, with frozen weights. Arguments as in [`sample_level`]; `options`
        are `dtype` and `compile` of [`FrozenEnergy`].
        """
        options = self._context_inputs(context) | options
        weights = self._energy_weights(level, class_labels, guidance_scale)
        return self.energy.frozen_copy(level, *weights, **options)

    def adapts_steps(self, class_labels: torch.Tensor | None, guidance_scale: float | None = None) -> bool:
        """
        Whether chains with these symbols and this guidance scale find their own step sizes (`config.guided_steps`).
        With a guidance scale of 0 there is no guidance, and the steps are those of chains without symbols.
        """
        scale = self.config.label_guidance if guidance_scale is None else guidance_scale
        return class_labels is not None and scale != 0 and self.config.adapts_guided_steps

    def sample_level(
        self,
        z_next: torch.Tensor,
        level: torch.Tensor,
        class_labels: torch.Tensor | None = None,
        guidance_scale: float | None = None,
        num_langevin_steps: int | None = None,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
        diagnostics: list[ChainDiagnostics] | None = None,
    ) -> torch.Tensor:
        """
        Sample p(z̃_t | z_{t+1}) by Langevin chains, one for each row, each at its own level.

        Args:
            z_next (`torch.Tensor` of shape `(batch_size, latent_size)`): z_{t+1}.
            level (`torch.LongTensor` of shape `(batch_size,)`): Level t of each row.
            class_labels (`torch.LongTensor` of shape `(batch_size,)`, *optional*): Symbol y of each row.
            guidance_scale (`float`, *optional*): Weight γ of log p(y|z̃_t); defaults to `config.label_guidance`, and if
                that is `None` to 1/τ_t.
            num_langevin_steps (`int`, *optional*): Steps of each chain; defaults to `config.langevin_steps`, and to
                twice as many for chains that adapt their steps.
            generator (`torch.Generator`, *optional*): Source of the noise.
            context (`torch.Tensor` of shape `(batch_size, context_size)`, *optional*): Context vectors.
            diagnostics (`list[ChainDiagnostics]`, *optional*): A list to which what the chains did is appended.

        Returns:
            `torch.Tensor` of shape `(batch_size, latent_size)`: z̃_t, detached.

        Raises:
            ValueError: If `num_langevin_steps` is negative.
        """
        config = self.config
        adapts = self.adapts_steps(class_labels, guidance_scale)
        num_steps = num_langevin_steps
        if num_steps is None:
            num_steps = config.langevin_steps * (ADAPTIVE_STEPS if adapts else 1)
        if num_steps < 0:
            raise ValueError(f"num_langevin_steps must be at least 0, got {num_steps}")
        with torch.no_grad(), _without_autocast(z_next):
            mean, variance = self.level_gaussian(z_next, level)
            energy = self.level_energy(level, class_labels, guidance_scale, context, **self.sampler_options)
            target = TiltedGaussian(mean, variance, energy)
            start = z_next if config.langevin_start == "previous" else target.draw_gaussian(generator)
            if adapts:
                chains = adaptive_chains(target, start, num_steps, generator)
            else:
                chains = self._fixed_steps(target, start, level, num_steps, generator)
            if diagnostics is not None:
                diagnostics.append(ChainDiagnostics.of_chains(target, start, chains))
            return chains.samples

    def _fixed_steps(
        self,
        target: TiltedGaussian,
        start: torch.Tensor,
        level: torch.Tensor,
        num_steps: int,
        generator: torch.Generator | None,
    ) -> LangevinOutput:
        """Chains from `start` whose steps are those of the configuration; arguments as in [`sample_level`]."""
        config, mean, variance = self.config, target.mean, target.variance

        def score(state: torch.Tensor) -> torch.Tensor:
            return target.energy.gradient(state) - (state - mean) / variance

        def log_density_and_score(state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            value, gradient = target.energy.value_and_gradient(state)
            offset = state - mean
            return value - (offset.square() / variance).sum(-1) / 2, gradient - offset / variance

        step_variance, drift = self.levels.langevin_steps(level, num_steps)
        return langevin(
            score,
            start,
            step_variance,
            drift=drift,
            final_noise=config.langevin_final_noise,
            log_density_and_score=log_density_and_score if config.langevin_metropolis else None,
            generator=generator,
        )

    def sample(
        self,
        num_samples: int,
        symbols: torch.Tensor | None = None,
        guidance_scale: float | None = None,
        num_langevin_steps: int | None = None,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
        diagnostics: list[ChainDiagnostics] | None = None,
        sampler: str = "langevin",
        num_proposals: int | None = None,
    ) -> torch.Tensor:
        """
        Reverse diffusion (Algorithm 2): from z_T ~ N(0, I) through all levels. By default, chains that adapt their
        steps take four times `config.langevin_steps` at the last level.

        Args:
            num_samples (`int`): Number of latents.
            symbols, guidance_scale, num_langevin_steps, generator, context, diagnostics (*optional*): As in
                [`sample_level`], where `symbols` are `class_labels`. `diagnostics` are appended level by level, the
                last first.
            sampler (`str`, *optional*, defaults to `"langevin"`): How each level is sampled: by Langevin chains, or
                `"distilled"`, by the sampler that [`distil_sampler`] fits.
            num_proposals (`int`, *optional*, defaults to 4): Draws per level of the distilled sampler.

        Returns:
            `torch.Tensor` of shape `(num_levels + 1, num_samples, latent_size)`: z_T first, the sample z_0 last.

        Raises:
            ValueError: If there is no distilled sampler or it was distilled with another guidance scale; for
                `num_langevin_steps` with the distilled sampler, and `num_proposals` with Langevin chains.
        """
        if sampler == "distilled":
            self._require_distilled(symbols, guidance_scale, num_langevin_steps)
        elif num_proposals is not None:
            raise ValueError(f'num_proposals must be given with sampler="distilled", got {num_proposals} without it')
        levels = self.levels
        z = draw(torch.randn, (num_samples, self.config.latent_size), levels.step_std, generator)
        trajectory = [z]
        with parametrize.cached():
            for t in reversed(range(self.config.num_levels)):
                level = torch.full((num_samples,), t, dtype=torch.long, device=z.device)
                labels = symbols if t == 0 or self.config.symbol_levels == "all" else None
                num_steps, is_last = num_langevin_steps, t == self.config.num_levels - 1
                if num_steps is None and is_last and self.adapts_steps(labels, guidance_scale):
                    num_steps = LAST_LEVEL_ADAPTIVE_STEPS * self.config.langevin_steps
                if sampler == "distilled":
                    scaled = self._sample_distilled(
                        z, level, labels, guidance_scale, num_proposals, generator, diagnostics
                    )
                else:
                    scaled = self.sample_level(
                        z, level, labels, guidance_scale, num_steps, generator, context, diagnostics
                    )
                z = scaled / levels.latent_scale[t]
                trajectory.append(z)
        return torch.stack(trajectory)

    def _require_distilled(self, symbols, guidance_scale, num_langevin_steps) -> None:
        """Raise ValueError unless the distilled sampler can draw latents like this."""
        if self.distilled_sampler is None:
            raise ValueError(
                'sampler="distilled" needs a distilled sampler, which this model does not have: distil_sampler() fits '
                "one"
            )
        if num_langevin_steps is not None:
            raise ValueError(
                f'num_langevin_steps must be None with sampler="distilled", which takes num_proposals, got '
                f"{num_langevin_steps}"
            )
        if symbols is None:
            return
        scale = self.config.label_guidance if guidance_scale is None else guidance_scale
        fitted = self.distilled_sampler.guidance_scale
        if scale not in (0, fitted):
            shown = "None, that is 1/τ_t," if fitted is None else f"{fitted:g}"
            raise ValueError(
                f'guidance_scale must be {shown} or 0 with sampler="distilled", which was distilled with it, got '
                f"{scale}: distil_sampler(guidance_scale=...) fits another one"
            )

    def _sample_distilled(
        self,
        z_next: torch.Tensor,
        level: torch.Tensor,
        class_labels: torch.Tensor | None,
        guidance_scale: float | None,
        num_proposals: int | None,
        generator: torch.Generator | None,
        diagnostics: list[ChainDiagnostics] | None,
    ) -> torch.Tensor:
        """z̃_t by the distilled sampler, `(batch_size, latent_size)`, where all rows have the same level."""
        scale = self.config.label_guidance if guidance_scale is None else guidance_scale
        if scale == 0:
            class_labels = None
        num_proposals = DEFAULT_PROPOSALS if num_proposals is None else num_proposals
        with torch.no_grad(), _without_autocast(z_next):
            mean, variance = self.level_gaussian(z_next, level)
            proposal = self.distilled_sampler.propose(z_next, int(level[0]), class_labels)
            if num_proposals == 1 and diagnostics is None:  # there is nothing to accept or reject
                return mean + variance.sqrt() * proposal.sample(1, generator)[0]
            energy = self.level_energy(level, class_labels, guidance_scale, **self.sampler_options)
            target = TiltedGaussian(mean, variance, energy)
            return draw_level(target, proposal, num_proposals, generator, diagnostics)

    def log_density_for_chains(
        self,
        latents: torch.Tensor,
        class_labels: torch.Tensor | None = None,
        guidance_scale: float | None = None,
        generator: torch.Generator | None = None,
    ) -> LogDensity:
        """
        log p(z_0|z_1) + γ log p(y|z̃_0), up to a constant, with z_1 drawn from q(z_1|z_0) at the current states
        `latents`, because p(z_0) itself is intractable. `latent_chains` explains why such chains sample the posterior.
        Arguments as in [`Prior`].
        """
        levels = self.levels
        noise = gaussian_like(latents, generator)
        z_next = levels.step_scale[0] * latents + levels.step_std[0] * noise
        level = torch.zeros(len(latents), dtype=torch.long, device=latents.device)
        scale = levels.latent_scale[0]
        return lambda latents: self.log_density(scale * latents, z_next, level, class_labels, guidance_scale)

    def _context_inputs(self, context: torch.Tensor | None, repeats: int = 1) -> dict[str, torch.Tensor]:
        """Keyword arguments that give the energy its contexts, repeated as often as the states are."""
        if context is None:
            return {}
        return {"context": context.to(self.levels.step_std.dtype).repeat(repeats, 1)}

    def _distance(self, scaled, z_next, level) -> torch.Tensor:
        """The quadratic part of minus the log-density: ‖z̃ - r z_{t+1}‖²/2σ² + κ‖z̃‖²/2."""
        t = level[:, None]
        offset = (scaled - self.levels.center_scale[t] * z_next) / self.levels.step_std[t]
        return (offset.square() + self.levels.base_precision[t] * scaled.square()).sum(-1) / 2

    def _energy_weights(
        self, level: torch.Tensor, class_labels: torch.Tensor | None, guidance_scale: float | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """
        Weights w and c for which w F + c·f is F/τ_t, plus γ log p(y|z̃_t) = γ (f_y - F) if a symbol is given; the
        symbol -1 is none.
        """
        temperature = self.levels.temperature[level][:, None]
        if class_labels is None:
            return 1 / temperature, None
        scale = self.config.label_guidance if guidance_scale is None else guidance_scale
        gamma = 1 / temperature if scale is None else torch.full_like(temperature, scale)
        gamma = torch.where(class_labels[:, None] >= 0, gamma, 0.0)
        return 1 / temperature - gamma, gamma * F.one_hot(class_labels.clamp(min=0), self.config.num_labels)


def _without_autocast(tensor: torch.Tensor) -> torch.autocast:
    """Switch mixed precision off, because energies are differences of large numbers."""
    return torch.autocast(tensor.device.type, enabled=False)
