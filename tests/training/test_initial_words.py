"""Word vectors from co-occurrence, where there is none."""

import pytest
import torch

from ldebm_hf import LDEBMConfig, LDEBMModel, build_document_tokenizer
from ldebm_hf.training.initial_words import set_words_by_cooccurrence

TOPICS = ["bread soup oven", "goal team ball"]


@pytest.mark.parametrize(("texts", "is_changed"), [(TOPICS * 30, True), (" ".join(TOPICS).split() * 30, False)])
def test_words_that_share_no_text_keep_their_random_weights(texts, is_changed):
    tokenizer = build_document_tokenizer(texts)
    torch.manual_seed(0)
    config = LDEBMConfig.from_preset(
        "consistent", modality="document", vocab_size=len(tokenizer), document_hidden_size=8, latent_size=4
    )
    model = LDEBMModel(config)
    model.decoder.set_background(torch.ones(len(tokenizer)).numpy())
    before = model.encoder.words.weight.clone()
    set_words_by_cooccurrence(model, tokenizer, texts)
    after = model.encoder.words.weight
    assert after.isfinite().all() and torch.equal(before, after) != is_changed
