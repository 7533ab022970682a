"""The comparisons of generation compare the same work: the bare loop's tokens, and sentences that end by the clock."""

import torch
from generation import bare_loop, end_by_clock

from ldebm_hf import LDEBMConfig, LDEBMModel

SIZES = {"vocab_size": 300, "embedding_size": 32, "encoder_hidden_size": 8, "decoder_hidden_size": 32}


def test_bare_loop_writes_what_generate_writes():
    torch.manual_seed(0)
    model = end_by_clock(LDEBMModel(LDEBMConfig(**SIZES)).eval())
    latents = torch.randn(100, model.config.latent_size)
    texts, loop = model.generate(latents=latents)[:, 1:], bare_loop(model, latents)
    written = texts != model.config.pad_token_id
    assert texts.shape == loop.shape and torch.equal(texts[written], loop[written])


def test_clock_sets_the_lengths():
    torch.manual_seed(0)
    model = end_by_clock(LDEBMModel(LDEBMConfig(**SIZES)).eval())
    latents = torch.randn(100, model.config.latent_size)
    latents[:, 0] = torch.linspace(2, -2, 100)
    lengths = (model.generate(latents=latents)[:, 1:] != model.config.pad_token_id).sum(1)
    assert (lengths.diff() >= 0).all() and 1 <= lengths[0] < 6 and lengths[-1] > 35
    assert 20 <= lengths[50] <= 22
    assert model.generate(latents=latents - 100, max_new_tokens=90).shape == (100, 91)
