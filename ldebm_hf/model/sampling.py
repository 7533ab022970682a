"""Latents drawn from the prior of a model, and how arguments with one entry per sample are matched to the samples."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from transformers.utils import logging

from .arguments import CONTEXT, MOST_SAMPLES, SAMPLING, checked
from .outputs import LatentTrajectory
from .tilted_chains import ChainDiagnostics
from .validation import Count, Flag

logger = logging.get_logger(__name__)

_CHAINS: ContextVar[dict[tuple[int, int, bool], list[ChainDiagnostics]] | None] = ContextVar("_CHAINS", default=None)
"""What the chains of the public call in progress did, by number of levels, size of a latent and whether distilled."""


@contextmanager
def one_warning_of_chains() -> Iterator[None]:
    """
    Give at most one warning that chains did not settle, at the end, about all calls of [`sample_latents`] within. It
    is a decorator, too, of functions that sample in batches or in attempts. Within another one it does nothing.
    """
    if _CHAINS.get() is not None:
        yield
        return
    chains = _CHAINS.set({})
    try:
        yield
    finally:
        collected = _CHAINS.get()
        _CHAINS.reset(chains)
        for (_, size, is_distilled), batches in collected.items():
            chains = ChainDiagnostics.concatenate(batches)
            if is_distilled:
                _warn_if_far(chains, size)
            else:
                _warn_if_unsettled(chains, size)


@torch.no_grad()
@checked(
    **SAMPLING,
    **CONTEXT,
    batch_size=Count(at_most=MOST_SAMPLES),
    return_trajectory=Flag(),
    return_diagnostics=Flag(),
    show_progress=Flag(),
)
@one_warning_of_chains()
def sample_latents(
    model,
    num_samples: int | None = None,
    *,
    class_labels: int | str | Sequence[int | str] | torch.Tensor | None = None,
    guidance_scale: float | None = None,
    num_langevin_steps: int | None = None,
    sampler: str | None = None,
    num_proposals: int | None = None,
    generator: torch.Generator | int | None = None,
    return_trajectory: bool = False,
    return_diagnostics: bool = False,
    batch_size: int | None = None,
    show_progress: bool = False,
    context_input_ids: torch.Tensor | None = None,
    context_attention_mask: torch.Tensor | None = None,
) -> torch.Tensor | LatentTrajectory:
    """
    Draw latents from the prior; the diffusion prior samples by reverse diffusion (Algorithm 2 of the paper).

    Args:
        num_samples (`int`, *optional*): Number of latents. Defaults to the number of `class_labels` or of contexts if
            more than one is given, else to 1.
        class_labels (`int`, `str` or a sequence of them, *optional*): Symbol of each sample, by id or name as in
            [`symbol_ids`]; a single symbol is used for all samples.
        guidance_scale (`float`, *optional*): Weight γ of log p(y|z). 0 ignores the symbol, 1 samples the model's joint
            density, and larger values follow the symbol more strictly. Defaults to `config.label_guidance`, or to
            1/τ_t if that is `None`.
        num_langevin_steps (`int`, *optional*): Langevin steps per level; defaults to `config.langevin_steps`, and to
            twice as many where a symbol steers chains that adapt their steps (`config.guided_steps`), four times as
            many at the noisiest level, whose chains start farthest away.
        sampler (`str`, *optional*, defaults to `"langevin"`): How the diffusion prior samples each level: by Langevin
            chains, or `"distilled"`, by the sampler without gradients that [`distil_sampler`] fits.
        num_proposals (`int`, *optional*, defaults to 4): Draws of the distilled sampler per level and sample, each of
            which costs one evaluation of the energy. More are closer to the model's density; 1 leaves the energy out.
        generator (`torch.Generator` or `int`, *optional*): Source of all noise; an integer is a seed.
        return_trajectory (`bool`, *optional*, defaults to `False`): Also return the states after every level.
        return_diagnostics (`bool`, *optional*, defaults to `False`): Also return what the chains did at every level,
            [`ChainDiagnostics`], for a prior that has chains. It costs two evaluations of the energy per level; of the
            distilled sampler it costs nothing unless `num_proposals` is 1.
        batch_size (`int`, *optional*): Draw at most this many latents at a time, to bound the memory that sampling
            takes; defaults to all at once. With another batch size the same seed gives other samples.
        show_progress (`bool`, *optional*, defaults to `False`): Show a progress bar.
        context_input_ids, context_attention_mask (*optional*): For a model with contexts, the turns before each
            sample, as in [`forward`]; a single context is used for all samples.

    If chains did not settle at some level ([`ChainDiagnostics.settled`]), one warning names the levels and says what
    to change; it is one for all batches and attempts of a method that calls this one. Chains that adapt their steps
    and the distilled sampler are always examined, others with `return_diagnostics`.

    Returns:
        `torch.FloatTensor` of shape `(num_samples, total_latent_size)`, or [`LatentTrajectory`] with
        `return_trajectory` or `return_diagnostics`.

    Raises:
        ValueError: If a symbol is unknown, the prior has no symbols, or the number of symbols or contexts is neither 1
            nor `num_samples`; for `guidance_scale` without symbols; for `guidance_scale`, `num_langevin_steps`,
            `sampler`, `num_proposals` or `return_diagnostics` with a prior that does not take them; for
            `sampler="distilled"` with a model that has no distilled sampler, with another guidance scale than that of
            its fit, and with `num_langevin_steps`; and for `num_samples` or `batch_size` below 1.
    """
    steering = {
        "guidance_scale": guidance_scale,
        "num_langevin_steps": num_langevin_steps,
        "sampler": sampler,
        "num_proposals": num_proposals,
    }
    for name, value in steering.items():
        if value is not None and name not in model.prior.sampling_options:
            raise ValueError(f"prior={model.config.prior!r} takes no {name}, got {name}={value}")
    steering = {name: value for name, value in steering.items() if name in model.prior.sampling_options}
    if return_diagnostics and not model.prior.has_energy:
        raise ValueError(f"prior={model.config.prior!r} has no chains, got return_diagnostics={return_diagnostics}")
    symbols = None if class_labels is None else model.symbol_ids(class_labels)
    context = context_vectors(model, context_input_ids, context_attention_mask)
    num_samples, rows = expand_to_samples(num_samples, class_labels=symbols, context_input_ids=context)
    if symbols is None and guidance_scale is not None:
        raise ValueError(f"guidance_scale needs class_labels, got {guidance_scale} without them")
    conditions = {}
    if symbols is not None:
        conditions["symbols"] = rows["class_labels"]
    if context is not None:
        conditions["context"] = rows["context_input_ids"]
    batches = []
    diagnoses = return_diagnostics
    is_distilled = sampler == "distilled"
    if not diagnoses and is_distilled:
        diagnoses = num_proposals != 1
    elif not diagnoses and model.prior.has_energy:
        diagnoses = model.prior.adapts_steps(symbols, guidance_scale)
    diagnostics = []
    with logging.tqdm(total=num_samples, desc="latents", unit="latent", disable=not show_progress) as bar:
        for indices in torch.arange(num_samples, device=model.device).split(batch_size or num_samples):
            batch = {name: values[indices] for name, values in conditions.items()}
            levels: list[ChainDiagnostics] = []
            if diagnoses:
                batch["diagnostics"] = levels
            trajectory = model.prior.sample(len(indices), **batch, **steering, generator=generator)
            if diagnoses:
                diagnostics.append(ChainDiagnostics.stack(levels[::-1]))
            # The copy of the last state lets the memory of the other levels go.
            batches.append(trajectory if return_trajectory else trajectory[-1].clone())
            bar.update(len(indices))
    samples = torch.cat(batches, dim=-2)
    chains = ChainDiagnostics.concatenate(diagnostics) if diagnoses else None
    if chains is not None:
        kind = (len(chains.energy_drift), samples.shape[-1], is_distilled)
        _CHAINS.get().setdefault(kind, []).append(chains)
    if not return_trajectory and not return_diagnostics:
        return samples
    return LatentTrajectory(
        latents=samples[-1] if return_trajectory else samples,
        trajectory=samples if return_trajectory else None,
        diagnostics=chains if return_diagnostics else None,
    )


def _warn_if_unsettled(chains: ChainDiagnostics, size: int) -> None:
    """One warning for all levels at which chains did not settle."""
    unsettled = (~chains.settled(size)).nonzero()[:, 0].tolist()
    if not unsettled:
        return
    signs = []
    for level in unsettled:
        sign = f"log-density still changing by {chains.energy_drift[level].mean():+.2g} nats in the second half"
        accepted = chains.acceptance_rate[level].mean()
        if accepted.isfinite():
            sign += f", {accepted:.0%} of steps accepted"
        signs.append(f"level {level} ({sign})")
    logger.warning(
        "Langevin chains did not settle at %s: the samples are not yet those of the prior. Pass a larger "
        "num_langevin_steps or, if a symbol steers them, a smaller guidance_scale.",
        ", ".join(signs),
    )


def _warn_if_far(chains: ChainDiagnostics, size: int) -> None:
    """One warning for all levels at which draws of the distilled sampler are far from the density."""
    unsettled = (~chains.settled(size)).nonzero()[:, 0].tolist()
    if not unsettled:
        return
    worth = chains.effective_sample_size.mean(-1).tolist()
    signs = [f"level {level} (effective sample size {worth[level]:.2f})" for level in unsettled]
    logger.warning(
        "Draws of the distilled sampler are far from the prior at %s: the samples are not those of the prior. Distil "
        "again, with more num_steps or after the last change of the model, or sample by Langevin chains.",
        ", ".join(signs),
    )


def context_vectors(
    model, context_input_ids: torch.Tensor | None, context_attention_mask: torch.Tensor | None
) -> torch.Tensor | None:
    """The contexts of dialogues as vectors, `(n, context_size)`; `None` for a model without contexts."""
    return model.modality.context(context_input_ids=context_input_ids, context_attention_mask=context_attention_mask)


def expand_to_samples(num_samples: int | None, **given: torch.Tensor | None) -> tuple[int, dict[str, torch.Tensor]]:
    """
    Expand arguments that have one row in all, or one row per sample, to one row per sample.

    Args:
        num_samples (`int`, *optional*): Number of samples; defaults to the largest number of rows, or 1.
        given (`torch.Tensor`): Arguments by name, for error messages; those that are `None` are left out.

    Returns:
        `tuple[int, dict[str, torch.Tensor]]`: the number of samples, and each argument with that many rows.

    Raises:
        ValueError: If the number of samples is below 1, or an argument has neither 1 nor `num_samples` rows.
    """
    given = {name: torch.as_tensor(rows) for name, rows in given.items() if rows is not None}
    if num_samples is None:
        num_samples = max(map(len, given.values()), default=1)
    if num_samples < 1:
        raise ValueError(f"num_samples must be at least 1, got {num_samples}")
    for name, rows in given.items():
        if len(rows) not in (1, num_samples):
            raise ValueError(f"{name} must be one, or one for each of {num_samples} samples, got {len(rows)}")
    return num_samples, {name: rows.expand(num_samples, *rows.shape[1:]) for name, rows in given.items()}
