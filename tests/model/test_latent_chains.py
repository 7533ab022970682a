"""Chains of latents against exact posteriors: linear-Gaussian ones, a symbol's on a grid, and codes enumerated."""

import itertools

import pytest
import torch
from tiny_models import seeded

from ldebm_hf import LDEBMConfig
from ldebm_hf.model.latent_chains import LatentChains
from ldebm_hf.model.posteriors import Posterior
from ldebm_hf.model.priors import PRIORS

NUM_CHAINS = 4000
OBSERVED = torch.tensor([1.5, -0.5, 0.8])
LOADINGS = torch.tensor([[1.0, 0.5], [-0.3, 0.8], [0.6, -0.4]])
NOISE_VARIANCE = 0.5


def linear_gaussian(latents):
    """log p(x|z) of x = A z + ε, up to a constant."""
    return -(OBSERVED - latents @ LOADINGS.T).square().sum(-1) / (2 * NOISE_VARIANCE)


def exact_posterior(prior_mean, prior_variance):
    precision = torch.diag(1 / prior_variance) + LOADINGS.T @ LOADINGS / NOISE_VARIANCE
    covariance = precision.inverse()
    return covariance @ (prior_mean / prior_variance + LOADINGS.T @ OBSERVED / NOISE_VARIANCE), covariance


class SymbolsOnly(torch.nn.Module):
    """An energy network with F ≡ 0, so that p(z) is the base measure N(0, I), and p(y=1|z) = σ(4 z̃_1)."""

    def forward(self, scaled, level):
        return torch.stack([-2 * scaled[:, 0], 2 * scaled[:, 0]], -1).log_softmax(-1)


def chains_of(prior_name, *, size=2, start=0.0, num_chains=NUM_CHAINS, seed=0, settings=None, **options):
    settings = {"vocab_size": 8, "latent_size": size, "num_symbols": 2} | (settings or {})
    config = LDEBMConfig.from_preset(prior_name, **settings)
    torch.manual_seed(0)
    prior = PRIORS[config.prior](config)
    if config.prior == "diffusion":
        prior.energy = SymbolsOnly()
    if config.prior == "mixture":
        prior.means.data = torch.tensor([[[1.0, -1.0], [-2.0, 0.5]]])
        prior.log_variances.data = torch.tensor([[[0.2, -0.4], [0.0, 0.3]]])
    gaussian = torch.full((num_chains, config.gaussian_size), start)
    code_logits = None
    if config.has_codes:
        code_logits = torch.zeros(num_chains, config.num_code_variables, config.code_categories)
    posterior = Posterior(config, gaussian, torch.full_like(gaussian, -0.5), code_logits)
    return LatentChains(prior, config, posterior, generator=seeded(seed), **options), prior


def assert_moments(samples, mean, covariance):
    """Means within 4 standard errors; covariances within 4 of a Gaussian's."""
    number = len(samples)
    errors = (covariance.diagonal() / number).sqrt()
    assert ((samples.mean(0) - mean).abs() < 4 * errors).all(), (samples.mean(0), mean)
    variances = covariance.diagonal()
    spread = ((variances[:, None] * variances + covariance.square()) / number).sqrt()
    assert ((samples.T.cov() - covariance).abs() < 4 * spread).all(), (samples.T.cov(), covariance)


@pytest.mark.parametrize(("preset", "num_rounds"), [("vae", 4), ("consistent", 60), ("single_level", 4)])
def test_linear_gaussian_posterior_from_a_wrong_start(preset, num_rounds):
    if preset == "single_level":
        chains, _ = chains_of("consistent", start=1.5, settings={"num_levels": 1, "level_sampling": "all"})
    else:
        chains, _ = chains_of(preset, start=1.5)
    for _ in range(num_rounds):
        chains.move(linear_gaussian, 10)
    assert_moments(chains.latents, *exact_posterior(torch.zeros(2), torch.ones(2)))


@pytest.mark.parametrize("symbol", [0, 1])
def test_posterior_under_one_component_of_a_mixture(symbol):
    labels = torch.full((NUM_CHAINS,), symbol)
    chains, prior = chains_of("gm_vae", class_labels=labels)
    for _ in range(4):
        chains.move(linear_gaussian, 10)
    mean, variance = prior.means.data[0, symbol], prior.log_variances.data[0, symbol].exp()
    assert_moments(chains.latents, *exact_posterior(mean, variance))


@pytest.mark.parametrize("guidance_scale", [0.0, 1.0, 3.0])
def test_symbol_of_the_diffusion_prior_against_a_grid(guidance_scale):
    """p(z) p(x|z) p(y|z̃)^γ in one dimension, integrated on a grid."""
    labels = torch.ones(NUM_CHAINS, dtype=torch.long)
    chains, prior = chains_of("consistent", size=1, class_labels=labels, guidance_scale=guidance_scale)

    def log_likelihood(latents):
        return -(latents[:, 0] + 0.7).square()

    for _ in range(60):
        chains.move(log_likelihood, 5)
    grid = torch.linspace(-6, 6, 4001, dtype=torch.float64)[:, None]
    log_symbol = SymbolsOnly()(prior.levels.latent_scale[0].double() * grid, None)[:, 1]
    log_density = -grid[:, 0].square() / 2 + log_likelihood(grid) + guidance_scale * log_symbol
    weights = log_density.softmax(0)
    mean = weights @ grid[:, 0]
    std = (weights @ (grid[:, 0] - mean).square()).sqrt()
    assert chains.latents.mean().item() == pytest.approx(mean.item(), abs=4 * std.item() / NUM_CHAINS**0.5)
    assert chains.latents.std().item() == pytest.approx(std.item(), rel=4 / (2 * NUM_CHAINS) ** 0.5)


@pytest.mark.parametrize("preset", ["di_vae", "semi_vae"])
def test_codes_follow_their_joint_posterior(preset):
    """Two variables of three categories that the likelihood couples; it does not depend on the Gaussian part."""
    settings = {"num_code_variables": 2, "num_symbols": 9}
    chains, _ = chains_of(preset, settings=settings)
    table = 1.5 * torch.randn(3, 3, generator=seeded(1))

    def log_likelihood(latents):
        first, second = latents[:, -6:].unflatten(-1, (2, 3)).unbind(1)
        return torch.einsum("nc,cd,nd->n", first, table, second)

    for _ in range(15):
        chains.move(log_likelihood, 5)
    first, second = chains.latents[:, -6:].unflatten(-1, (2, 3)).argmax(-1).unbind(1)
    expected = table.flatten().softmax(0)
    found = (3 * first + second).bincount(minlength=9) / NUM_CHAINS
    assert ((found - expected).abs() < 4 * (expected * (1 - expected) / NUM_CHAINS).sqrt() + 1e-9).all()
    if preset == "semi_vae":
        assert_moments(chains.latents[:, :2], torch.zeros(2), torch.eye(2))


def test_codes_of_a_symbol_stay():
    symbols = torch.arange(9).repeat(2)
    settings = {"num_code_variables": 2, "num_symbols": 9}
    chains, _ = chains_of("di_vae", settings=settings, num_chains=18, class_labels=symbols)
    expected = torch.tensor(list(itertools.product(range(3), repeat=2)) * 2)
    for _ in range(2):
        assert (chains.latents.unflatten(-1, (2, 3)).argmax(-1) == expected).all()
        chains.move(lambda latents: latents[:, 0] * 50, 3)


def test_no_steps_leave_latents_alone_and_seeds_repeat():
    results = []
    for seed in (0, 0, 1):
        chains, _ = chains_of("vae", num_chains=3, seed=seed)
        before = chains.latents.clone()
        chains.move(linear_gaussian, 0)
        assert torch.equal(chains.latents, before)
        chains.move(linear_gaussian, 3)
        results.append(chains.latents)
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])
