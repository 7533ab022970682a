r"""
The likelihood estimator of the published system, which does not estimate a likelihood. It is kept so that its value
can be compared with a valid estimate.

Given a latent z, it draws x^(0), …, x^(T), each from the forward process given z but independently of the others, and
u^(t+1) = a_{t+1} x^(t) + σ_{t+1} ε. With y_t the z̃_t of x^(t) and g_t(y; c) = F(y, t) - ‖y - r_t c‖² / (2σ²_{t+1}), it
sums over levels

    g_t(y_t; x^(t+1)) - log mean exp[g_t(y_t; u^(t+1)) - log N(x^(t); ā_t z, σ̄_t² I)]
                      - log N(u^(t+1); a_{t+1} x^(t), σ²_{t+1} I),

and adds log N(x^(T); 0, I). The mean is over the batch of latents of one example. The result is neither a bound nor
consistent: the condition of the first term is independent of y_t; the normaliser is averaged over different
conditions, with a proposal far narrower than the target; the change of variables is left out; and F lacks the
temperature that the sampler gives it. For F = 0, d = 40 and the published settings it gives about -41 ± 26, with a log
mean over 100 samples between -10 and 45, where the log-density is about -101.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn.utils import parametrize

from ..model.arguments import INPUTS, Seed, checked
from ..model.configuration_ldebm import LDEBMConfig
from ..model.diffusion_prior import DiffusionPrior
from ..model.noise import as_generator, gaussian_like
from .importance_weights import log_mean

if TYPE_CHECKING:
    from ..model.modeling_ldebm import LDEBMModel

PUBLISHED_SAMPLES, PUBLISHED_BATCH = 500, 100


def require_published(config: LDEBMConfig) -> None:
    """
    Raise ValueError unless the model has an energy-based prior, a base level's noise, by whose density the estimator
    divides, and no contexts.
    """
    requirements = (
        ("prior", "diffusion", config.prior_class.has_energy),
        ("base_level_noise", True, config.base_level_noise),
        ("context_size", 0, config.context_size == 0),
    )
    for name, needed, is_met in requirements:
        if not is_met:
            raise ValueError(f"the published estimator needs {name} {needed!r}, got {getattr(config, name)!r}")


@torch.no_grad()
def published_log_prior(
    prior: DiffusionPrior, latents: torch.Tensor, generator: torch.Generator | int | None = None
) -> torch.Tensor:
    """
    The published system's substitute for log p(z), with the flaws that the module's docstring lists.

    Args:
        prior ([`DiffusionPrior`]): A prior that [`require_published`] accepts.
        latents (`torch.Tensor` of shape `(num_samples, latent_size)`): z, posterior samples of one example
            (published: 100).
        generator (`torch.Generator` or `int`, *optional*): Source of all noise.

    Returns:
        `torch.Tensor` of shape `(num_samples,)`, float64.
    """
    require_published(prior.config)
    generator = as_generator(generator)
    levels, num_levels = prior.levels, prior.config.num_levels
    mean_scale, mean_std = levels.marginal_scale.tolist(), levels.marginal_std.tolist()
    mean_scale.append(mean_scale[-1] * levels.step_scale[-1].item())
    mean_std.append(math.sqrt(1 - mean_scale[-1] ** 2))
    z = latents.to(levels.step_std.dtype)
    states = [scale * z + std * gaussian_like(z, generator) for scale, std in zip(mean_scale, mean_std, strict=True)]
    total = _log_normal(states[-1], 1.0)
    with parametrize.cached():
        for t in range(num_levels):
            step_std, center_scale = levels.step_std[t].item(), levels.center_scale[t]
            forward_mean = levels.step_scale[t] * states[t]
            pushed = forward_mean + step_std * gaussian_like(z, generator)
            scaled = levels.latent_scale[t] * states[t]
            level = torch.full((len(z),), t, device=z.device)
            free_energy = prior.energy(scaled, level).logsumexp(-1).double()

            def density(condition, scaled=scaled, free_energy=free_energy, std=step_std, center_scale=center_scale):
                distance = (scaled - center_scale * condition).double().square().sum(-1) / (2 * std**2)
                return free_energy - distance

            log_weights = density(pushed) - _log_normal(states[t] - mean_scale[t] * z, mean_std[t])
            total += density(states[t + 1]) - log_mean(log_weights) - _log_normal(pushed - forward_mean, step_std)
    return total


@torch.no_grad()
@checked(generator=Seed(), **INPUTS)
def published_log_likelihood(
    model: LDEBMModel, *, generator: torch.Generator | int | None = None, **inputs: torch.Tensor
) -> torch.Tensor:
    """
    What the published system would report as log p(x) of one example, `()`: the log of the mean of
    p(x|z) exp([`published_log_prior`]) / q(z|x) over 500 posterior samples, in batches of 100.

    Args:
        model ([`LDEBMModel`]): A model that [`require_published`] accepts, in evaluation mode.
        generator (`torch.Generator` or `int`, *optional*): Source of all noise.
        inputs: One text or point, as `model.encode` takes it.
    """
    require_published(model.config)
    posterior = model.posterior(**inputs)
    if len(posterior.mean) != 1:
        raise ValueError(f"inputs must hold one example, got {len(posterior.mean)}")
    repeated = {name: value.expand(PUBLISHED_BATCH, -1) for name, value in inputs.items()}
    posterior = model.posterior(**repeated)
    log_weights = []
    for _ in range(PUBLISHED_SAMPLES // PUBLISHED_BATCH):
        latents = posterior.sample(generator)
        weights = published_log_prior(model.prior, latents, generator) - posterior.log_prob(latents)
        log_weights.append(weights + model.conditional_log_likelihood(latents, **repeated))
    return log_mean(torch.cat(log_weights))


def _log_normal(offset: torch.Tensor, std: float) -> torch.Tensor:
    """log N(offset; 0, std² I) in float64, `(num_samples,)`."""
    return -(offset.double().square() / std**2 + math.log(2 * math.pi * std**2)).sum(-1) / 2
