"""Perplexity of texts: models whose predictions are known, and the sum written out text by text."""

import logging
import math

import pytest
import torch

from ldebm_hf import LDEBMConfig, LDEBMModel, build_tokenizer
from ldebm_hf.scores.perplexity import corpus_perplexity

TEXTS = ["the cat sat on the mat", "dogs bark", "the dog", "a cat and a dog and a bird"]
OTHERS = ["the cat", "dogs sat on the cat and the mat", "bird", "", "a zebra and the cat"]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(TEXTS, max_length=6)


def language_model(tokenizer, **settings) -> LDEBMModel:
    torch.manual_seed(0)
    sizes = {"vocab_size": len(tokenizer), "embedding_size": 8, "decoder_hidden_size": 8}
    return LDEBMModel(LDEBMConfig.from_preset("rnn_lm", **sizes | settings)).eval()


def test_perplexity_of_uniform_predictions_is_the_number_of_tokens(tokenizer):
    model = language_model(tokenizer)
    torch.nn.init.zeros_(model.decoder.embedding.weight)
    scores = corpus_perplexity(model, tokenizer, OTHERS)
    num_tokens = sum(len(text.split()) + 1 for text in OTHERS)  # words and ends; none is cut at max_length=6
    assert scores.num_tokens == num_tokens
    assert scores.perplexity == pytest.approx(len(tokenizer), rel=1e-5)
    assert scores.nats_per_text == pytest.approx(num_tokens * math.log(len(tokenizer)) / len(OTHERS), rel=1e-5)


def test_likelihood_is_the_product_of_next_token_probabilities(tokenizer):
    model, total = language_model(tokenizer), 0.0
    with torch.no_grad():
        for text in OTHERS:
            ids = torch.tensor([tokenizer(text)["input_ids"]])
            hidden, _ = model.decoder(ids[:, :-1], torch.zeros(1, 0))
            log_probabilities = model.decoder.logits(hidden).log_softmax(-1)
            total += log_probabilities[0, range(ids.shape[1] - 1), ids[0, 1:]].sum().item()
    scores = corpus_perplexity(model, tokenizer, OTHERS)
    assert scores.nats_per_text == pytest.approx(-total / len(OTHERS), rel=1e-5)
    assert scores.perplexity == pytest.approx(math.exp(-total / scores.num_tokens), rel=1e-5)


def test_long_texts_are_scored_whole_and_without_a_warning(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    tokenizer = build_tokenizer(TEXTS, max_length=6)  # its own, as each warns once
    assert corpus_perplexity(language_model(tokenizer), tokenizer, OTHERS[1:2]).num_tokens == 9
    assert caplog.messages == []


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_batches_and_order_do_not_matter(tokenizer, batch_size):
    model = language_model(tokenizer)
    expected = corpus_perplexity(model, tokenizer, OTHERS)
    scores = corpus_perplexity(model, tokenizer, OTHERS[::-1], batch_size=batch_size)
    assert scores.perplexity == pytest.approx(expected.perplexity, rel=1e-5)
    assert (scores.num_tokens, scores.num_unknown) == (expected.num_tokens, expected.num_unknown)


def test_unknown_words_count_as_the_unknown_token(tokenizer):
    model = language_model(tokenizer)
    scores = corpus_perplexity(model, tokenizer, ["a zebra and an emu"])
    assert scores == corpus_perplexity(model, tokenizer, ["a <unk> and <unk> <unk>"])
    assert scores.num_unknown == 3 and scores.num_tokens == 6


def test_perplexity_of_the_training_texts_is_low(tokenizer):
    model = language_model(tokenizer, dropout=0.0).train()
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    batch = tokenizer(TEXTS, return_tensors="pt", padding=True)
    for _ in range(60):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    model.eval()
    # At best 2^(8/22) = 1.3: of 22 tokens, chance decides the first of each text (6 bits) and what follows "the" (2).
    assert corpus_perplexity(model, tokenizer, TEXTS).perplexity < 2
    assert corpus_perplexity(model, tokenizer, ["mat the on sat", "bird a"]).perplexity > len(tokenizer)


@pytest.mark.parametrize("preset", ["consistent", "vae"])
def test_model_with_a_latent_is_refused(tokenizer, preset):
    sizes = {"embedding_size": 8, "encoder_hidden_size": 8, "decoder_hidden_size": 8, "energy_hidden_size": 8}
    model = LDEBMModel(LDEBMConfig.from_preset(preset, vocab_size=len(tokenizer), **sizes)).eval()
    with pytest.raises(ValueError, match='model must be a language model, with prior="none", got '):
        corpus_perplexity(model, tokenizer, TEXTS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"texts": []}, r"texts must be a list of at least one string, got \[\]"),
        ({"texts": "one string"}, "texts must be a list of at least one string, got 'one string'"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"tokenizer": build_tokenizer(["a b"])}, r"tokenizer must be the model's, of \d+ tokens, got one of 6"),
    ],
)
def test_bad_arguments_are_named(tokenizer, arguments, message):
    given = {"tokenizer": tokenizer, "texts": TEXTS} | arguments
    with pytest.raises(ValueError, match=message):
        corpus_perplexity(language_model(tokenizer), **given)


def test_training_mode_is_refused(tokenizer):
    with pytest.raises(ValueError, match="model must be in evaluation mode"):
        corpus_perplexity(language_model(tokenizer).train(), tokenizer, TEXTS)
