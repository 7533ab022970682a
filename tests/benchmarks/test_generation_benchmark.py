"""The comparisons of generation compare the same work: the bare loop's tokens, and sentences that end by the clock."""

import pytest
import torch
from generation import bare_loop, compare_rejection, end_by_clock, reject_in_rounds
from tiny_models import seeded, tiny_model

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.model.rejection import generate_accepted

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


def test_both_ways_of_rejection_write_texts_that_are_read_as_asked_for(monkeypatch):
    model, symbols = tiny_model(), torch.tensor([0, 1] * 10)

    def infer_symbols(token_ids: torch.Tensor, lengths: list[int]) -> torch.Tensor:
        first = (token_ids[:, 1] % 2).float()
        return torch.stack([first, 1 - first, torch.zeros_like(first)], 1)

    monkeypatch.setattr(model, "infer_symbols", infer_symbols)
    texts, num_drawn = reject_in_rounds(model, 0.5, symbols, seeded())
    assert [int(text[1] % 2) for text in texts] == (1 - symbols).tolist() and num_drawn > 20
    accepted = generate_accepted(model, 0.5, symbols, generator=seeded())
    assert (accepted.token_ids[:, 1] % 2).tolist() == (1 - symbols).tolist()


def test_where_nothing_is_rejected_both_ways_write_the_same():
    model, symbols = tiny_model(), torch.tensor([0, 1] * 10)
    accepted = generate_accepted(model, 0.0, symbols, generator=seeded())
    plain, num_drawn = reject_in_rounds(model, 0.0, symbols, seeded())
    assert num_drawn == accepted.num_drawn == 20
    for text, other in zip(plain, accepted.token_ids, strict=True):
        assert torch.equal(text, other[: len(text)])


def test_ways_of_rejection_are_compared_by_candidates_too():
    row = compare_rejection(tiny_model(), num_texts=4, least=0.0, num_requests=2, rounds=1)
    assert row.note == "4.0 and 4.0 candidates" and row.ratio > 0
    assert row.baseline_seconds == pytest.approx(row.our_seconds * row.ratio)
