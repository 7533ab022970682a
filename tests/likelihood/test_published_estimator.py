"""The published estimator against its documented formula, and bad arguments; test_latent_density shows its error."""

import math

import pytest
import torch
from known_priors import metropolis_prior
from tiny_models import seeded, tiny_model

from ldebm_hf.likelihood.published_estimator import published_log_likelihood, published_log_prior, require_published


def test_estimator_is_the_documented_formula_written_out():
    """With the same draws, in a loop over levels and samples."""
    prior = metropolis_prior(0.3, latent_size=3, energy_temperature="unit").double().eval()
    z, size = torch.randn(4, 3, generator=seeded(), dtype=torch.float64), 3
    tables, generator = prior.levels, seeded(1)
    scales = [*tables.marginal_scale.tolist(), (tables.marginal_scale[-1] * tables.step_scale[-1]).item()]
    stds = [*tables.marginal_std.tolist(), math.sqrt(1 - scales[-1] ** 2)]

    def noise():
        return torch.randn(4, 3, generator=generator, dtype=torch.float64)

    def log_normal(x, mean, std):
        return -((x - mean).square().sum() / std**2 + size * math.log(2 * math.pi * std**2)) / 2

    x = [scale * z + std * noise() for scale, std in zip(scales, stds, strict=True)]
    expected = torch.stack([log_normal(x[6][s], 0, 1) for s in range(4)])
    for t in range(6):
        a, sigma = tables.step_scale[t].item(), tables.step_std[t].item()
        u = a * x[t] + sigma * noise()
        y = tables.latent_scale[t] * x[t]

        def g(s, condition, y=y, t=t, sigma=sigma):
            offset = y[s] - tables.center_scale[t] * condition
            return -0.3 * y[s].square().sum() / 2 - offset.square().sum() / (2 * sigma**2)

        weights = torch.stack([g(s, u[s]) - log_normal(x[t][s], scales[t] * z[s], stds[t]) for s in range(4)])
        log_mean = weights.logsumexp(0) - math.log(4)
        for s in range(4):
            expected[s] += g(s, x[t + 1][s]) - log_mean - log_normal(u[s], a * x[t][s], sigma)
    torch.testing.assert_close(published_log_prior(prior, z, seeded(1)), expected)


def test_likelihood_of_a_text_is_one_reproducible_number():
    model, text = tiny_model("published"), torch.tensor([[2, 5, 6, 3]])
    values = [published_log_likelihood(model, input_ids=text, generator=seeded(seed)) for seed in (0, 0, 1)]
    assert values[0].shape == () and values[0].isfinite()
    assert torch.equal(values[0], values[1]) and not torch.equal(values[0], values[2])


def test_it_needs_the_base_levels_noise_the_diffusion_prior_and_one_example():
    with pytest.raises(ValueError, match="needs base_level_noise True, got False"):
        published_log_prior(tiny_model("consistent").prior, torch.zeros(2, 4))
    with pytest.raises(ValueError, match="needs prior 'diffusion', got 'gaussian'"):
        published_log_likelihood(tiny_model("vae"), input_ids=torch.tensor([[2, 5, 3]]))
    with pytest.raises(ValueError, match="inputs must hold one example, got 2"):
        published_log_likelihood(tiny_model("published"), input_ids=torch.tensor([[2, 5, 3], [2, 6, 3]]))


def test_a_seed_is_as_good_as_a_generator():
    prior = metropolis_prior(0.3, latent_size=3, energy_temperature="unit").double().eval()
    z = torch.randn(4, 3, generator=seeded(), dtype=torch.float64)
    assert torch.equal(published_log_prior(prior, z, 3), published_log_prior(prior, z, seeded(3)))


def test_likelihood_is_the_mean_over_five_batches_of_a_hundred_latents():
    model, text, generator = tiny_model("published"), torch.tensor([[2, 5, 6, 3]]), seeded(4)
    texts = {"input_ids": text.expand(100, -1)}
    posterior, log_weights = model.posterior(**texts), []
    with torch.no_grad():
        for _ in range(5):
            z = posterior.sample(generator)
            assert z.shape[0] == 100
            log_prior = published_log_prior(model.prior, z, generator)
            log_weights.append(model.conditional_log_likelihood(z, **texts) + log_prior - posterior.log_prob(z))
        expected = torch.cat(log_weights).logsumexp(0) - math.log(500)
    value = published_log_likelihood(model, input_ids=text, generator=seeded(4))
    torch.testing.assert_close(value, expected)
    assert not value.requires_grad


def test_it_needs_a_model_without_contexts():
    config = tiny_model("published").config
    config.context_size = 3
    with pytest.raises(ValueError, match="needs context_size 0, got 3"):
        require_published(config)
    config.context_size = 0
    require_published(config)


def test_arguments_are_checked():
    model = tiny_model("published")
    with pytest.raises(ValueError, match="generator must be a torch.Generator, an integer seed or None"):
        published_log_likelihood(model, input_ids=[[2, 5, 3]], generator="x")
    with pytest.raises(ValueError, match="input_ids: token ids"):
        published_log_likelihood(model, input_ids=[[2, 99, 3]])
