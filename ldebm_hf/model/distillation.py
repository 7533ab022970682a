"""Fit of the distilled sampler to the chains of a trained model; no texts are needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.utils import parametrize
from transformers.utils import logging

from .arguments import GUIDANCE, MOST_SAMPLES, MOST_STEPS, Seed, checked
from .distilled_sampler import (
    DEFAULT_PROPOSALS,
    DiagonalMixture,
    DistilledSampler,
    LevelProposal,
    log_importance_weights,
)
from .noise import draw
from .setting_rules import MOST_UNITS
from .tilted_chains import ChainDiagnostics, TiltedGaussian
from .validation import Count, Flag, Number

if TYPE_CHECKING:
    from .diffusion_prior import DiffusionPrior

CHAINS_AT_A_TIME = 2000
"""Chains that run at once, which bounds the memory they take."""
SHARE_OF_CHAINS = 0.25
"""Fraction of the steps in which the chains alone are fitted; after it come the network's own draws."""
WEIGHT_OF_CHAINS = 0.1
"""Weight of the chains after that: they hold on to modes of which the network makes no draws."""
JUDGED_SAMPLES = 1000
"""Latents that the new sampler draws without symbols, and as many with symbols, to say how good it is."""


@dataclass(frozen=True)
class DistillationOutput:
    """
    Args:
        free ([`ChainDiagnostics`]): What a distilled sampler does at each level without symbols: acceptance rates and
            effective sample sizes, among others.
        steered ([`ChainDiagnostics`]): The same with symbols.
    """

    free: ChainDiagnostics
    steered: ChainDiagnostics


@checked(
    num_steps=Count(at_most=MOST_SAMPLES),
    num_chains=Count(at_least=2, at_most=MOST_SAMPLES),
    batch_size=Count(at_most=MOST_SAMPLES),
    learning_rate=Number(above=0, at_most=1),
    hidden_size=Count(at_most=MOST_UNITS),
    num_components=Count(at_most=MOST_STEPS),
    guidance_scale=GUIDANCE,
    num_langevin_steps=Count(at_least=0, at_most=MOST_STEPS),
    generator=Seed(),
    show_progress=Flag(),
)
def distil_sampler(
    model,
    *,
    num_steps: int = 1000,
    num_chains: int = 20_000,
    batch_size: int = 256,
    learning_rate: float = 3e-3,
    hidden_size: int | None = None,
    num_components: int = 8,
    guidance_scale: float | None = None,
    num_langevin_steps: int | None = None,
    generator: torch.Generator | int | None = None,
    show_progress: bool = False,
) -> DistillationOutput:
    """
    Fit a sampler to the model's own Langevin chains, in place, that draws each level in one step and needs no gradient
    of the energy: `sample_latents(sampler="distilled")` and `generate(sampler="distilled")` use it. `save_pretrained`
    stores it. The model itself does not change.

    Half of the chains have no symbol and half a symbol drawn at random, with one guidance scale. The networks of
    [`DistilledSampler`] are fitted by maximum likelihood, first to the chains, and then mostly to draws of their own
    with importance weights (Cappé et al., Statistics and Computing 2008), of which there is no end, so that the fit
    does not learn the noise of the chains. A model that is trained further afterwards needs a new fit; merging symbols
    removes the sampler.

    ```python
    >>> model.distil_sampler(generator=0)
    >>> latents = model.sample_latents(1000, sampler="distilled")
    ```

    Args:
        num_steps (`int`, *optional*, defaults to 1000): Steps of the optimiser for each level.
        num_chains (`int`, *optional*, defaults to 20000): Chains to fit to.
        batch_size (`int`, *optional*, defaults to 256): Pairs of neighbouring states in a step.
        learning_rate (`float`, *optional*, defaults to 0.003): First learning rate of Adam, which falls to 0 along
            a half cosine.
        hidden_size (`int`, *optional*): Width of the networks; defaults to `config.energy_hidden_size`.
        num_components (`int`, *optional*, defaults to 8): Components of each mixture.
        guidance_scale (`float`, *optional*): The guidance scale with which symbols steer the distilled sampler;
            defaults to `config.label_guidance`.
        num_langevin_steps (`int`, *optional*): Steps of the chains, as in [`sample_latents`].
        generator (`torch.Generator` or `int`, *optional*): Source of all noise; an integer is a seed.
        show_progress (`bool`, *optional*, defaults to `False`): Show a progress bar.

    Returns:
        [`DistillationOutput`]: What the new sampler does at each level with the default number of proposals.

    Raises:
        ValueError: If the prior has no energy, or the model has contexts.
    """
    config, prior = model.config, model.prior
    if not prior.has_energy:
        raise ValueError(f"distil_sampler is for models with an energy-based prior, got prior={config.prior!r}")
    if config.context_size:
        raise ValueError(f"distil_sampler is for models without contexts, got context_size={config.context_size}")
    settings = {
        "hidden_size": config.energy_hidden_size if hidden_size is None else hidden_size,
        "num_components": num_components,
        "guidance_scale": config.label_guidance if guidance_scale is None else guidance_scale,
    }
    was_training = prior.training
    prior.eval()
    total = num_chains + config.num_levels * num_steps
    with logging.tqdm(total=total, desc="distilling", disable=not show_progress) as bar:
        trajectories, labels = [], []
        for trajectory, symbols in _chains(prior, num_chains, guidance_scale, num_langevin_steps, generator):
            trajectories.append(trajectory)
            labels.append(symbols)
            bar.update(len(symbols))
        states, symbols = torch.cat(trajectories, 1), torch.cat(labels)
        sampler = DistilledSampler(config.latent_size, config.num_labels, config.num_levels, settings)
        sampler.to(states.device, states.dtype)
        for t, proposal in enumerate(sampler.levels):
            z_next, state = states[config.num_levels - 1 - t], states[config.num_levels - t]
            is_steered = t == 0 or config.symbol_levels == "all"
            pairs = LevelPairs(
                prior=prior,
                level=t,
                z_next=z_next,
                scaled=prior.levels.latent_scale[t] * state,
                class_labels=symbols if is_steered else torch.full_like(symbols, -1),
                guidance_scale=guidance_scale,
            )
            _fit(proposal, pairs, num_steps, batch_size, learning_rate, generator, bar)
    sampler.requires_grad_(False)
    prior.distilled_sampler, config.distilled_sampler = sampler.eval(), settings
    prior.train(was_training)
    return _diagnose(model, settings["guidance_scale"], generator)


def _chains(
    prior, num_chains: int, guidance_scale: float | None, num_steps: int | None, generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """
    Trajectories `(num_levels + 1, n, latent_size)` of the prior's Langevin chains, and their symbols `(n,)`: -1 for
    the first half of all chains, which have none.
    """
    num_free = num_chains - num_chains // 2
    with torch.no_grad():
        for number, is_steered in ((num_free, False), (num_chains - num_free, True)):
            for start in range(0, number, CHAINS_AT_A_TIME):
                count = min(CHAINS_AT_A_TIME, number - start)
                like = prior.levels.step_std
                drawn = (draw(torch.rand, (count,), like, generator) * prior.config.num_labels).long()
                symbols = drawn.clamp(max=prior.config.num_labels - 1) if is_steered else None
                steering = {"symbols": symbols, "guidance_scale": guidance_scale} if is_steered else {}
                states = prior.sample(count, **steering, num_langevin_steps=num_steps, generator=generator)
                yield states, torch.full_like(drawn, -1) if symbols is None else symbols


@dataclass(frozen=True)
class LevelPairs:
    """
    Neighbouring states of chains at one level.

    Args:
        prior ([`DiffusionPrior`]): The prior.
        level (`int`): The level t.
        z_next (`torch.Tensor` of shape `(num_chains, latent_size)`): z_{t+1}.
        scaled (`torch.Tensor` of the same shape): z̃_t.
        class_labels (`torch.LongTensor` of shape `(num_chains,)`): The symbol of each chain; -1 for none.
        guidance_scale (`float`, *optional*): As in [`distil_sampler`].
    """

    prior: DiffusionPrior
    level: int
    z_next: torch.Tensor
    scaled: torch.Tensor
    class_labels: torch.Tensor
    guidance_scale: float | None

    def targets(self, rows: torch.Tensor) -> TiltedGaussian:
        """The densities of z̃_t of some rows."""
        level = torch.full_like(rows, self.level)
        energy = self.prior.level_energy(level, self.class_labels[rows], self.guidance_scale)
        return TiltedGaussian(*self.prior.level_gaussian(self.z_next[rows], level), energy)

    def loss_of_chains(self, density: DiagonalMixture, rows: torch.Tensor) -> torch.Tensor:
        """Mean -log q of the states that the chains reached."""
        mean, variance = self.prior.level_gaussian(self.z_next[rows], torch.full_like(rows, self.level))
        standardized = (self.scaled[rows] - mean) / variance.sqrt()
        return -density.log_prob(standardized[None]).mean()

    def loss_of_own_draws(self, density: DiagonalMixture, rows: torch.Tensor, generator) -> torch.Tensor:
        """Mean -log q of draws from q itself, by their importance weights."""
        with torch.no_grad():
            draws = density.sample(DEFAULT_PROPOSALS, generator)
            weights = log_importance_weights(self.targets(rows), density, draws).softmax(0)
        return -(weights * density.log_prob(draws)).sum(0).mean()


def _fit(
    proposal: LevelProposal,
    pairs: LevelPairs,
    num_steps: int,
    batch_size: int,
    learning_rate: float,
    generator: torch.Generator | None,
    bar,
) -> None:
    """Fit the network of one level."""
    num_chains = len(pairs.z_next)
    with torch.enable_grad(), parametrize.cached():
        proposal.requires_grad_(True).start_from_gaussian(generator)
        optimizer = torch.optim.Adam(proposal.parameters(), lr=learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
        for step in range(num_steps):
            uniform = draw(torch.rand, (batch_size,), pairs.z_next, generator)
            rows = (uniform * num_chains).long().clamp(max=num_chains - 1)
            density = proposal(pairs.z_next[rows], pairs.class_labels[rows])
            loss = pairs.loss_of_chains(density, rows)
            if step >= SHARE_OF_CHAINS * num_steps:
                loss = WEIGHT_OF_CHAINS * loss + pairs.loss_of_own_draws(density, rows, generator)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            bar.update(1)
        optimizer.zero_grad()


def _diagnose(model, guidance_scale: float | None, generator) -> DistillationOutput:
    """What the model's distilled sampler does."""
    symbols = torch.arange(JUDGED_SAMPLES, device=model.device) % model.config.num_labels
    steering = {"class_labels": symbols, "guidance_scale": guidance_scale}
    options = {"sampler": "distilled", "generator": generator, "return_diagnostics": True}
    return DistillationOutput(
        free=model.sample_latents(JUDGED_SAMPLES, **options).diagnostics,
        steered=model.sample_latents(**steering, **options).diagnostics,
    )
