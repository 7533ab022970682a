"""Fit of the distilled sampler to the chains of a trained model; no texts are needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from transformers.utils import logging

from .arguments import GUIDANCE, MOST_SAMPLES, MOST_STEPS, Seed, checked
from .distilled_sampler import DistilledSampler, LevelProposal
from .noise import draw
from .setting_rules import MOST_UNITS
from .tilted_chains import ChainDiagnostics
from .validation import Count, Flag, Number

CHAINS_AT_A_TIME = 2000
"""Chains that run at once, which bounds the memory they take."""
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
    num_steps: int = 1500,
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
    [`DistilledSampler`] are fitted to them by maximum likelihood, each by Adam with a learning rate that falls to 0
    along a half cosine. A model that is trained further afterwards needs a new fit; merging symbols removes the
    sampler.

    ```python
    >>> model.distil_sampler(generator=0)
    >>> latents = model.sample_latents(1000, sampler="distilled")
    ```

    Args:
        num_steps (`int`, *optional*, defaults to 1500): Steps of the optimiser for each level.
        num_chains (`int`, *optional*, defaults to 20000): Chains to fit to.
        batch_size (`int`, *optional*, defaults to 256): Pairs of neighbouring states in a step.
        learning_rate (`float`, *optional*, defaults to 0.003): First learning rate.
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
            level = torch.full((num_chains,), t, device=states.device)
            mean, variance = prior.level_gaussian(z_next, level)
            standardized = (prior.levels.latent_scale[t] * state - mean) / variance.sqrt()
            is_steered = t == 0 or config.symbol_levels == "all"
            known = symbols if is_steered else torch.full_like(symbols, -1)
            _fit(proposal, z_next, standardized, known, num_steps, batch_size, learning_rate, generator, bar)
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


def _fit(
    proposal: LevelProposal,
    z_next: torch.Tensor,
    standardized: torch.Tensor,
    class_labels: torch.Tensor,
    num_steps: int,
    batch_size: int,
    learning_rate: float,
    generator: torch.Generator | None,
    bar,
) -> None:
    """Fit the network of one level to pairs of z_{t+1} and u, given z_{t+1}'s symbol or -1, by maximum likelihood."""
    with torch.enable_grad():
        proposal.requires_grad_(True).start_from_gaussian(generator)
        optimizer = torch.optim.Adam(proposal.parameters(), lr=learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
        for _ in range(num_steps):
            uniform = draw(torch.rand, (batch_size,), z_next, generator)
            rows = (uniform * len(z_next)).long().clamp(max=len(z_next) - 1)
            density = proposal(z_next[rows], class_labels[rows])
            loss = -density.log_prob(standardized[rows][None]).mean()
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
