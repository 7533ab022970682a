"""Priors without an energy in a context: losses, densities and samples against torch's distributions."""

import math

import torch
from tiny_models import seeded
from torch.distributions import Categorical, Normal, kl_divergence

from ldebm_hf import LDEBMConfig
from ldebm_hf.model.posteriors import Posterior
from ldebm_hf.model.priors import PRIORS

N = 20_000
CONTEXT = torch.tensor([[1.0, -2.0, 0.5]])


def prior_of(name: str, **settings):
    torch.manual_seed(3)
    settings = {"latent_size": 2, "num_labels": 6, "context_size": 3, **settings}
    config = LDEBMConfig(prior=name, **settings)
    prior = PRIORS[config.prior](config).double()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.normal_()
    return config, prior


def codes_of(prior) -> Categorical:
    codes = prior.codes
    return Categorical(logits=codes.of_context(CONTEXT.double()).unflatten(-1, codes.shape))


def posterior(config, size, code_shape=None) -> Posterior:
    torch.manual_seed(4)
    logits = None if code_shape is None else torch.randn(5, *code_shape).double()
    return Posterior(config, torch.randn(5, size).double(), torch.randn(5, size).double(), logits)


def test_gaussian_loss_and_entropy_make_the_divergence():
    config, prior = prior_of("gaussian")
    q, context = posterior(config, 2), CONTEXT.double().expand(5, 3)
    mean, log_variance = prior.of_context(context).chunk(2, -1)
    p = Normal(mean, (0.5 * log_variance).exp())
    expected = kl_divergence(Normal(q.mean, (0.5 * q.log_variance).exp()), p).sum(-1).mean()
    torch.testing.assert_close(prior.loss(None, q, context=context).loss + q.negative_entropy(), expected)
    torch.testing.assert_close(prior.log_prob(q.mean, context), p.log_prob(q.mean).sum(-1))


def test_gaussian_samples_have_the_contexts_moments():
    _, prior = prior_of("gaussian")
    samples = prior.sample(N, generator=seeded(), context=CONTEXT.double().expand(N, 3))[0]
    mean, log_variance = prior.of_context(CONTEXT.double())[0].chunk(2)
    deviation = (0.5 * log_variance).exp()
    assert ((samples.mean(0) - mean).abs() < 5 * deviation / N**0.5).all()
    assert ((samples.std(0) / deviation - 1).abs() < 5 / (2 * N) ** 0.5).all()


def test_code_probabilities_depend_on_the_context():
    config, prior = prior_of("discrete", num_code_variables=2, num_code_categories=3)
    q, context, p = posterior(config, 0, (2, 3)), CONTEXT.double().expand(5, 3), codes_of(prior)
    expected = kl_divergence(Categorical(logits=q.code_logits), Categorical(logits=p.logits.expand(5, 2, 3)))
    found = prior.loss(None, q, context=context).loss + q.negative_entropy()
    torch.testing.assert_close(found, expected.sum(-1).mean())
    samples = prior.sample(N, None, seeded(), CONTEXT.double().expand(N, 3))[0].unflatten(-1, (2, 3))
    assert torch.equal(samples.sum(-1), torch.ones_like(samples[..., 0]))
    spread = (p.probs * (1 - p.probs) / N).sqrt()
    assert ((samples.mean(0) - p.probs[0]).abs() < 5 * spread[0]).all()
    codes = samples.argmax(-1)[:5]
    torch.testing.assert_close(prior.log_prob(samples[:5].flatten(1), context), p.log_prob(codes).sum(-1))


def test_mixture_density_and_symbols():
    config, prior = prior_of("mixture", latent_size=1)
    with torch.no_grad():
        prior.log_variances.zero_()
    grid = torch.linspace(-12, 12, 4801).double()[:, None]
    context = CONTEXT.double().expand(len(grid), 3)
    density = prior.log_prob(grid, context).exp()
    assert math.isclose(density.sum().item() * 0.005, 1, rel_tol=1e-6)
    weights = codes_of(prior).probs[0, 0]
    components = Normal(prior.means[0, :, 0], 1.0).log_prob(grid).exp() * weights
    torch.testing.assert_close(prior.symbol_logits(grid, context).softmax(-1), components / components.sum(-1, True))
    samples = prior.sample(N, None, seeded(), CONTEXT.double().expand(N, 3))[0]
    mean = (weights * prior.means[0, :, 0]).sum()
    deviation = (1 + (weights * (prior.means[0, :, 0] - mean) ** 2).sum()).sqrt()
    assert (samples.mean() - mean).abs() < 5 * deviation / N**0.5
    q = posterior(config, 1, (1, 6))
    of_codes = kl_divergence(Categorical(logits=q.code_logits[:, 0]), Categorical(probs=weights.expand(5, 6)))
    p = Normal(prior.means[0, :, 0], 1.0)
    of_z = kl_divergence(Normal(q.mean, (0.5 * q.log_variance).exp()), p)  # (5, components)
    expected = (of_codes + (q.code_logits[:, 0].softmax(-1) * of_z).sum(-1)).mean()
    torch.testing.assert_close(prior.loss(None, q, context=CONTEXT.double().expand(5, 3)).loss + q.negative_entropy(),
                               expected)  # fmt: skip


def test_the_semi_prior_is_both():
    _, prior = prior_of("semi", num_labels=6)
    context = CONTEXT.double().expand(4, 3)
    samples = prior.sample(4, None, seeded(), context)[0]
    expected = prior.gaussian.log_prob(samples[:, :2], context) + prior.code.log_prob(samples[:, 2:], context)
    torch.testing.assert_close(prior.log_prob(samples, context), expected)
    assert torch.equal(samples[:, 2:].sum(-1), torch.ones(4).double())
