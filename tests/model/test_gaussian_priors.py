"""Oracles of the Gaussian priors: torch.distributions' divergences and densities, Bayes' rule, exact moments."""

import math

import pytest
import torch
from tiny_models import seeded
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal, kl_divergence

from ldebm_hf.model.configuration_ldebm import LDEBMConfig
from ldebm_hf.model.gaussian_priors import GaussianPrior, MixturePrior, NoLatentPrior
from ldebm_hf.model.posteriors import Posterior

SIZE, CATEGORIES, BATCH = 4, 3, 6
N = 20_000


def mixture(num_variables=1, seed=0, **settings) -> MixturePrior:
    """Components of random places and widths, in float64."""
    names = {"num_code_variables": num_variables, "num_symbols": CATEGORIES**num_variables}
    prior = MixturePrior(LDEBMConfig(prior="mixture", latent_size=SIZE, **names, **settings)).double()
    with torch.no_grad():
        prior.means.copy_(2 * torch.randn(prior.means.shape, generator=seeded(seed)))
        prior.log_variances.copy_(torch.randn(prior.means.shape, generator=seeded(seed + 1)))
    return prior


def gaussian_parts(seed=0, size=SIZE):
    return torch.randn(2, BATCH, size, dtype=torch.float64, generator=seeded(seed))


def random_posterior(prior: MixturePrior, code_logits=None) -> Posterior:
    if code_logits is None:
        code_logits = torch.randn(BATCH, *prior.means.shape[:2], dtype=torch.float64, generator=seeded(5))
    return Posterior(prior.config, *gaussian_parts(), code_logits)


def normal(mean, log_variance):
    return Independent(Normal(mean, (log_variance / 2).exp()), 1)


def divergence(prior, q) -> torch.Tensor:
    return prior.loss(q.mean, q).loss + q.negative_entropy()


# ------------------------------------------------------------------------------------------------------------ Gaussian


def test_gaussian_loss_and_entropy_make_the_divergence():
    mean, log_variance = gaussian_parts()
    q = Posterior(LDEBMConfig(prior="gaussian", latent_size=SIZE), mean, log_variance)
    expected = kl_divergence(normal(mean, log_variance), normal(torch.zeros(SIZE), torch.zeros(SIZE))).mean()
    torch.testing.assert_close(divergence(GaussianPrior(q.config), q), expected)


def test_gaussian_density_and_samples():
    prior = GaussianPrior(LDEBMConfig(prior="gaussian", latent_size=SIZE))
    latents = gaussian_parts()[0]
    expected = normal(torch.zeros(SIZE).double(), torch.zeros(SIZE).double()).log_prob(latents)
    torch.testing.assert_close(prior.log_prob(latents), expected)
    samples = prior.sample(N, generator=seeded())
    assert samples.shape == (1, N, SIZE) and torch.equal(samples, prior.sample(N, generator=seeded()))
    assert (samples[0].mean(0).abs() < 5 / N**0.5).all()
    assert ((samples[0].T.cov() - torch.eye(SIZE)).abs() < 5 * (2 / N) ** 0.5).all()


def test_without_a_latent_the_prior_loss_is_zero():
    nothing = torch.zeros(BATCH, 0)
    prior = NoLatentPrior(LDEBMConfig(prior="none"))
    assert divergence(prior, Posterior(LDEBMConfig(prior="none"), nothing, nothing)) == 0
    assert prior.sample(3).shape == (1, 3, 0) and prior.log_prob(nothing).tolist() == [0] * BATCH


# ------------------------------------------------------------------------------------------------------------- mixture


@pytest.mark.parametrize("num_variables", [1, 2])
def test_with_a_certain_component_the_divergence_is_the_gaussians_and_log_c_of_each(num_variables):
    prior = mixture(num_variables)
    chosen = torch.randint(CATEGORIES, (BATCH, num_variables), generator=seeded(7))
    q = random_posterior(prior, 1e3 * torch.nn.functional.one_hot(chosen, CATEGORIES).double())
    rows = torch.arange(num_variables)
    component = normal(prior.means[rows, chosen].flatten(1), prior.log_variances[rows, chosen].flatten(1))
    expected = kl_divergence(normal(q.mean, q.log_variance), component).mean() + num_variables * math.log(CATEGORIES)
    torch.testing.assert_close(divergence(prior, q), expected)


@pytest.mark.parametrize("num_variables", [1, 2])
def test_divergence_is_that_of_the_joint_distribution_by_enumeration(num_variables):
    """KL(q(z) q(c) ‖ p(z|c) p(c)), expectation over all joint components."""
    prior = mixture(num_variables)
    q = random_posterior(prior)
    log_q = q.code_logits.log_softmax(-1)
    expected = 0
    for code in torch.cartesian_prod(*[torch.arange(CATEGORIES)] * num_variables).reshape(-1, num_variables):
        rows = torch.arange(num_variables)
        log_weight = log_q[:, rows, code].sum(-1)
        component = normal(prior.means[rows, code].flatten(), prior.log_variances[rows, code].flatten())
        of_gaussians = kl_divergence(normal(q.mean, q.log_variance), component)
        expected = expected + log_weight.exp() * (of_gaussians + log_weight + num_variables * math.log(CATEGORIES))
    torch.testing.assert_close(divergence(prior, q), expected.mean())


@pytest.mark.parametrize("num_variables", [1, 2])
def test_mixture_density_is_torchs_slice_by_slice(num_variables):
    prior = mixture(num_variables)
    latents = gaussian_parts(3)[0]
    components = normal(prior.means, prior.log_variances)
    density = MixtureSameFamily(Categorical(logits=torch.zeros(num_variables, CATEGORIES).double()), components)
    expected = density.log_prob(latents.unflatten(-1, (num_variables, -1))).sum(-1)
    torch.testing.assert_close(prior.log_prob(latents), expected)


@pytest.mark.parametrize("num_variables", [1, 2])
def test_symbols_of_a_latent_are_bayes_rules(num_variables):
    """p(c|z) = p(c) N(z; c) / p(z), for every joint component in the order of the symbols."""
    prior = mixture(num_variables)
    latents = gaussian_parts(3)[0]
    joint = []
    for code in torch.cartesian_prod(*[torch.arange(CATEGORIES)] * num_variables).reshape(-1, num_variables):
        rows = torch.arange(num_variables)
        component = normal(prior.means[rows, code].flatten(), prior.log_variances[rows, code].flatten())
        joint.append(component.log_prob(latents) - num_variables * math.log(CATEGORIES))
    joint = torch.stack(joint, -1)
    torch.testing.assert_close(prior.symbol_logits(latents).log_softmax(-1), joint - joint.logsumexp(-1, True))
    torch.testing.assert_close(prior.log_prob(latents), joint.logsumexp(-1))


@pytest.mark.parametrize("num_variables", [1, 2])
def test_dispersion_is_not_negative_and_zero_for_equal_components(num_variables):
    probability = random_posterior(mixture(num_variables)).code_logits.softmax(-1)
    for seed in range(20):
        assert (mixture(num_variables, seed).dispersion(probability) > 0).all()
    prior = mixture(num_variables)
    certain = torch.eye(CATEGORIES, dtype=torch.float64)[:, None].expand(-1, num_variables, -1)
    torch.testing.assert_close(prior.dispersion(certain), torch.zeros(CATEGORIES, dtype=torch.float64))
    with torch.no_grad():
        for parameter in (prior.means, prior.log_variances):
            parameter.copy_(parameter[:, :1].clone().expand_as(parameter))
    torch.testing.assert_close(prior.dispersion(probability), torch.zeros(BATCH, dtype=torch.float64))


@pytest.mark.parametrize("num_variables", [1, 2])
def test_full_dispersion_weight_leaves_the_component_of_averaged_natural_parameters(num_variables):
    prior = mixture(num_variables, dispersion_weight=1.0)
    q = random_posterior(prior)
    probability = q.code_logits.softmax(-1)[..., None]
    precision = (probability / prior.log_variances.exp()).sum(2)
    shift = (probability * prior.means / prior.log_variances.exp()).sum(2)
    averaged = normal((shift / precision).flatten(1), -precision.log().flatten(1))
    gaussians = normal(q.mean, q.log_variance)
    cross_entropy = kl_divergence(gaussians, averaged) + gaussians.entropy() - SIZE / 2 * math.log(2 * math.pi)
    expected = cross_entropy.mean() + num_variables * math.log(CATEGORIES)
    torch.testing.assert_close(prior.loss(q.mean, q).loss, expected)


def test_dispersion_weight_is_linear_in_the_loss():
    plain, half, full = (mixture(dispersion_weight=weight) for weight in (0.0, 0.5, 1.0))
    losses = [prior.loss(q.mean, q).loss for prior in (plain, half, full) for q in [random_posterior(prior)]]
    torch.testing.assert_close(losses[1], (losses[0] + losses[2]) / 2)
    assert losses[2] < losses[0]


def test_samples_of_a_symbol_have_its_components_moments():
    """With two variables, symbol s = 3 c_0 + c_1 is component c_0 in the first slice and c_1 in the second."""
    for num_variables in (1, 2):
        prior = mixture(num_variables)
        for symbol in range(CATEGORIES**num_variables):
            code = [symbol] if num_variables == 1 else list(divmod(symbol, CATEGORIES))
            rows = torch.arange(num_variables)
            mean, variance = prior.means[rows, code].flatten(), prior.log_variances[rows, code].exp().flatten()
            samples = prior.sample(N, torch.full((N,), symbol), generator=seeded(symbol))[0]
            assert ((samples.mean(0) - mean).abs() < 5 * (variance / N).sqrt()).all()
            assert ((samples.var(0) / variance - 1).abs() < 5 * (2 / N) ** 0.5).all()


@pytest.mark.parametrize("num_variables", [1, 2])
def test_samples_without_a_symbol_are_uniform_over_the_components(num_variables):
    prior = mixture(num_variables)
    samples = prior.sample(N, generator=seeded())
    assert samples.shape == (1, N, SIZE)
    mean = prior.means.mean(1)
    second_moment = (prior.log_variances.exp() + prior.means.square()).mean(1)
    variance = (second_moment - mean.square()).flatten()
    assert ((samples[0].mean(0) - mean.flatten()).abs() < 5 * (variance / N).sqrt()).all()
    fourth = samples[0].square().var(0)  # of z², estimated from the samples
    assert ((samples[0].square().mean(0) - second_moment.flatten()).abs() < 5 * (fourth / N).sqrt()).all()


def test_bound_of_a_linear_gaussian_decoder_is_tight_at_the_exact_posterior():
    """x = a z + b + s ε in each dimension with one component: E_q[log p(x|z)] - KL = log p(x) if q = p(z|x)."""
    prior = mixture(seed=2)
    with torch.no_grad():
        for parameter in (prior.means, prior.log_variances):
            parameter.copy_(parameter[:, :1].clone().expand_as(parameter))
    component_mean, component_variance = prior.means[0, 0], prior.log_variances[0, 0].exp()
    scale, shift, variance = torch.tensor([0.5, -2.0, 1.0, 3.0]).double(), 0.3, 0.49
    points = gaussian_parts(9)[0]
    evidence = MultivariateNormal(
        scale * component_mean + shift, torch.diag(scale**2 * component_variance + variance)
    ).log_prob(points)

    def bound(mean, log_variance):
        q = Posterior(prior.config, mean, log_variance, torch.zeros(BATCH, 1, CATEGORIES).double())
        expected_square = (points - scale * mean - shift).square() + scale**2 * log_variance.exp()
        reconstruction = (expected_square / variance + math.log(2 * math.pi * variance)).sum(-1).mean() / 2
        return reconstruction + divergence(prior, q)

    precision = 1 / component_variance + scale**2 / variance
    mean = (component_mean / component_variance + scale * (points - shift) / variance) / precision
    log_variance = -precision.log().expand_as(mean)
    torch.testing.assert_close(bound(mean, log_variance), -evidence.mean())
    assert bound(mean + 0.1, log_variance) > -evidence.mean() + 1e-3
    assert bound(mean, log_variance + 0.1) > -evidence.mean() + 1e-3


def test_mixture_keeps_its_precision():
    prior = mixture().float().to(torch.bfloat16)
    assert prior.means.dtype == torch.float32 and prior.sample(2).dtype == torch.float32
