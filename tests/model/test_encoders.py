"""What encoders read: words that are left out in training, points with noise, and nothing."""

import math

import pytest
import torch
from tiny_models import TINY_SIZES, seeded
from torch import nn

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.model.encoders import NoEncoder, PointEncoder, TextEncoder, build_encoder, perceptron

SHARE = 0.3


def text_encoder(**settings) -> TextEncoder:
    torch.manual_seed(0)
    return TextEncoder(LDEBMConfig(**{**TINY_SIZES, "word_dropout": SHARE, **settings}))


def texts(num_texts=2000, length=12):
    """Begin mark, words, end mark, and padding in every second row."""
    ids = torch.randint(4, 12, (num_texts, length), generator=seeded())
    ids[:, 0], ids[:, -1] = 2, 3
    ids[::2, -3:] = torch.tensor([3, 0, 0])
    return ids


def words_read(encoder, ids, monkeypatch):
    read = []
    monkeypatch.setattr(encoder.rnn, "read", lambda embedding, tokens: read.append(tokens.data) or
                        (None, torch.zeros(2, len(ids), 8)))  # fmt: skip
    encoder(ids)
    return read[0]


@pytest.mark.parametrize("ends", [3, [3, 7], None])
def test_the_share_of_words_asked_for_is_unknown_and_marks_are_not(ends):
    encoder, ids = text_encoder(eos_token_id=ends).train(), texts()
    torch.manual_seed(1)
    dropped = encoder._drop_words(ids)
    ends = ends if isinstance(ends, list) else [ends]
    marks = torch.isin(ids, torch.tensor([token for token in (0, 2, *ends) if token is not None]))
    changed = dropped != ids
    assert not (changed & marks).any() and (dropped[changed] == 1).all()
    num_words = (~marks).sum()
    assert abs(changed.sum() / num_words - SHARE) < 5 * (SHARE * (1 - SHARE) / num_words).sqrt()
    again = encoder._drop_words(ids)
    assert not torch.equal(again, dropped)  # other words every time


def test_words_are_left_out_in_training_only(monkeypatch):
    encoder, ids = text_encoder(), texts(100)
    assert 1 not in words_read(encoder.eval(), ids, monkeypatch)
    assert 1 in words_read(encoder.train(), ids, monkeypatch)
    assert 1 not in words_read(text_encoder(word_dropout=0.0).train(), ids, monkeypatch)


def test_the_text_to_reconstruct_is_whole():
    """Word dropout is of the encoder's input: with a deaf decoder the loss is that of the whole text."""
    torch.manual_seed(0)
    settings = {**TINY_SIZES, "word_dropout": 0.9, "dropout": 0.0}
    model = LDEBMModel(LDEBMConfig.from_preset("ae", **settings)).train()
    nn.init.zeros_(model.decoder.initial_state.weight)
    nn.init.zeros_(model.decoder.rnn.weight_ih_l0[:, -model.config.latent_size :])
    ids = texts(20)
    torch.testing.assert_close(model(ids).reconstruction_loss, model.eval()(ids).reconstruction_loss)


# -------------------------------------------------------------------------------------------------------------- points


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


def test_configuration_chooses_the_encoder():
    kinds = {("text", "diffusion"): TextEncoder, ("point", "mixture"): PointEncoder, ("text", "none"): NoEncoder}
    for (modality, prior), kind in kinds.items():
        assert type(build_encoder(LDEBMConfig(modality=modality, prior=prior, **TINY_SIZES))) is kind
    q = build_encoder(LDEBMConfig(prior="none", **TINY_SIZES))(texts(4))
    assert q.sample().shape == q.mode.shape == (4, 0) and q.negative_entropy() == 0
