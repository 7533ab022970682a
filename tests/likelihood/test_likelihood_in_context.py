"""log p(z|c) and log p(x|c) of models with contexts: against Gaussians of every context, and by quadrature."""

import math

import pytest
import torch
from known_priors import QuadraticEnergy, exact_log_prior, quadratic_prior
from tiny_models import seeded, tiny_model

from ldebm_hf.likelihood import latent_density
from ldebm_hf.likelihood.bounds import LikelihoodSettings, estimate_log_likelihood, importance_weighted_bound
from ldebm_hf.likelihood.corpus_likelihood import write_likelihood
from ldebm_hf.likelihood.latent_density import Annealing, estimate_log_prior, prepare_annealing
from ldebm_hf.likelihood.published_estimator import published_log_likelihood

CONTEXTS = {"context_size": 6, "context_hidden_size": 5, "context_turns": 3}
TEXTS = {
    "input_ids": torch.tensor([[2, 5, 6, 7, 3], [2, 8, 9, 3, 0]]),
    "context_input_ids": torch.tensor([[[2, 4, 5, 3], [2, 6, 3, 0]], [[2, 9, 3, 0], [0, 0, 0, 0]]]),
}
GRID = torch.linspace(-8, 8, 1601)[:, None]


class CurvatureOfContext(QuadraticEnergy):
    """f(z̃, t, c) = -c ‖z̃‖²/2: the context is the curvature."""

    def frozen_copy(self, level, free_energy_weight, logit_weight, context):
        tilted = CurvatureOfContext(context)
        tilted.weight = free_energy_weight
        return tilted

    def forward(self, scaled, level, context=None):
        curvature = self.curvature if context is None else context
        return -curvature * scaled.square().sum(-1, keepdim=True) / 2


@pytest.mark.parametrize("preset", ["consistent", "svebm"])
def test_every_context_has_normalisers_of_its_own(preset):
    """Energies whose curvature is the context, at all levels; both sides as without contexts."""
    prior = quadratic_prior(preset, 2, 0.0, context_size=1)
    context = torch.tensor([[0.0], [0.4], [1.5]], dtype=torch.float64)
    latents = torch.full((3, 2), 1.2, dtype=torch.float64)
    exact = []
    for curvature, z in zip(context[:, 0].tolist(), latents, strict=True):
        prior.energy = QuadraticEnergy(curvature)
        exact.append(exact_log_prior(prior, z[None]))
    exact, prior.energy = torch.cat(exact), CurvatureOfContext(None)
    assert exact.diff().abs().min() > 0.1
    estimate = estimate_log_prior(prior, latents, num_paths=600, num_annealed_samples=60, context=context,
                                  annealing=prepare_annealing(prior, 60, context=context, generator=seeded(1)),
                                  generator=seeded(2))  # fmt: skip
    error = 5 * estimate.lower_error + 0.01
    assert error.max() < 0.7
    assert ((estimate.lower - exact).abs() < error).all()
    assert ((estimate.upper - exact).abs() < error + (estimate.upper - estimate.lower).abs()).all()


def integral(model, log_prior) -> torch.Tensor:
    """log Σ p(x|z, c) p(z|c) over a grid of one-dimensional latents, exact to float32."""
    found, log_step = [], (GRID[1, 0] - GRID[0, 0]).log()
    for row in range(2):
        text = {name: value[row : row + 1].expand(len(GRID), *value.shape[1:]) for name, value in TEXTS.items()}
        context = model.posterior(**text).context
        joint = model.conditional_log_likelihood(GRID, **text) + log_prior(GRID, context)
        found.append(joint.logsumexp(0) + log_step)
    return torch.stack(found).double()


@torch.no_grad()
def test_fitted_proposals_reach_tails_that_are_heavier_than_theirs():
    """The first text's posterior has a kurtosis of 8. A fitted Gaussian alone varies by 0.5 over the seeds."""
    model = tiny_model("vae", latent_size=1, **CONTEXTS)
    settings = LikelihoodSettings(num_posterior_samples=500, num_fitting_rounds=2)
    estimates = [estimate_log_likelihood(model, settings, generator=seeded(seed), **TEXTS) for seed in range(8)]
    lower, error = (torch.stack([getattr(one, name) for one in estimates]) for name in ("lower", "lower_error"))
    assert lower.std(0).max() < 0.05 and error.max() < 0.05
    exact = integral(model, model.prior.log_prob)
    assert ((lower.mean(0) - exact).abs() < 4 * error.mean(0) / 8**0.5).all()


def standard_normal(latents, context):
    return -(latents.square().sum(-1) + math.log(2 * math.pi)) / 2


@torch.no_grad()
@pytest.mark.parametrize("preset", ["vae", "gm_vae"])
def test_texts_in_contexts_by_a_sum_over_latents(preset):
    model = tiny_model(preset, latent_size=1, **CONTEXTS)
    settings = LikelihoodSettings(num_posterior_samples=4000, num_fitting_rounds=0)
    estimate = estimate_log_likelihood(model, settings, generator=seeded(), **TEXTS)
    exact = integral(model, model.prior.log_prob)
    assert estimate.lower_error.max() < 0.1
    assert ((estimate.lower - exact).abs() < 5 * estimate.lower_error + 1e-3).all()
    other = TEXTS | {"context_input_ids": TEXTS["context_input_ids"].flip(0)}
    elsewhere = estimate_log_likelihood(model, settings, generator=seeded(), **other)
    assert (elsewhere.lower - estimate.lower).abs().min() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("preset", ["consistent", "svebm"])
def test_a_diffusion_prior_of_zero_energy_is_the_standard_normal_in_every_context(preset):
    """Its last level's variance is 0.9995; symbols are equally likely and add -log 3."""
    model = tiny_model(preset, latent_size=1, **CONTEXTS, **({} if preset == "svebm" else
                                                            {"energy_spectral_norm": False}))  # fmt: skip
    for parameter in model.prior.energy.head.parameters():
        parameter.zero_()
    settings = LikelihoodSettings(num_posterior_samples=4000, num_fitting_rounds=0, num_temperatures=2)
    estimate = estimate_log_likelihood(model, settings, generator=seeded(), **TEXTS)
    exact = integral(model, standard_normal)
    assert estimate.lower_error.max() < 0.15
    for side in (estimate.lower, estimate.upper):
        assert ((side - exact).abs() < 5 * estimate.lower_error + 0.01).all()
    with_symbols = estimate_log_likelihood(
        model, settings, class_labels=torch.tensor([0, 2]), generator=seeded(), **TEXTS
    )
    torch.testing.assert_close(with_symbols.lower, estimate.lower - math.log(3), rtol=0, atol=1e-4)


@torch.no_grad()
def test_lengths_on_the_host_and_small_pieces_change_nothing():
    model = tiny_model("vae", **CONTEXTS)
    bound = importance_weighted_bound(model, num_samples=20, generator=seeded(), **TEXTS)
    same = importance_weighted_bound(model, num_samples=20, generator=seeded(), **TEXTS, lengths=[5, 4],
                                     context_lengths=[[4, 3], [3]])  # fmt: skip
    torch.testing.assert_close(bound, same)


def test_bad_arguments():
    prior = quadratic_prior("consistent", 2, 0.0)
    with pytest.raises(ValueError, match=r"context must be None for a prior without contexts, got \(1, 6\)"):
        estimate_log_prior(prior, torch.zeros(1, 2), context=torch.zeros(1, 6))
    model = tiny_model(**CONTEXTS)
    with pytest.raises(ValueError, match=r"context must have shape \(n, 6\), got None"):
        prepare_annealing(model.prior)
    with pytest.raises(ValueError, match="context_input_ids must be given"):
        estimate_log_likelihood(model, input_ids=TEXTS["input_ids"])
    with pytest.raises(ValueError, match="published estimator needs context_size 0, got 6"):
        published_log_likelihood(tiny_model("published", **CONTEXTS), **TEXTS)
    with pytest.raises(ValueError, match="model must be without contexts"):
        write_likelihood(model, ["a b"], "unwritten.json", tokenizer=object())


def test_annealing_is_prepared_in_the_contexts(monkeypatch):
    prior, calls = quadratic_prior("consistent", 2, 0.0, context_size=1), []
    prior.energy = CurvatureOfContext(None)

    def prepare(prior, *, context=None, generator=None):
        calls.append((context, generator))
        return Annealing(1, [0.9] * prior.config.num_levels, 0.0, 0.0, 0.0)

    monkeypatch.setattr(latent_density, "prepare_annealing", prepare)
    context, generator = torch.tensor([[0.5], [1.0]], dtype=torch.float64), seeded()
    options = {"num_paths": 2, "num_annealed_samples": 1, "generator": generator}
    estimate_log_prior(prior, torch.zeros(2, 2), context=context, **options)
    assert len(calls) == 1 and calls[0][0] is context and calls[0][1] is generator
