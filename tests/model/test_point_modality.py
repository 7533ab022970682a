"""Encoder and decoder of points: perceptrons, noise in training, and the likelihood against torch.distributions."""

import math

import pytest
import torch
from tiny_models import seeded
from torch import nn
from torch.distributions import Independent, Normal

from ldebm_hf.model.configuration_ldebm import LDEBMConfig
from ldebm_hf.model.point_modality import PointDecoder, PointEncoder, perceptron

N = 20_000


def point_encoder(**settings) -> PointEncoder:
    torch.manual_seed(0)
    sizes = {"latent_size": 3, "point_hidden_size": 8}
    return PointEncoder(LDEBMConfig(modality="point", prior="gaussian", **sizes, **settings))


@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_perceptron_has_rectifiers_between_its_linear_maps(num_layers):
    network = perceptron(2, 8, 3, num_layers)
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    points = torch.randn(5, 2)
    hidden = layers[0](points)
    for layer in layers[1:]:
        hidden = layer(hidden.clamp(min=0))
    assert len(layers) == num_layers and torch.equal(network(points), hidden) and hidden.shape == (5, 3)


def test_posterior_of_points():
    encoder, points = point_encoder(point_encoder_layers=3), torch.randn(5, 2)
    q = encoder(points)
    features = encoder.network(points)
    assert torch.equal(q.mean, encoder.heads.mean(features)) and q.mean.shape == (5, 3)
    assert torch.equal(q.log_variance, encoder.heads.log_variance(features)) and q.code_logits is None
    assert sum(isinstance(layer, nn.Linear) for layer in encoder.network) == 3


def test_points_are_read_with_noise_in_training_only(monkeypatch):
    n = 20_000
    encoder, points = point_encoder(point_noise=0.5), torch.zeros(n, 2)
    read = []
    encoder.network.register_forward_hook(lambda module, inputs, output: read.append(inputs[0]))
    encoder.train()(points), encoder.eval()(points), point_encoder().train()(points)
    assert len(read) == 2 and torch.equal(read[1], points)
    assert ((read[0].var(0) / 0.25 - 1).abs() < 5 * math.sqrt(2 / n)).all()
    assert (read[0].mean(0).abs() < 5 * 0.5 / math.sqrt(n)).all()


def point_decoder(prior="gaussian", **settings) -> PointDecoder:
    torch.manual_seed(0)
    sizes = {"latent_size": 3, "point_hidden_size": 8, "num_symbols": 4, **settings}
    return PointDecoder(LDEBMConfig(modality="point", prior=prior, **sizes)).double()


def batch(size=2):
    return torch.randn(6, 3, dtype=torch.float64), 2 * torch.randn(6, size, dtype=torch.float64)


@pytest.mark.parametrize("std", [1.0, 0.2])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_likelihood_of_points_is_the_normal_distributions(std, size):
    decoder = point_decoder(point_std=std, point_size=size)
    latents, points = batch(size)
    expected = Independent(Normal(decoder(latents), std), 1).log_prob(points)
    torch.testing.assert_close(decoder.log_likelihood(latents, points), expected)


def test_with_unit_deviation_the_likelihood_of_a_plane_is_the_mean_squared_error():
    """As published: the squared error averaged over the two coordinates is -log p(x|z) without log 2π."""
    decoder = point_decoder()
    latents, points = batch()
    squared_error = (points - decoder(latents)).square().mean(-1)
    torch.testing.assert_close(decoder.log_likelihood(latents, points), -squared_error - math.log(2 * math.pi))


@torch.no_grad()
def test_samples_of_points_scatter_around_the_mean():
    decoder = point_decoder(point_std=0.3)
    latents = torch.randn(1, 3, dtype=torch.float64)
    samples = decoder.sample(latents.expand(N, 3), seeded())
    assert ((samples.mean(0) - decoder(latents)[0]).abs() < 5 * 0.3 / N**0.5).all()
    assert ((samples.var(0) / 0.09 - 1).abs() < 5 * (2 / N) ** 0.5).all()


@pytest.mark.parametrize(("prior", "size"), [("gaussian", 3), ("mixture", 3), ("discrete", 4), ("semi", 7)])
def test_decoder_reads_the_whole_latent_vector(prior, size):
    decoder = point_decoder(prior, point_decoder_layers=3)
    linear = [layer for layer in decoder.network if isinstance(layer, torch.nn.Linear)]
    assert [layer.in_features for layer in linear] == [size, 8, 8] and linear[-1].out_features == 2


def test_half_precision_returns_float32():
    decoder = point_decoder().to(torch.bfloat16)
    latents = torch.randn(6, 3)
    assert decoder(latents).dtype == decoder.sample(latents).dtype == torch.float32
