"""Models of points: units of the data, samples, and the bound of a linear-Gaussian model."""

import math

import pytest
import torch
from tiny_models import seeded
from torch import nn
from torch.distributions import MultivariateNormal

from ldebm_hf import LDEBMConfig, LDEBMModel

POINTS = torch.randn(6, 2, generator=seeded(4))


def build(preset="vae", **settings) -> LDEBMModel:
    torch.manual_seed(0)
    sizes = {"modality": "point", "latent_size": 3, "point_hidden_size": 16, "num_symbols": 4}
    return LDEBMModel(LDEBMConfig.from_preset(preset, **{**sizes, **settings})).eval()


@pytest.mark.parametrize("preset", ["vae", "gm_vae", "di_vae"])
@torch.no_grad()
def test_center_and_scale_are_a_change_of_units(preset):
    """With the same weights: transformed points have the same posterior and loss, and samples are transformed."""
    center, scale = torch.tensor([100.0, -40.0]), 7.0
    plain = build(preset)
    scaled = build(preset, point_center=center.tolist(), point_scale=scale)
    weights = {name: tensor for name, tensor in plain.state_dict().items() if name != "point_center"}
    assert scaled.load_state_dict(weights, strict=False).missing_keys == ["point_center"]
    moved = center + scale * POINTS
    loss, expected = (m(points=p, generator=seeded()).loss for m, p in [(scaled, moved), (plain, POINTS)])
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    mean, expected = scaled.encode(points=moved).posterior_mean, plain.encode(points=POINTS).posterior_mean
    torch.testing.assert_close(mean, expected, rtol=1e-4, atol=1e-5)
    for arguments in ({"num_samples": 9}, {"num_samples": 9, "do_sample": True}):
        points, expected = (m.generate(generator=seeded(), **arguments) for m in (scaled, plain))
        torch.testing.assert_close(points, center + scale * expected)
    torch.testing.assert_close(scaled.generate(points=moved), center + scale * plain.generate(points=POINTS))


def test_points_of_any_precision_are_read():
    model = build()
    expected = model.encode(points=POINTS).posterior_mean
    assert torch.equal(model.encode(points=POINTS.double()).posterior_mean, expected)
    whole = torch.tensor([[1, 2], [3, 4]])
    assert torch.equal(model.encode(points=whole).posterior_mean, model.encode(points=whole.float()).posterior_mean)


def test_far_from_the_origin_half_precision_still_tells_points_apart():
    """The centre is subtracted before rounding: 8 bits of the distance to the centre, not of the distance to 0."""
    model = build(point_center=[1024.0, 1024.0]).to(torch.bfloat16)
    q = model.encode(points=1024 + POINTS)
    expected = build().to(torch.bfloat16).encode(points=POINTS)
    torch.testing.assert_close(q.posterior_mean, expected.posterior_mean, rtol=0.02, atol=0.02)


def test_draws_have_the_noise_of_the_likelihood_and_means_have_none():
    n = 20_000
    model = build(point_std=0.5, point_scale=3.0)
    latents = torch.randn(1, 3).expand(n, -1)
    means = model.generate(latents=latents)
    assert torch.equal(means, model.generate(latents=latents)) and (means == means[0]).all()
    draws = model.generate(latents=latents, do_sample=True, generator=seeded())
    assert torch.equal(draws, model.generate(latents=latents, do_sample=True, generator=seeded()))
    assert ((draws.var(0) / 1.5**2 - 1).abs() < 5 * (2 / n) ** 0.5).all()
    assert ((draws.mean(0) - means[0]).abs() < 5 * 1.5 / n**0.5).all()


@pytest.mark.parametrize("arguments", [{"max_new_tokens": 3}, {"num_beams": 2, "top_p": 0.9}, {"latent": POINTS}])
def test_arguments_about_tokens_are_refused(arguments):
    with pytest.raises(ValueError, match=f"cannot take {', '.join(arguments)}"):
        build().generate(num_samples=2, **arguments)


def test_contradictory_requests_are_errors():
    with pytest.raises(ValueError, match="generate takes one of points, latents and class_labels/num_samples"):
        build().generate(points=POINTS, num_samples=2)
    with pytest.raises(ValueError, match=r"latents must have shape \(n, 3\) with n at least 1, got \(2, 2\)"):
        build().generate(latents=torch.zeros(2, 2))


@pytest.mark.parametrize("prior", ["gaussian", "mixture"])
@torch.no_grad()
def test_bound_of_a_linear_gaussian_model_is_tight_at_the_exact_posterior(prior):
    """
    x = W z + b + s ε and q(z|x) = p(z|x): loss = -log p(x), in the mean over the draws of z. Single draws scatter, as
    log p(x|z) - KL is not log p(x) for each z.
    """
    n, std = 40_000, 0.7
    model = build(
        prior="mixture" if prior == "mixture" else "gaussian",
        latent_size=2,
        num_symbols=2,
        point_std=std,
        point_encoder_layers=1,
        point_decoder_layers=1,
        point_hidden_size=2,
    ).double()
    decoder = model.decoder.network[0]
    decoder.weight.copy_(torch.tensor([[1.5, 0.0], [0.0, -0.5]]))  # diagonal, so that q is too
    decoder.bias.copy_(torch.tensor([0.3, 1.0]))
    weight, bias = decoder.weight.diagonal(), decoder.bias
    prior_mean, prior_variance = torch.zeros(2), torch.ones(2)
    if prior == "mixture":  # of equal components
        prior_mean, prior_variance = torch.tensor([1.0, -2.0]), torch.tensor([0.4, 2.0])
        model.prior.means.copy_(prior_mean.expand_as(model.prior.means))
        model.prior.log_variances.copy_(prior_variance.log().expand_as(model.prior.log_variances))
        nn.init.zeros_(model.encoder.heads.code.weight)
        nn.init.zeros_(model.encoder.heads.code.bias)
    precision = 1 / prior_variance + weight**2 / std**2
    network, heads = model.encoder.network[0], model.encoder.heads
    nn.init.eye_(network.weight)
    nn.init.zeros_(network.bias)
    heads.mean.weight.copy_((weight / std**2 / precision).diag())
    heads.mean.bias.copy_((prior_mean / prior_variance - weight * bias / std**2) / precision)
    nn.init.zeros_(heads.log_variance.weight)
    heads.log_variance.bias.copy_(-precision.log())

    point = torch.tensor([[0.8, -1.9]], dtype=torch.float64)
    evidence = MultivariateNormal(
        weight * prior_mean + bias, torch.diag(weight**2 * prior_variance + std**2)
    ).log_prob(point[0])
    output = model(points=point.expand(n, 2), generator=seeded())
    # The noise is in (x' - W z)²/2s²: 5 standard errors, from the model's own draws
    spread = model.decoder.log_likelihood(output.latents, point.expand(n, 2)).std().item()
    assert output.loss.item() == pytest.approx(-evidence.item(), abs=5 * spread / math.sqrt(n))
    heads.mean.bias.add_(0.3)
    assert model(points=point.expand(n, 2), generator=seeded()).loss > -evidence + 0.02
