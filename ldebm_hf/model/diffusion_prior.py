"""The latent diffusion energy-based prior; with a single level, SVEBM's energy-based prior."""

from typing import Any

import torch
from torch.nn import functional as F
from torch.nn.utils import parametrize

from .configuration_ldebm import LDEBMConfig
from .energy import EnergyNetwork, TiltedEnergy, tilt
from .energy_mlp import EnergyMLP
from .langevin import langevin
from .noise import draw, gaussian_like
from .noise_schedule import LevelTables
from .objective import PriorLoss, contrastive_loss
from .posteriors import Posterior
from .precision import AtLeastFloat32


class DiffusionPrior(AtLeastFloat32):
    r"""
    T conditional energy-based models along a diffusion of the latent, coupled to K symbols.

    Level t's density of z̃_t given z_{t+1} is, in the sampler, the loss and every score alike (Eq. 5),

        log p(z̃_t | z_{t+1}) = F(z̃_t, t)/τ_t - κ_t ‖z̃_t‖²/2 - ‖z̃_t - r_t z_{t+1}‖² / (2σ²_{t+1}) - log Z_t(z_{t+1}),

    with r_t = 1 except at the last level, where it is 0, and κ_t = 0 for a flat base measure. A symbol y adds
    γ log p(y|z̃_t), where p(y|z̃_t) = softmax f(z̃_t, t), at level 0 or at all levels. With one level this is
    p(z) ∝ exp(F(z)/τ) N(z; 0, I). With a context c of the text, F and f depend on it, and so does every normaliser:
    F(z̃_t, t, c). Computation here is in the prior's own precision, whatever that around it.
    """

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.config = config
        self.levels = LevelTables(config)
        sizes = (config.latent_size, config.num_labels)
        if config.energy_network == "mlp":
            self.energy = EnergyMLP(*sizes, config.energy_hidden_size, config.energy_num_blocks,
                                    config.context_size)  # fmt: skip
        else:
            self.energy = EnergyNetwork(
                *sizes,
                config.num_levels,
                config.energy_hidden_size,
                config.energy_num_blocks,
                config.energy_spectral_norm,
                config.context_size,
            )
        self.sampler_options: dict[str, Any] = {}

    def optimize_sampler(self, *, compile: bool = False, dtype: torch.dtype | None = None) -> None:
        """
        Choose how the chains compute. Nothing of it is saved with the model.

        Args:
            compile (`bool`, *optional*, defaults to `False`): Compile the energy's gradient with `torch.compile` (on a
                GPU with CUDA graphs) at first use; where that fails, a warning says so and the chains run as without.
            dtype (`torch.dtype`, *optional*): Precision of the energy network inside the chains, for example
                `torch.bfloat16`; defaults to the prior's own, which states, steps and noise keep in any case. The
                Metropolis correction compares energies of this precision.
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
            base_noise (`bool`, *optional*, defaults to `False`): Draw z_0 from z where the schedule has a base level,
                as in training, instead of taking its mean.
            generator (`torch.Generator`, *optional*): Source of that noise.
            context (`torch.Tensor` of shape `(batch_size, context_size)`): For a prior with a context.

        Returns:
            `torch.Tensor` of shape `(batch_size, num_symbols)`.
        """
        with _own_precision(latents):
            scaled = self.levels.first_level(latents.to(self.levels.step_std.dtype), base_noise, generator)
            level = torch.zeros(len(latents), dtype=torch.long, device=latents.device)
            return self.energy(scaled, level, **self._in_context(context))

    def noisy_symbol_logits(
        self,
        latents: torch.Tensor,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """
        f(z̃_t, t) at levels drawn as in [`loss`], `(num_pairs, num_symbols)`, of `latents` `(batch_size, latent_size)`;
        pair `i` belongs to example `i % batch_size`.
        """
        with _own_precision(latents), parametrize.cached():
            level = self.levels.draw_levels(len(latents), generator)
            times = len(level) // len(latents)
            repeated = latents.to(self.levels.step_std.dtype).repeat(times, 1)
            diffused, _ = self.levels.diffuse(repeated, level, generator)
            return self.energy(diffused, level, **self._in_context(context, times))

    def loss(
        self,
        latents: torch.Tensor,
        posterior: Posterior | None = None,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> PriorLoss:
        """
        The one-pass prior loss: its gradient to the energy network is the contrastive one (Eq. 10), and its gradient
        to `latents` is the encoder's (Eq. 11).

        Args:
            latents (`torch.Tensor` of shape `(batch_size, latent_size)`): Reparameterised posterior samples z.
            posterior ([`Posterior`], *optional*): Not needed beside its samples.
            generator (`torch.Generator`, *optional*): Source of levels, diffusion and Langevin noise.
            context (`torch.Tensor` of shape `(batch_size, context_size)`): For a prior with a context.
        """
        with _own_precision(latents), parametrize.cached():
            batch_size, tables = len(latents), self.levels
            level = tables.draw_levels(batch_size, generator)
            times = len(level) // batch_size
            repeated = latents.to(tables.step_std.dtype).repeat(times, 1)
            positive, z_next = tables.diffuse(repeated, level, generator)
            negative = self.sample_level(
                z_next.detach(), level, generator=generator, **self._in_context(context, times)
            )
            both = torch.cat([positive, negative])
            logits = self.energy(both, level.repeat(2), **self._in_context(context, 2 * times))
            logits_positive, logits_negative = logits.chunk(2)
            energy_positive, energy_negative = logits_positive.logsumexp(-1), logits_negative.logsumexp(-1)
            loss = contrastive_loss(energy_positive, energy_negative, tables.energy_weight[level], batch_size)
            loss = loss + self._quadratic_terms(positive, negative, z_next, level).sum() / batch_size
            return PriorLoss(
                loss,
                energy_positive.detach().mean(),
                energy_negative.detach().mean(),
                noisy_symbol_logits=logits_positive if self.config.symbol_levels == "all" else None,
            )

    def _quadratic_terms(self, positive, negative, z_next, level) -> torch.Tensor:
        """
        What of -log p(z_{0:T}) depends on the encoder but not through F, per pair `(num_pairs,)`.

        ‖z̃_t - z_{t+1}‖² = σ²‖ε‖² is constant in the encoder wherever r_t = 1, which leaves the base measure and the
        last level's quadratic; then ∇ log Z_t(z_{t+1}) = E[z̃⁻ - r z_{t+1}] r/σ² as a term of value zero; then
        log p(z_T).
        """
        tables, t = self.levels, level[:, None]
        variance = tables.step_std[t].square()
        is_last = t == self.config.num_levels - 1
        precision = torch.where(is_last, 1 / variance, tables.base_precision[t])
        terms = precision * positive.square() / 2
        if self.config.log_normalizer_gradient:
            center = tables.center_scale[t] * z_next.detach()
            pull = (negative - center) * tables.center_scale[t] / variance
            terms = terms + pull * (z_next - z_next.detach())
        if self.config.terminal_prior:
            terms = terms + torch.where(is_last, z_next.square() / 2, 0.0)
        return tables.quadratic_weight[level] * terms.sum(-1)

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
        log p(z̃_t | z_{t+1}) without log Z_t, `(batch_size,)`; differentiable. Arguments as in [`sample_level`].
        """
        with _own_precision(scaled):
            weights = self._tilt_weights(level, class_labels, guidance_scale)
            logits = self.energy(scaled, level, **self._in_context(context))
            return tilt(logits, *weights) - self._distance(scaled, z_next, level)

    def level_gaussian(self, z_next: torch.Tensor, level: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """
        m `(batch_size, latent_size)` and v `(batch_size, 1)` of N(m, v I), level t's density for a constant energy;
        its density itself is this times exp of [`level_energy`], normalised.
        """
        tables, t = self.levels, level[:, None]
        variance = tables.gaussian_variance[t]
        return tables.center_scale[t] * z_next * variance / tables.step_std[t].square(), variance

    def level_energy(
        self,
        level: torch.Tensor,
        class_labels: torch.Tensor | None = None,
        guidance_scale: float | None = None,
        context: torch.Tensor | None = None,
        **options: Any,
    ) -> TiltedEnergy:
        """F(z̃, t)/τ_t, plus γ log p(y|z̃) for a symbol, with frozen weights; arguments as in [`sample_level`]."""
        options = self._in_context(context) | options
        return self.energy.tilted(level, *self._tilt_weights(level, class_labels, guidance_scale), **options)

    def sample_level(
        self,
        z_next: torch.Tensor,
        level: torch.Tensor,
        class_labels: torch.Tensor | None = None,
        guidance_scale: float | None = None,
        num_langevin_steps: int | None = None,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """
        Langevin chains on p(z̃_t | z_{t+1}); one chain per row, each with its own level.

        Args:
            z_next (`torch.Tensor` of shape `(batch_size, latent_size)`): z_{t+1}.
            level (`torch.LongTensor` of shape `(batch_size,)`): t per row.
            class_labels (`torch.LongTensor` of shape `(batch_size,)`, *optional*): Symbol y per row.
            guidance_scale (`float`, *optional*): γ; defaults to `config.label_guidance`, and that to 1/τ_t.
            num_langevin_steps (`int`, *optional*): Defaults to `config.langevin_steps`.
            generator (`torch.Generator`, *optional*): Source of the noise.
            context (`torch.Tensor` of shape `(batch_size, context_size)`): For a prior with a context.

        Returns:
            `torch.Tensor` of shape `(batch_size, latent_size)`: z̃_t, detached.
        """
        config, tables = self.config, self.levels
        num_steps = config.langevin_steps if num_langevin_steps is None else num_langevin_steps
        if num_steps < 0:
            raise ValueError(f"num_langevin_steps must be at least 0, got {num_steps}")
        with torch.no_grad(), _own_precision(z_next):
            mean, variance = self.level_gaussian(z_next, level)
            energy = self.level_energy(level, class_labels, guidance_scale, context, **self.sampler_options)

            def score(state: torch.Tensor) -> torch.Tensor:
                return energy.gradient(state) - (state - mean) / variance

            def log_density_and_score(state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                value, gradient = energy.value_and_gradient(state)
                offset = state - mean
                return value - (offset.square() / variance).sum(-1) / 2, gradient - offset / variance

            start = z_next
            if config.langevin_start == "gaussian":
                start = mean + variance.sqrt() * gaussian_like(z_next, generator)
            step_variance, drift = tables.langevin_steps(level, num_steps)
            return langevin(
                score,
                start,
                step_variance,
                drift=drift,
                final_noise=config.langevin_final_noise,
                log_density_and_score=log_density_and_score if config.langevin_metropolis else None,
                generator=generator,
            ).samples

    def sample(
        self,
        num_samples: int,
        symbols: torch.Tensor | None = None,
        guidance_scale: float | None = None,
        num_langevin_steps: int | None = None,
        generator: torch.Generator | None = None,
        context: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """
        Reverse diffusion (Algorithm 2): from z_T ~ N(0, I) through all levels. Arguments as in [`sample_level`],
        `symbols` being its `class_labels`.

        Returns:
            `torch.Tensor` of shape `(num_levels + 1, num_samples, latent_size)`: z_T first, the sample z_0 last.
        """
        tables = self.levels
        z = draw(torch.randn, (num_samples, self.config.latent_size), tables.step_std, generator)
        trajectory = [z]
        with parametrize.cached():
            for t in reversed(range(self.config.num_levels)):
                level = torch.full((num_samples,), t, dtype=torch.long, device=z.device)
                labels = symbols if t == 0 or self.config.symbol_levels == "all" else None
                scaled = self.sample_level(z, level, labels, guidance_scale, num_langevin_steps, generator, context)
                z = scaled / tables.latent_scale[t]
                trajectory.append(z)
        return torch.stack(trajectory)

    def _in_context(self, context: torch.Tensor | None, times: int = 1) -> dict[str, torch.Tensor]:
        """What to give the energy beside its states: contexts, if there are some, `times` after one another."""
        return {} if context is None else {"context": context.to(self.levels.step_std.dtype).repeat(times, 1)}

    def _distance(self, scaled, z_next, level) -> torch.Tensor:
        """What the log-density subtracts from the tilt: ‖z̃ - r z_{t+1}‖²/2σ² + κ‖z̃‖²/2."""
        t = level[:, None]
        offset = (scaled - self.levels.center_scale[t] * z_next) / self.levels.step_std[t]
        return (offset.square() + self.levels.base_precision[t] * scaled.square()).sum(-1) / 2

    def _tilt_weights(
        self, level: torch.Tensor, class_labels: torch.Tensor | None, guidance_scale: float | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """w and c that make w F + c·f the tilt F/τ_t, plus γ log p(y|z̃_t) = γ (f_y - F) where a symbol is given."""
        temperature = self.levels.temperature[level][:, None]
        if class_labels is None:
            return 1 / temperature, None
        scale = self.config.label_guidance if guidance_scale is None else guidance_scale
        gamma = 1 / temperature if scale is None else torch.full_like(temperature, scale)
        return 1 / temperature - gamma, gamma * F.one_hot(class_labels, self.config.num_labels)


def _own_precision(tensor: torch.Tensor) -> torch.autocast:
    """Switch mixed precision off: energies are differences of large numbers."""
    return torch.autocast(tensor.device.type, enabled=False)
