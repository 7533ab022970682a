"""Encoder and decoder of texts: word dropout, and models without a latent."""

import pytest
import torch
from tiny_models import TINY_SIZES, seeded
from torch import nn

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.model.text_modality import NoEncoder, TextDecoder, TextEncoder, TextModality

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
    monkeypatch.setattr(encoder.rnn, "read", lambda embedding, input_ids, lengths: read.append(input_ids) or
                        (None, torch.zeros(2, len(ids), 8)))  # fmt: skip
    encoder(ids)
    return read[0]


@pytest.mark.parametrize("ends", [3, [3, 7], None])
def test_word_dropout_replaces_the_given_fraction_of_words_and_no_marks(ends):
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


def test_word_dropout_in_training_only(monkeypatch):
    encoder, ids = text_encoder(), texts(100)
    assert 1 not in words_read(encoder.eval(), ids, monkeypatch)
    assert 1 in words_read(encoder.train(), ids, monkeypatch)
    assert 1 not in words_read(text_encoder(word_dropout=0.0).train(), ids, monkeypatch)


def test_the_text_to_reconstruct_has_no_word_dropout():
    """Word dropout is applied to the encoder's input only: a decoder that ignores z has the loss of the whole text."""
    torch.manual_seed(0)
    settings = {**TINY_SIZES, "word_dropout": 0.9, "dropout": 0.0}
    model = LDEBMModel(LDEBMConfig.from_preset("ae", **settings)).train()
    nn.init.zeros_(model.decoder.initial_state.weight)
    nn.init.zeros_(model.decoder.rnn.weight_ih_l0[:, -model.config.latent_size :])
    ids = texts(20)
    torch.testing.assert_close(model(ids).reconstruction_loss, model.eval()(ids).reconstruction_loss)


def test_without_a_latent_the_encoder_reads_nothing():
    encoder = TextModality.build_encoder(LDEBMConfig(prior="none", **TINY_SIZES))
    q = encoder(texts(4))
    assert type(encoder) is NoEncoder
    assert q.sample().shape == q.mode.shape == (4, 0) and q.negative_entropy() == 0


def test_text_decoder_without_a_latent_is_a_plain_recurrent_network():
    torch.manual_seed(0)
    decoder = TextModality.build_decoder(LDEBMConfig(prior="none", **TINY_SIZES)).eval()
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
