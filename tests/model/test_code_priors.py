"""Oracles of discrete latents: divergences by enumeration, DI-VAE's identity, and codes in a latent vector."""

import math

import pytest
import torch
from tiny_models import seeded
from torch.distributions import Categorical, Independent, Normal, kl_divergence

from ldebm_hf.model.code_priors import CodePrior, SemiPrior
from ldebm_hf.model.codes import joint_logits, one_hot_codes
from ldebm_hf.model.configuration_ldebm import LDEBMConfig
from ldebm_hf.model.objective import mutual_information
from ldebm_hf.model.posteriors import Posterior

CATEGORIES, SIZE, BATCH = 3, 4, 6
N = 20_000


def build(kind, num_variables, **settings):
    name = {CodePrior: "discrete", SemiPrior: "semi"}[kind]
    symbols = {"num_code_variables": num_variables, "num_symbols": CATEGORIES**num_variables}
    return kind(LDEBMConfig(prior=name, latent_size=SIZE, **symbols, **settings)).double()


def random_posterior(prior, num_variables) -> Posterior:
    config = prior.config if isinstance(prior, CodePrior) else prior.code.config
    gaussian = torch.randn(2, BATCH, config.gaussian_size, dtype=torch.float64, generator=seeded())
    logits = torch.randn(BATCH, num_variables, CATEGORIES, dtype=torch.float64, generator=seeded(1))
    return Posterior(config, *gaussian, logits)


def divergence(prior, q):
    return prior.loss(q.expectation, q).loss + q.negative_entropy()


@pytest.mark.parametrize("num_variables", [1, 2])
@pytest.mark.parametrize("kind", [CodePrior, SemiPrior])
def test_divergence_by_enumeration_of_the_joint_codes(kind, num_variables):
    prior = build(kind, num_variables)
    q = random_posterior(prior, num_variables)
    log_q = joint_logits(q.code_logits)
    expected = (log_q.exp() * (log_q + math.log(CATEGORIES**num_variables))).sum(-1)
    if kind is SemiPrior:
        gaussian = Independent(Normal(q.mean, (q.log_variance / 2).exp()), 1)
        standard = Independent(Normal(torch.zeros(SIZE), torch.ones(SIZE)), 1)
        expected = expected + kl_divergence(gaussian, standard)
    torch.testing.assert_close(divergence(prior, q), expected.mean())


@pytest.mark.parametrize("num_variables", [1, 2])
def test_divergence_minus_information_is_that_of_the_aggregate_posterior(num_variables):
    """DI-VAE: E_x KL(q(c|x) ‖ p(c)) - I(x; c) = KL(E_x q(c|x) ‖ p(c)), for each variable of the code."""
    prior = build(CodePrior, num_variables)
    q = random_posterior(prior, num_variables)
    aggregate = Categorical(probs=q.code_logits.softmax(-1).mean(0))
    uniform = Categorical(logits=torch.zeros(num_variables, CATEGORIES, dtype=torch.float64))
    left = divergence(prior, q) - mutual_information(q.code_logits)
    torch.testing.assert_close(left, kl_divergence(aggregate, uniform).sum())


@pytest.mark.parametrize("num_variables", [1, 2])
@pytest.mark.parametrize("kind", [CodePrior, SemiPrior])
def test_samples_are_uniform_or_of_the_requested_symbol(kind, num_variables):
    prior = build(kind, num_variables)
    num_symbols, code_size = CATEGORIES**num_variables, num_variables * CATEGORIES
    samples = prior.sample(N, generator=seeded())
    gaussian_size = SIZE if kind is SemiPrior else 0
    assert samples.shape == (1, N, gaussian_size + code_size)
    shares = prior.symbol_logits(samples[0]).argmax(-1).bincount(minlength=num_symbols) / N
    assert ((shares - 1 / num_symbols).abs() < 5 * (1 / num_symbols / N) ** 0.5).all()
    symbols = torch.arange(num_symbols)
    requested = prior.sample(num_symbols, symbols, generator=seeded())[0]
    expected = one_hot_codes(symbols, num_variables, CATEGORIES).flatten(1).double()
    assert torch.equal(requested[:, gaussian_size:], expected)
    assert torch.equal(prior.symbol_logits(requested).argmax(-1), symbols)
    if kind is SemiPrior:
        gaussian = samples[0, :, :SIZE]
        assert (gaussian.mean(0).abs() < 5 / N**0.5).all()
        assert ((gaussian.var(0) - 1).abs() < 5 * (2 / N) ** 0.5).all()


@pytest.mark.parametrize("num_variables", [1, 2])
def test_density_of_a_code(num_variables):
    prior = build(CodePrior, num_variables)
    symbols = torch.arange(CATEGORIES**num_variables)
    log_density = prior.log_prob(prior.sample(len(symbols), symbols)[0])
    torch.testing.assert_close(log_density.exp().sum(), torch.tensor(1.0, dtype=torch.float64), rtol=1e-6, atol=0)
    semi = build(SemiPrior, num_variables)
    latents = semi.sample(len(symbols), symbols, generator=seeded())[0]
    gaussian = Normal(0.0, 1.0).log_prob(latents[:, :SIZE]).sum(-1)
    torch.testing.assert_close(semi.log_prob(latents), gaussian + log_density)


@pytest.mark.parametrize("num_variables", [1, 2])
def test_symbols_of_probabilities_are_their_products(num_variables):
    prior = build(CodePrior, num_variables)
    q = random_posterior(prior, num_variables)
    torch.testing.assert_close(prior.symbol_logits(q.expectation), joint_logits(q.code_logits))
    assert prior.symbol_logits(q.mode).isfinite().all()
    assert torch.equal(prior.symbol_logits(q.mode).argmax(-1), q.symbol_logits().argmax(-1))
