"""The distilled sampler: exact proposals, exact corrections, a fit to quadratic energies, and what it refuses."""

import json
import logging
import math

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from known_priors import LabelledQuadraticEnergy, exact_variance, guided_conditional
from tiny_models import LATENT, seeded, tiny_model

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.model.diffusion_prior import DiffusionPrior
from ldebm_hf.model.distilled_sampler import (
    DiagonalMixture,
    LevelProposal,
    choose_by_metropolis,
    draw_level,
    effective_sample_size,
    log_importance_weights,
)
from ldebm_hf.model.energy import EnergyMLP, EnergyNetwork
from ldebm_hf.model.tilted_chains import TiltedGaussian

N = 4000
LEVELS = 6
SETTINGS = {"hidden_size": 4, "num_components": 2, "guidance_scale": None}
QUICK = {"num_steps": 3, "num_chains": 30, "generator": 0}


def quadratic_energy() -> LabelledQuadraticEnergy:
    """Three symbols, at different places and of different widths."""
    centers = torch.tensor([[1.0] * LATENT, [-1.0] * LATENT, [0.0] * LATENT])
    return LabelledQuadraticEnergy(1.0, torch.tensor([4.0, 8.0, 1.0]), centers)


def quadratic_model(**settings) -> LDEBMModel:
    model = tiny_model(**settings)
    model.prior.energy = quadratic_energy()
    return model


def level_of(prior: DiffusionPrior, level: int, label: int, guidance_scale: float, num_rows: int):
    """The density of a level for one z_{t+1}, its exact mean and variance, and these in units of its Gaussian."""
    z_next = torch.linspace(-0.5, 1.0, LATENT)
    levels, labels = torch.full((num_rows,), level), torch.full((num_rows,), label)
    mean, variance = prior.level_gaussian(z_next.expand(num_rows, -1), levels)
    target = TiltedGaussian(mean, variance, prior.level_energy(levels, labels, guidance_scale))
    exact_mean, exact_variance = guided_conditional(prior, z_next, level, label, guidance_scale)
    scale = variance[0, 0].sqrt()
    return target, exact_mean, exact_variance, (exact_mean - mean[0]) / scale, exact_variance / scale.square()


def gaussian(mean: torch.Tensor, variance: torch.Tensor, num_rows: int) -> DiagonalMixture:
    """A mixture of one component, the same for each row."""
    means = mean.expand(num_rows, 1, LATENT)
    log_stds = (0.5 * torch.as_tensor(variance).log()).expand(num_rows, 1, LATENT)
    return DiagonalMixture(torch.zeros(num_rows, 1), means, log_stds)


def deviations(samples: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor) -> tuple[float, float]:
    """Largest deviations of means and of variances over dimensions, in their standard errors."""
    of_means = (samples.mean(0) - mean).abs() / (variance / len(samples)) ** 0.5
    of_variances = (samples.var(0) / variance - 1).abs() / (2 / len(samples)) ** 0.5
    return of_means.max().item(), of_variances.max().item()


def test_mixture_is_that_of_torch():
    torch.manual_seed(0)
    mixture = DiagonalMixture(torch.randn(3, 2).log_softmax(-1), torch.randn(3, 2, 5), torch.randn(3, 2, 5) / 3)
    components = torch.distributions.Normal(mixture.means, mixture.log_stds.exp())
    expected = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=mixture.log_weights), torch.distributions.Independent(components, 1)
    )
    draws = mixture.sample(N, seeded())
    assert draws.shape == (N, 3, 5)
    torch.testing.assert_close(mixture.log_prob(draws), expected.log_prob(draws))
    for row in range(3):  # to 5 standard errors
        error = (expected.variance[row] / N) ** 0.5
        assert ((draws[:, row].mean(0) - expected.mean[row]).abs() / error).max() < 5


@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
@pytest.mark.parametrize("level", [0, 2, 5])
def test_exact_proposals_have_equal_weights_which_are_the_normaliser(level, guidance_scale):
    """log w is ∫ exp(E) N(u; 0, I) for every draw: all are accepted, and worth their number."""
    prior = quadratic_model().prior
    target, _, _, mean, variance = level_of(prior, level, 1, guidance_scale, num_rows=7)
    proposal = gaussian(mean, variance, 7)
    draws = proposal.sample(5, seeded())
    log_weights = log_importance_weights(target, proposal, draws)
    at_origin = target.energy.value(target.mean)[0]  # u = 0, where N(u; 0, I) exp E = Z N(0; mean, variance)
    log_normalizer = at_origin + (0.5 * variance.log() + mean.square() / (2 * variance)).expand(LATENT).sum()
    torch.testing.assert_close(log_weights, log_normalizer.expand(5, 7), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(effective_sample_size(log_weights.T), torch.full((7,), 5.0))
    diagnostics = []
    draw_level(target, proposal, 5, seeded(), diagnostics)
    assert diagnostics[0].acceptance_rate.mean() > 0.99, "but for rounding"


@pytest.mark.parametrize("level", [0, 5])
def test_wrong_proposals_are_corrected(level):
    """With 60 draws, to 5 standard errors; without the correction, off by more than 20."""
    prior = quadratic_model().prior
    target, exact_mean, exact_variance, mean, variance = level_of(prior, level, 0, 2.0, num_rows=N)
    proposal = gaussian(mean + 0.5 * variance**0.5, 2 * variance, N)
    samples = draw_level(target, proposal, 60, seeded())
    assert max(deviations(samples, exact_mean, exact_variance)) < 5
    uncorrected = draw_level(target, proposal, 1, seeded())
    assert max(deviations(uncorrected, exact_mean, exact_variance)) > 20


def test_metropolis_steps_choose_by_the_weights():
    """Draws from three values alike, with weights 1, 2 and 5: the last states have frequencies in that proportion."""
    weights = torch.tensor([1.0, 2.0, 5.0])
    values = torch.randint(3, (50, N), generator=seeded())
    chosen, middle, acceptance_rate = choose_by_metropolis(weights.log()[values], seeded(1))
    shares = weights / weights.sum()
    for index in (chosen, middle):
        frequencies = torch.bincount(values.gather(0, index[None])[0], minlength=3) / N
        assert ((frequencies - shares).abs() / (shares * (1 - shares) / N) ** 0.5).max() < 4
    # The mean over pairs of a state, with its share, and a draw, of which there are as many of each value.
    expected = sum(shares[a] / 3 * min(1.0, (weights[b] / weights[a]).item()) for a in range(3) for b in range(3))
    assert acceptance_rate.mean() == pytest.approx(expected.item(), abs=0.01)
    only = choose_by_metropolis(torch.zeros(1, 4), seeded())
    assert only[0].eq(0).all() and only[2].isnan().all()


@pytest.mark.parametrize("groups", [None, [0, 1, 2, 0]])
@pytest.mark.parametrize("network", [EnergyNetwork, EnergyMLP])
@pytest.mark.parametrize("compiles", [False, True])
def test_value_of_the_energy_is_that_beside_its_gradient(network, groups, compiles):
    sizes = {"latent_size": LATENT, "num_symbols": 3, "symbol_groups": groups}
    energy = network(**sizes, **({"num_levels": 2} if network is EnergyNetwork else {})).eval()
    level, logit_weight = torch.tensor([0, 1, 1, 0, 1]), torch.randn(5, 3, generator=seeded())
    frozen = energy.frozen_copy(level, torch.full((5, 1), 0.7), logit_weight)
    if compiles:  # torch.compile plans its own buffers
        frozen.buffers = None
    states = torch.randn(5, LATENT, generator=seeded())
    torch.testing.assert_close(frozen.value(states), frozen.value_and_gradient(states)[0])


def test_a_new_network_is_near_the_gaussian_and_unlike_in_its_components():
    proposal = LevelProposal(LATENT, 3, 16, 8)
    proposal.start_from_gaussian(seeded())
    mixture = proposal(torch.randn(2, LATENT), torch.tensor([-1, 2]))
    assert mixture.log_weights.exp().allclose(torch.tensor(1 / 8)) and (mixture.log_stds == 0).all()
    assert 0.2 < mixture.means[0].std() < 1 and mixture.means[0].std(0).min() > 0.05
    torch.testing.assert_close(mixture.means[0], mixture.means[1])


def test_symbols_are_read_by_their_ids():
    proposal = LevelProposal(LATENT, 3, 16, 8)
    z_next = torch.randn(1, LATENT).expand(4, -1)
    means = proposal(z_next, torch.tensor([-1, 0, 1, 0])).means
    torch.testing.assert_close(means[:1], proposal(z_next[:1]).means)
    torch.testing.assert_close(means[1], means[3])
    assert not means[0].allclose(means[1]) and not means[1].allclose(means[2])


@pytest.fixture(scope="module")
def fitted() -> LDEBMModel:
    model = quadratic_model()
    model.distil_sampler(num_steps=300, num_chains=3000, num_components=2, guidance_scale=2.0, generator=0)
    return model


def test_fit_to_quadratic_energies_draws_from_the_exact_prior(fitted):
    """To 5 standard errors with the correction; nearly all draws count, since the density is within reach."""
    output = fitted.sample_latents(N, sampler="distilled", generator=1, return_diagnostics=True)
    variance = torch.tensor(exact_variance(fitted.prior)).expand(LATENT)
    assert max(deviations(output.latents, torch.zeros(LATENT), variance)) < 5
    assert (output.diagnostics.effective_sample_size.mean(-1) > 3.6).all(), "of 4"
    assert (output.diagnostics.acceptance_rate.mean(-1) > 0.8).all()
    assert output.diagnostics.settled(LATENT).all()


def test_fit_to_quadratic_energies_draws_for_symbols(fitted):
    """The last level does not depend on z_T, so that its states are Gaussian: to 5 standard errors."""
    for label in range(3):
        options = {"guidance_scale": 2.0, "sampler": "distilled", "num_proposals": 16, "generator": 2}
        states = fitted.sample_latents(N, class_labels=label, **options, return_trajectory=True).trajectory[1]
        mean, variance = guided_conditional(fitted.prior, torch.zeros(LATENT), LEVELS - 1, label, 2.0)
        assert max(deviations(states, mean, variance)) < 5
    unsteered = fitted.sample_latents(5, sampler="distilled", generator=3)
    ignored = fitted.sample_latents(5, class_labels=0, guidance_scale=0, sampler="distilled", generator=3)
    assert torch.equal(unsteered, ignored)


@pytest.mark.parametrize("preset", ["consistent", "published"])
def test_saved_with_the_checkpoint(tmp_path, preset):
    model = tiny_model(preset)
    before = model.sample_latents(4, generator=1)
    model.save_pretrained(tmp_path / "old")
    assert json.loads((tmp_path / "old" / "config.json").read_text())["distilled_sampler"] is None
    fit = model.distil_sampler(**QUICK)
    assert fit.free.acceptance_rate.shape[0] == LEVELS == fit.steered.acceptance_rate.shape[0]
    model.save_pretrained(tmp_path / "new")
    loaded = LDEBMModel.from_pretrained(tmp_path / "new")
    for arguments in ({"num_samples": 4}, {"class_labels": [0, 2, 1]}, {"num_samples": 4, "num_proposals": 1}):
        options = {"sampler": "distilled", "generator": 2, **arguments}
        assert torch.equal(model.sample_latents(**options), loaded.sample_latents(**options))
    assert not any(parameter.requires_grad for parameter in loaded.prior.distilled_sampler.parameters())
    assert torch.equal(loaded.sample_latents(4, generator=1), before), "Langevin chains are as they were"
    again = tiny_model(preset)
    again.distil_sampler(**QUICK)
    for name, tensor in again.prior.distilled_sampler.state_dict().items():
        assert torch.equal(tensor, model.prior.distilled_sampler.state_dict()[name]), "a seed decides the fit"


def test_texts_are_written_with_it():
    model = tiny_model()
    model.distil_sampler(**QUICK)
    options = {"num_samples": 3, "sampler": "distilled", "num_proposals": 2, "generator": 0, "max_new_tokens": 4}
    assert torch.equal(model.generate(**options), model.generate(**options))
    latents = model.sample_latents(3, sampler="distilled", num_proposals=2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model.generate(**options), model.generate(latents=latents, max_new_tokens=4))


def test_symbols_of_the_first_level_alone_steer_that_level_alone():
    model = tiny_model("published")
    model.distil_sampler(**QUICK)
    options = {"sampler": "distilled", "generator": 0, "return_trajectory": True}
    free = model.sample_latents(3, **options).trajectory
    steered = model.sample_latents(3, class_labels=1, **options).trajectory
    assert torch.equal(free[:-1], steered[:-1]) and not torch.equal(free[-1], steered[-1])


def test_training_leaves_it_and_merging_symbols_removes_it(tmp_path):
    model = tiny_model()
    model.distil_sampler(**QUICK)
    model.train()
    model(torch.tensor([[2, 4, 5, 3]] * 4)).loss.backward()
    assert all(parameter.grad is None for parameter in model.prior.distilled_sampler.parameters())
    model.eval().merge_symbols([[0, 2]])
    assert model.prior.distilled_sampler is None and model.config.distilled_sampler is None
    model.save_pretrained(tmp_path)
    assert LDEBMModel.from_pretrained(tmp_path).prior.distilled_sampler is None


def test_without_a_correction_the_energy_is_not_evaluated():
    model = tiny_model()
    model.distil_sampler(**QUICK)
    corrected = model.sample_latents(3, sampler="distilled", return_diagnostics=True).diagnostics
    assert corrected.effective_sample_size.shape == (LEVELS, 3) and corrected.effective_sample_size.max() <= 4.001
    alone = model.sample_latents(3, sampler="distilled", num_proposals=1, return_diagnostics=True).diagnostics
    assert alone.acceptance_rate.isnan().all() and (alone.effective_sample_size == 1).all()
    for number in (1, 3):
        options = {"num_samples": 3, "sampler": "distilled", "num_proposals": number, "generator": 0}
        plain = model.sample_latents(**options)
        assert torch.equal(model.sample_latents(**options, return_diagnostics=True).latents, plain)
    chains = model.sample_latents(3, return_diagnostics=True).diagnostics
    assert chains.effective_sample_size.isnan().all()
    model.prior.level_energy = None
    assert model.sample_latents(3, sampler="distilled", num_proposals=1).shape == (3, LATENT)


def test_a_sampler_far_from_the_model_is_warned_about(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    monkeypatch.setattr(logging.getLogger("ldebm_hf"), "propagate", True)
    model = quadratic_model()
    model.distil_sampler(num_steps=50, num_chains=500, generator=0)
    assert caplog.text == ""
    with torch.no_grad():  # as if the model had been trained on
        model.prior.energy.curvature, model.prior.energy.centers = 400.0, model.prior.energy.centers + 9
    model.sample_latents(200, sampler="distilled", generator=0)
    assert "Draws of the distilled sampler are far from the prior at level 0 (effective sample size 1.0" in caplog.text
    assert caplog.text.count("Distil again") == 1


def distilled_tiny_model() -> LDEBMModel:
    model = tiny_model()
    model.distil_sampler(**QUICK)
    return model


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (tiny_model, {"sampler": "distilled"}, 'sampler="distilled" needs a distilled sampler, which this model does'),
        (tiny_model, {"sampler": "fast"}, "sampler must be one of langevin, distilled, got 'fast'"),
        (tiny_model, {"num_proposals": 2}, 'num_proposals must be given with sampler="distilled", got 2 without it'),
        (
            distilled_tiny_model,
            {"sampler": "distilled", "num_langevin_steps": 3},
            'num_langevin_steps must be None with sampler="distilled", which takes num_proposals, got 3',
        ),
        (
            distilled_tiny_model,
            {"sampler": "distilled", "class_labels": 0, "guidance_scale": 2},
            'guidance_scale must be 4 or 0 with sampler="distilled", which was distilled with it, got 2',
        ),
        (tiny_model, {"sampler": "distilled", "num_proposals": 0}, "num_proposals must be at least 1, got 0"),
        (
            lambda: tiny_model(prior="gaussian", num_labels=3, normalize_posterior=False),
            {"sampler": "distilled"},
            "prior='gaussian' takes no sampler, got sampler=distilled",
        ),
    ],
)
def test_samples_that_cannot_be_had_are_errors(make, arguments, message):
    with pytest.raises(ValueError) as error:
        make().sample_latents(**{"num_samples": 2} | arguments)
    assert str(error.value).startswith(message)


def test_models_that_cannot_be_distilled_are_errors():
    with pytest.raises(ValueError, match="is for models with an energy-based prior, got prior='gaussian'"):
        tiny_model(prior="gaussian").distil_sampler()
    with pytest.raises(ValueError, match="is for models without contexts, got context_size=8"):
        tiny_model(context_size=8, context_hidden_size=4).distil_sampler()
    with pytest.raises(ValueError, match="num_chains must be at least 2, got 1"):
        tiny_model().distil_sampler(num_chains=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 4}, "distilled_sampler must be a mapping with the keys hidden_size"),
        ({**SETTINGS, "hidden_size": 0}, r"distilled_sampler\['hidden_size'\] must be at least 1, got 0"),
        ({**SETTINGS, "guidance_scale": "4"}, r"distilled_sampler\['guidance_scale'\] must be a number, got '4'"),
    ],
)
def test_settings_that_no_sampler_has_are_errors(settings, message):
    with pytest.raises(StrictDataclassError, match=message):
        LDEBMConfig(distilled_sampler=settings)


def test_models_that_cannot_have_one_are_errors():
    with pytest.raises(StrictDataclassError, match="distilled_sampler must be None for a model with contexts"):
        LDEBMConfig(distilled_sampler=SETTINGS, context_size=8)
    with pytest.raises(StrictDataclassError, match='distilled_sampler must be used with prior="diffusion" only'):
        LDEBMConfig(distilled_sampler=SETTINGS, prior="gaussian")


def test_default_guidance_scale_may_be_that_of_the_levels():
    """`label_guidance=None` means 1/τ_t, which the distilled sampler then has, too."""
    model = tiny_model("published")
    model.distil_sampler(**QUICK)
    assert model.config.distilled_sampler["guidance_scale"] is None is model.config.label_guidance
    assert model.sample_latents(class_labels=[0, 1], sampler="distilled").isfinite().all()
    with pytest.raises(ValueError, match=r"guidance_scale must be None, that is 1/τ_t, or 0"):
        model.sample_latents(class_labels=0, guidance_scale=math.pi, sampler="distilled")
