"""Importance-weighted bounds on the log-likelihood log p(x) of a model, whose latent is integrated out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from ..model.arguments import INPUTS, MOST_SAMPLES, MOST_STEPS, Seed, checked
from ..model.posteriors import Posterior
from ..model.recurrent import text_lengths
from ..model.validation import Count, Instance, Number
from .importance_weights import LikelihoodEstimate, temper
from .latent_density import Annealing, DiffusionPaths, anneal_paths, draw_paths, prepare_annealing

if TYPE_CHECKING:
    from ..model.modeling_ldebm import LDEBMModel

FIRST_WIDENING = 1.3  # factor of the encoder's standard deviations in the first proposal
WIDENING = 1.1  # factor of a fitted proposal's standard deviations; it should be wider than the posterior
LEAST_FITTED = 25  # smallest number of samples that a proposal is fitted to
FITTED_SHARE = 0.2  # effective fraction of these samples, to which their weights are tempered
LARGEST_PRIOR_SHARE = 0.8  # leaves a tenth for the fitted proposal
NUM_PRIOR_DRAWS = 512  # samples of the prior whose mean and variances a proposal has for `prior_share`
UNFITTED_SHARE = 0.1  # fraction of samples from the first proposal, for tails beyond the fitted one


@dataclass(frozen=True)
class LikelihoodSettings:
    """
    Numbers of samples of an estimate.

    Args:
        num_posterior_samples (`int`, *optional*, defaults to 500): Number S of latents per example.
        num_fitting_rounds (`int`, *optional*, defaults to 2): How often the Gaussian from which these latents are
            drawn is first fitted to the true posterior, with half of S samples each time. With 0 they are drawn from
            the encoder's q(z|x), as is usual, which is too narrow for a tight bound if the model was trained with a
            small `kl_weight`.
        num_annealed_samples (`int`, *optional*, defaults to 32): Samples per example whose normalisers are annealed
            (diffusion prior with several levels).
        num_temperatures (`int`, *optional*, defaults to 200): Temperatures of that annealing.
        prior_share (`float`, *optional*, defaults to 0.0): Fraction of the latents, in fitting rounds as well, drawn
            from a Gaussian with the prior's mean and standard deviations, at most 0.8. The encoder, and a Gaussian
            fitted to samples of it, may know only one of several modes of the posterior. The bound is then too low by
            the missing modes' share, and neither its error nor the effective sample size nor Pareto's k shows it. With
            few latent dimensions 0.3 finds other modes; with many no proposal that ignores the text does.
        memory_budget (`int`, *optional*, defaults to 256): Memory for the decoder's logits in mebibytes. It affects
            the speed, and the last bits of results.

    Raises:
        ValueError: If a number is too small.
    """

    num_posterior_samples: int = 500
    num_fitting_rounds: int = 2
    num_annealed_samples: int = 32
    num_temperatures: int = 200
    prior_share: float = 0.0
    memory_budget: int = 256

    def __post_init__(self):
        rules = {
            "num_posterior_samples": Count(at_most=MOST_SAMPLES),
            "num_fitting_rounds": Count(at_least=0, at_most=MOST_STEPS),
            "num_annealed_samples": Count(at_most=MOST_SAMPLES),
            "num_temperatures": Count(at_most=MOST_SAMPLES),
            "memory_budget": Count(),
            "prior_share": Number(at_least=0, at_most=LARGEST_PRIOR_SHARE),
        }
        for name, rule in rules.items():
            rule(name, getattr(self, name))
        if self.num_fitting_rounds and self.num_posterior_samples < 2 * LEAST_FITTED:
            allowed = f"at least {2 * LEAST_FITTED}, of which half fit a proposal, or num_fitting_rounds 0"
            raise ValueError(f"num_posterior_samples must be {allowed}, got {self.num_posterior_samples}")
        if self.prior_share and 0 in _part_sizes(self.num_posterior_samples, [self.prior_share]):
            least = next(number for number in (2, 3) if 0 not in _part_sizes(number, [self.prior_share]))
            allowed = f"at least {least} with prior_share {self.prior_share:g} (one is drawn by the encoder)"
            raise ValueError(f"num_posterior_samples must be {allowed}, got {self.num_posterior_samples}")


@torch.no_grad()
@checked(
    settings=Instance(LikelihoodSettings, "LikelihoodSettings"),
    annealing=Instance(Annealing, "an Annealing, of prepare_annealing"),
    generator=Seed(),
    **INPUTS,
)
def estimate_log_likelihood(
    model: LDEBMModel,
    settings: LikelihoodSettings | None = None,
    *,
    class_labels: torch.Tensor | None = None,
    annealing: Annealing | None = None,
    generator: torch.Generator | int | None = None,
    **inputs: torch.Tensor,
) -> LikelihoodEstimate:
    r"""
    log 1/S Σ_s p(x|z_s) p(z_s) / r(z_s), z_s ~ r(z): in expectation a lower bound on log p(x) that grows with S (Burda
    et al., ICLR 2016), for every prior. The proposal r is the encoder's q(z|x) or, after fitting rounds, a mixture
    of nine parts of a Gaussian fitted to the posterior p(z|x) and one part of a widened q(z|x), which bounds the
    weights where the posterior has heavier tails than the fitted Gaussian (a defensive mixture: Hesterberg, 1995).
    With `prior_share` the mixture has a part as wide as the prior, for modes that the encoder does not know; without
    it, the default, such modes are missed and the result does not show it. The bound is valid with any. Without a
    latent the result is log p(x) itself.

    The diffusion prior's p(z) is itself estimated, from below (`lower`) and from above (`upper`), as `latent_density`
    explains. For all other priors the two are equal; with a single level they differ by the uncertainty of its one
    normaliser.

    Args:
        model ([`LDEBMModel`]): In evaluation mode.
        settings ([`LikelihoodSettings`], *optional*): Numbers of samples.
        class_labels (`torch.LongTensor` of shape `(batch_size,)`, *optional*): Symbols y, by id or name. If given, the
            bound is on log p(x, y) = log E[p(x|z) p(y|z)].
        annealing ([`Annealing`], *optional*): How to anneal the diffusion prior's levels, with its own
            `num_temperatures`; default: what `prepare_annealing` finds.
        generator (`torch.Generator` or `int`, *optional*): Source of all noise; an integer is a seed.
        inputs: Texts (`input_ids`, `attention_mask`) or `points`, as `model.encode` takes them. With contexts c, for a
            model with contexts, the estimate is of log p(x|c).

    Returns:
        [`LikelihoodEstimate`] in nats per example. Of a text, all words and the end mark are counted; of points, the
        density in the units of `points`.

    Raises:
        ValueError: If the model is in training mode, does not have a symbol of `class_labels`, or has a prior without
            a density.
    """
    settings = settings or LikelihoodSettings()
    if model.training:
        raise ValueError("model must be in evaluation mode, without dropout: call model.eval()")
    require_density(model)
    if class_labels is not None:
        class_labels = model.symbol_ids(class_labels)
    proposal = model.posterior(**inputs)
    if class_labels is not None and class_labels.shape != proposal.mean.shape[:1]:
        raise ValueError(f"class_labels must have shape ({len(proposal.mean)},), got {tuple(class_labels.shape)}")
    if not model.prior.has_exact_density and annealing is None:
        annealing = prepare_annealing(
            model.prior, settings.num_temperatures, context=proposal.context, generator=generator
        )
    if inputs.get("input_ids") is not None:
        mask = inputs.get("attention_mask")
        inputs = {**inputs, "lengths": text_lengths(inputs["input_ids"], mask, model.config.pad_token_id)}
    draw = partial(_draw_samples, model, settings, class_labels, annealing, generator, inputs)

    num_samples = settings.num_posterior_samples if model.config.has_latent else 1
    proposals, shares = [proposal], []  # shares of all proposals but the first
    if model.config.gaussian_size:
        first = proposal if not settings.num_fitting_rounds else _widen(proposal, FIRST_WIDENING)
        defensive, of_defensive = [], []
        if settings.prior_share:
            defensive, of_defensive = [_prior_gaussian(model, proposal, generator)], [settings.prior_share]
        proposals, shares = [first, *defensive], of_defensive
        for _ in range(settings.num_fitting_rounds):
            fitted = _fit(first, draw(proposals, shares, num_samples // 2))
            proposals, shares = [fitted, first, *defensive], [UNFITTED_SHARE, *of_defensive]
    samples = draw(proposals, shares, num_samples)
    if samples.paths is None:
        estimate = LikelihoodEstimate.from_exact_weights(samples.log_factors + samples.log_prior)
        return estimate if model.config.has_latent else replace(estimate, effective_samples=None)
    num_annealed = settings.num_annealed_samples
    return anneal_paths(model.prior, annealing, samples.paths, samples.log_factors, num_annealed, generator)


def require_density(model: LDEBMModel) -> None:
    """Raise ValueError if the model's prior has no density, without which there is no likelihood."""
    if not model.prior.has_density:
        raise ValueError(f"model must have a prior with a density, got one with prior={model.config.prior!r}")


@checked(num_samples=Count(at_most=MOST_SAMPLES), generator=Seed(), **INPUTS)
def importance_weighted_bound(
    model: LDEBMModel, *, num_samples: int = 100, generator: torch.Generator | int | None = None, **inputs
) -> torch.Tensor:
    """
    The importance-weighted bound on log p(x) in nats, `(batch_size,)`, with `num_samples` samples of the encoder's
    q(z|x); with one sample the evidence lower bound. It is the `lower` of [`estimate_log_likelihood`] without fitting
    rounds; `inputs` as there.
    """
    settings = LikelihoodSettings(num_posterior_samples=num_samples, num_fitting_rounds=0)
    return estimate_log_likelihood(model, settings, generator=generator, **inputs).lower


@dataclass(frozen=True)
class _Samples:
    """
    Latents drawn from a proposal r, with their weights.

    Args:
        latents (`torch.Tensor` of shape `(batch_size, S, total_latent_size)`): z_s.
        log_factors (`torch.Tensor` of shape `(batch_size, S)`): log p(x|z) / r(z), or log p(x|z) p(y|z) / r(z).
        log_prior (`torch.Tensor` of shape `(batch_size, S)`): log p(z), for the diffusion prior a guess of it.
        paths ([`DiffusionPaths`], *optional*): Diffusion paths from the latents, for the diffusion prior.
    """

    latents: torch.Tensor
    log_factors: torch.Tensor
    log_prior: torch.Tensor
    paths: DiffusionPaths | None = None


def _draw_samples(
    model: LDEBMModel,
    settings: LikelihoodSettings,
    class_labels: torch.Tensor | None,
    annealing: Annealing | None,
    generator: torch.Generator | None,
    inputs: dict,
    proposals: list[Posterior],
    shares: list[float],
    num_samples: int,
) -> _Samples:
    """Weighted samples of a mixture of proposals; `shares` are the weights of all but the first."""
    counts = _part_sizes(num_samples, shares)
    parts = [
        _repeat(proposal, count).sample(generator, relaxed=False).unflatten(0, (-1, count))
        for proposal, count in zip(proposals, counts, strict=True)
    ]
    latents = torch.cat(parts, 1).flatten(0, 1)
    log_densities = [
        _repeat(proposal, num_samples).log_prob(latents) + math.log(count / num_samples)
        for proposal, count in zip(proposals, counts, strict=True)
    ]
    log_factors = _conditional_log_likelihood(model, latents, num_samples, settings.memory_budget, inputs)
    log_factors -= torch.stack(log_densities).logsumexp(0)
    context = proposals[0].context
    if context is not None:
        context = context.repeat_interleave(num_samples, 0)
    if class_labels is not None:
        log_symbols = model.prior.symbol_logits(latents, context=context).log_softmax(-1)
        log_factors += log_symbols.gather(1, class_labels.repeat_interleave(num_samples)[:, None])[:, 0]
    if annealing is None:
        paths, log_prior = None, model.prior.log_prob(latents, context)
    else:
        paths = draw_paths(model.prior, annealing, latents, generator, context)
        log_prior = paths.guessed_log_prior
    rows = (values.unflatten(0, (-1, num_samples)) for values in (latents, log_factors, log_prior))
    return _Samples(*rows, paths)


def _part_sizes(num_samples: int, shares: list[float]) -> list[int]:
    """Numbers of samples of each proposal of a mixture; `shares` are the weights of all but the first."""
    others = [max(1, round(share * num_samples)) for share in shares]
    return [num_samples - sum(others), *others]


def _prior_gaussian(model: LDEBMModel, proposal: Posterior, generator: torch.Generator | None) -> Posterior:
    """The proposal with its Gaussian part replaced by one with the mean and variances of samples of the prior."""
    options = {}
    if proposal.context is not None:
        rows = torch.arange(NUM_PRIOR_DRAWS, device=proposal.mean.device) % len(proposal.context)
        options["context"] = proposal.context[rows]
    latents = model.prior.sample(NUM_PRIOR_DRAWS, generator=generator, **options)[-1][:, : model.config.gaussian_size]
    variance, mean = torch.var_mean(latents.to(proposal.mean.dtype), 0)
    return replace(
        proposal, mean=mean.expand_as(proposal.mean), log_variance=variance.log().expand_as(proposal.log_variance)
    )


def _repeat(posterior: Posterior, times: int) -> Posterior:
    parts = {name: getattr(posterior, name) for name in ("mean", "log_variance", "code_logits", "context")}
    repeated = {name: part.repeat_interleave(times, 0) for name, part in parts.items() if part is not None}
    return replace(posterior, **repeated)


def _widen(posterior: Posterior, factor: float) -> Posterior:
    """The posterior with standard deviations `factor` times as large."""
    return replace(posterior, log_variance=posterior.log_variance + 2 * math.log(factor))


def _fit(proposal: Posterior, samples: _Samples) -> Posterior:
    """
    The proposal with its Gaussian part fitted to the moments of its weighted samples. Weights are tempered first, so
    that they are not dominated by a few samples.
    """
    log_weights = samples.log_factors + samples.log_prior
    weights = temper(log_weights, FITTED_SHARE * log_weights.shape[1]).softmax(-1)[..., None].to(proposal.mean.dtype)
    latents = samples.latents[..., : proposal.mean.shape[1]]
    mean = (weights * latents).sum(1)
    variance = (weights * (latents - mean[:, None]).square()).sum(1).clamp(min=torch.finfo(mean.dtype).tiny)
    return _widen(replace(proposal, mean=mean, log_variance=variance.log()), WIDENING)


def _conditional_log_likelihood(
    model: LDEBMModel, latents: torch.Tensor, num_samples: int, memory_budget: int, inputs: dict
) -> torch.Tensor:
    """log p(x|z) of latents, `(num_rows,)`, of which `num_samples` consecutive ones belong to each example."""
    log_likelihoods = []
    for rows in _row_ranges(model, len(latents), memory_budget, inputs):
        example = torch.arange(rows.start, rows.stop, device=latents.device) // num_samples
        selected = {name: value[example] for name, value in inputs.items() if isinstance(value, torch.Tensor)}
        for name in ("lengths", "context_lengths"):
            if inputs.get(name) is not None:
                selected[name] = [inputs[name][i] for i in example.tolist()]
        log_likelihoods.append(model.conditional_log_likelihood(latents[rows.start : rows.stop], **selected))
    return torch.cat(log_likelihoods).double()


def _row_ranges(model: LDEBMModel, num_rows: int, memory_budget: int, inputs: dict) -> Iterator[range]:
    """Ranges of rows that the decoder can score at once within the memory budget."""
    bytes_per_row = 4 * model.modality.floats_per_example(inputs.get("lengths"))
    size = max(1, memory_budget * 2**20 // bytes_per_row)
    for start in range(0, num_rows, size):
        yield range(start, min(start + size, num_rows))
