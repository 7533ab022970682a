"""Generators of points against torch.distributions, and the recurrent one without a latent."""

import math

import pytest
import torch
from tiny_models import TINY_SIZES, seeded
from torch.distributions import Independent, Normal

from ldebm_hf.model.configuration_ldebm import LDEBMConfig
from ldebm_hf.model.decoders import PointDecoder, TextDecoder, build_decoder

N = 20_000


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


def test_text_decoder_without_a_latent_is_a_plain_recurrent_network():
    torch.manual_seed(0)
    decoder = build_decoder(LDEBMConfig(prior="none", **TINY_SIZES)).eval()
    assert type(decoder) is TextDecoder and decoder.initial_state is None
    assert decoder.rnn.input_size == TINY_SIZES["embedding_size"]
    ids = torch.tensor([[2, 5, 6, 7], [2, 9, 4, 4]])
    hidden, state = decoder(ids, torch.zeros(2, 0))
    expected, final = torch.nn.GRU.forward(decoder.rnn, decoder.embedding(ids))
    torch.testing.assert_close(hidden, expected)
    torch.testing.assert_close(state, final[0])
    packed = decoder.forward_packed(ids, torch.zeros(2, 0), [4, 2])
    unpacked, _ = torch.nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
    torch.testing.assert_close(unpacked[0], expected[0])
    torch.testing.assert_close(unpacked[1, :2], expected[1, :2])
