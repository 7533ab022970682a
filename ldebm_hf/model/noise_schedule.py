"""Noise schedule and forward process of the latent diffusion. No parameters, no I/O.

Indexing convention of the whole package: levels are t = 0..T-1. Level t is the transition between z_t and the noisier
z_{t+1},

    z_{t+1} = a_{t+1} z_t + σ_{t+1} ε,    a = √(1 - σ²),    ε ~ N(0, I)                                        (Eq. 4)

and its energy-based conditional is a density of the scaled variable z̃_t = a_{t+1} z_t. Tables have one entry per
level, so entry t of `step_std` is σ_{t+1}. Bars are cumulative from the clean z: z_t = ā_t z + σ̄_t ε.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from .computed_buffers import ComputedBuffers
from .noise import draw, gaussian_like

if TYPE_CHECKING:
    from .configuration_ldebm import LDEBMConfig

BASE_STEPS = 1000
LEAST_STEP_SCALE = 1e-3
"""Least a_t of a level before the last: of the level before it keeps that much, and its precision is 1 / a_t²."""


@dataclass(frozen=True)
class NoiseSchedule:
    """Constants of the forward process in float64; each array has shape `(num_levels,)`."""

    step_std: np.ndarray  # σ_{t+1}
    marginal_scale: np.ndarray  # ā_t
    marginal_std: np.ndarray  # σ̄_t

    @property
    def step_scale(self) -> np.ndarray:
        """a_{t+1}."""
        return np.sqrt(1 - self.step_std**2)


def noise_schedule(config: LDEBMConfig) -> NoiseSchedule:
    """
    The schedule that `config.noise_schedule`, `noise_range`, `num_levels` and `base_level_noise` describe.

    Raises:
        ValueError: If a level keeps next to nothing of the level before, or there are too many levels.
    """
    if config.num_levels == 1:  # from pure noise to z in one level
        return NoiseSchedule(step_std=np.ones(1), marginal_scale=np.ones(1), marginal_std=np.zeros(1))
    if config.noise_schedule == "linear_variance":
        first, last = config.noise_range or (0.1, 0.9995)
        step_scale = np.sqrt(1 - np.linspace(first, last, config.num_levels))
        base_scale = 1.0
    else:
        first, last = config.noise_range or (1e-4, 0.02)
        cumulative = np.cumprod(np.sqrt(1 - np.linspace(first, last, BASE_STEPS)))
        spacing = BASE_STEPS // (2 * (config.num_levels - 1))
        if spacing == 0:
            allowed = f"at most {BASE_STEPS // 2 + 1} with the published noise schedule"
            raise ValueError(f"num_levels must be {allowed}, got {config.num_levels}")
        anchors = [*range(0, spacing * config.num_levels, spacing), BASE_STEPS - 1]
        level_ends = cumulative[anchors]
        base_scale = level_ends[0] if config.base_level_noise else 1.0
        step_scale = level_ends[1:] / np.array([base_scale, *level_ends[1:-1]])
    least = step_scale[:-1].min()  # the last level may be pure noise
    if least < LEAST_STEP_SCALE:
        allowed = f"such that every level but the last keeps at least {LEAST_STEP_SCALE:g} of the level before"
        raise ValueError(f"noise_range must be {allowed}, got {config.noise_range}, of which one keeps {least:.2g}")
    marginal_scale = base_scale * np.cumprod([1.0, *step_scale[:-1]])
    return NoiseSchedule(np.sqrt(1 - step_scale**2), marginal_scale, np.sqrt(1 - marginal_scale**2))


def base_precision(config: LDEBMConfig, schedule: NoiseSchedule) -> np.ndarray:
    """κ_t, the precision of each level's base measure: that of z̃ = a z for z ~ N(0, I), or 0 for a flat one."""
    precision = np.zeros(config.num_levels)
    if config.base_measure == "gaussian":
        precision[:-1] = 1 / schedule.step_scale[:-1] ** 2  # the last level, where r = 0, is Gaussian already
    return precision


def _gaussian_variance(config: LDEBMConfig, schedule: NoiseSchedule) -> np.ndarray:
    """v_t, the variance of level t's density if the energy is constant, shape `(num_levels,)`."""
    return 1 / (1 / schedule.step_std**2 + base_precision(config, schedule))


def langevin_step_variance(config: LDEBMConfig, schedule: NoiseSchedule) -> np.ndarray:
    """Squared (first) Langevin steps s_t², shape `(num_levels,)`, by `config.langevin_step_rule`."""
    if config.langevin_step_rule == "relative":
        return config.langevin_step_size * _gaussian_variance(config, schedule)
    if config.langevin_step_rule == "published":
        factor = schedule.marginal_std / schedule.marginal_std[0]
    else:
        factor = np.cumprod(schedule.step_std) / schedule.step_std[0]
    return config.langevin_step_size * factor * schedule.step_std**2


def fitting_step_variance(config: LDEBMConfig, schedule: NoiseSchedule) -> np.ndarray:
    """
    The squared Langevin steps of [`langevin_step_variance`].

    Raises:
        ValueError: If a step is too large for the exponential integrator.
    """
    step_variance = langevin_step_variance(config, schedule)
    largest = (step_variance / _gaussian_variance(config, schedule)).max()
    if config.langevin_integrator == "exponential" and largest > 1 + 1e-12:
        raise ValueError(
            f"langevin_step_size must be at most {config.langevin_step_size / largest:.3g} with "
            f"langevin_integrator='exponential' and langevin_step_rule={config.langevin_step_rule!r}, got "
            f"{config.langevin_step_size}"
        )
    return step_variance


class LevelConstants(ComputedBuffers):
    """
    The constants of every level as float32 buffers of shape `(num_levels,)`, indexed by level.

    Args:
        config ([`LDEBMConfig`]): Settings of the model.
    """

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.config = config
        self.register_computed()

    def compute(self) -> dict[str, torch.Tensor]:
        """All constants by name, each of shape `(num_levels,)`."""
        config = self.config
        schedule = noise_schedule(config)
        last = np.arange(config.num_levels) == config.num_levels - 1
        step_variance = fitting_step_variance(config, schedule)
        temperature = step_variance if config.energy_temperature == "step" else np.ones(config.num_levels)
        if config.level_weighting == "likelihood":
            quadratic_weight = 1 / _expected_draws(config)
            energy_weight = quadratic_weight / temperature
        else:
            quadratic_weight = energy_weight = schedule.step_std[0] / schedule.step_std
        unscaled = last & (not config.scale_last_level)
        constants = {
            "step_std": schedule.step_std,  # σ_{t+1}
            "step_scale": schedule.step_scale,  # a_{t+1}
            "marginal_scale": schedule.marginal_scale,  # ā_t
            "marginal_std": schedule.marginal_std,  # σ̄_t
            "latent_scale": np.where(unscaled, 1.0, schedule.step_scale),  # z̃_t / z_t
            "center_scale": np.where(last, 0.0, 1.0),  # r_t
            "base_precision": base_precision(config, schedule),  # κ_t
            "langevin_variance": step_variance,  # s_t² of the first step
            "gaussian_variance": _gaussian_variance(config, schedule),  # v_t
            "temperature": temperature,  # τ_t
            "energy_weight": energy_weight,  # λ_t
            "quadratic_weight": quadratic_weight,
        }
        return {name: torch.tensor(values, dtype=torch.float32) for name, values in constants.items()}

    def draw_levels(self, batch_size: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Draw levels for a training step, `(repeats * batch_size,)`; entry `i` is for example `i % batch_size`."""
        levels = self.config.num_levels
        if self.config.level_sampling == "all" or levels == 1:
            return torch.arange(levels, device=self.step_std.device).repeat_interleave(batch_size)
        if self.config.level_sampling == "stratified":
            order = draw(torch.rand, (batch_size,), self.step_std, generator).argsort()
            offset = draw(torch.rand, (1,), self.step_std, generator)
            return ((order + offset) * levels / batch_size).long().clamp(max=levels - 1)
        upper = levels if self.config.level_sampling == "uniform" else levels - 1
        drawn = (draw(torch.rand, (batch_size,), self.step_std, generator) * upper).long().clamp(max=upper - 1)
        if self.config.level_sampling == "uniform":
            return drawn
        return torch.cat([drawn, torch.full_like(drawn, levels - 1)])

    def diffuse(
        self, latents: torch.Tensor, level: torch.Tensor, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Draw two neighbouring states from the forward process (Eq. 4).

        Args:
            latents (`torch.Tensor` of shape `(batch_size, latent_size)`): Clean latents z.
            level (`torch.LongTensor` of shape `(batch_size,)`): Level t of each row.
            generator (`torch.Generator`, *optional*): Source of the noise.

        Returns:
            z̃_t and z_{t+1}, both of shape `(batch_size, latent_size)` and differentiable in `latents`.
        """
        t = level[:, None]
        z_t = self.marginal_scale[t] * latents + self.marginal_std[t] * gaussian_like(latents, generator)
        z_next = self.step_scale[t] * z_t + self.step_std[t] * gaussian_like(latents, generator)
        return self.latent_scale[t] * z_t, z_next

    def langevin_steps(self, level: torch.Tensor, num_steps: int) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Noise variance s² and drift h of every Langevin step, each `(num_steps, batch_size, 1)`.

        Let N(m, v) be the Gaussian part of the level's density. The exponential integrator solves that part's dynamics
        exactly: with ρ² = 1 - s²/v and h = (1 - ρ) v, a step is z ← m + ρ (z - m) + h ∇F + s ε, which leaves the
        Gaussian part invariant for every s² up to v.

        Args:
            level (`torch.LongTensor` of shape `(batch_size,)`): Level t of each chain.
            num_steps (`int`): Number of steps.
        """
        config, t = self.config, level[:, None]
        like = self.langevin_variance
        decay = torch.linspace(1, config.langevin_step_decay, num_steps, dtype=like.dtype, device=like.device)
        step_variance = decay[:, None, None] * self.langevin_variance[t]
        if config.langevin_integrator == "euler":
            return step_variance, step_variance / 2
        correlation = (1 - step_variance / self.gaussian_variance[t]).clamp(min=0).sqrt()
        return step_variance, (1 - correlation) * self.gaussian_variance[t]

    def first_level(
        self, latents: torch.Tensor, base_noise: bool, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """z̃_0 given clean latents `(batch_size, latent_size)`: a draw with `base_noise`, else its mean."""
        z_0 = self.marginal_scale[0] * latents
        if base_noise:
            z_0 = z_0 + self.marginal_std[0] * gaussian_like(latents, generator)
        return self.latent_scale[0] * z_0


def _expected_draws(config: LDEBMConfig) -> np.ndarray:
    """How often each level is trained per example and step, on average, shape `(num_levels,)`."""
    levels = config.num_levels
    if config.level_sampling == "all" or levels == 1:
        return np.ones(levels)
    if config.level_sampling in ("uniform", "stratified"):
        return np.full(levels, 1 / levels)
    return np.array([1 / (levels - 1)] * (levels - 1) + [1.0])
