"""`classify`: names of symbols for raw texts."""

import pytest
import torch
from tiny_models import TINY_SIZES, tiny_model

from ldebm_hf import LDEBMConfig, LDEBMModel, build_document_tokenizer, build_tokenizer

TEXTS = ["oil prices rise", "the team wins the match", "prices"]


def document_model():
    tokenizer = build_document_tokenizer(TEXTS)
    torch.manual_seed(0)
    sizes = TINY_SIZES | {"vocab_size": len(tokenizer), "modality": "document", "document_hidden_size": 16}
    return LDEBMModel(LDEBMConfig(**sizes)).eval(), tokenizer


def test_names_and_probabilities_are_those_of_infer_symbols():
    text_tokenizer = build_tokenizer(TEXTS)
    for model, tokenizer in (document_model(), (tiny_model(vocab_size=len(text_tokenizer)), text_tokenizer)):
        probabilities = model.infer_symbols(**tokenizer(TEXTS, padding=True, return_tensors="pt"))
        found = model.classify(TEXTS, tokenizer, batch_size=2)
        for row, result in zip(probabilities, found, strict=True):
            assert result["label"] == model.config.id2label[row.argmax().item()]
            assert result["score"] == pytest.approx(row.max().item(), rel=1e-5)
        every = model.classify(TEXTS, tokenizer, top_k=None)
        assert [len(of_text) for of_text in every] == [3, 3, 3]
        assert all(sum(s["score"] for s in of_text) == pytest.approx(1, rel=1e-5) for of_text in every)
        assert [of_text[0]["label"] for of_text in every] == [result["label"] for result in found]
        assert [len(of_text) for of_text in model.classify(TEXTS, tokenizer, top_k=2)] == [2, 2, 2]


def test_one_text_an_empty_one_and_none():
    model, tokenizer = document_model()
    assert model.classify("oil prices", tokenizer) == model.classify(["oil prices"], tokenizer)
    assert len(model.classify(["", "unheard of"], tokenizer)) == 2
    assert model.classify([], tokenizer) == []


def test_what_is_refused():
    model, tokenizer = document_model()
    for arguments, message in (
        ({"top_k": 4}, "top_k must be from 1 to the number of symbols, 3, got 4"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"texts": ["a b"] * 100 + [1]}, r"texts\[100\] must be a string, got 1"),
    ):
        with pytest.raises(ValueError, match=message):
            model.classify(**{"texts": TEXTS, "tokenizer": tokenizer, **arguments})
    with pytest.raises(ValueError, match="evaluation mode"):
        model.train().classify(TEXTS, tokenizer)
    with pytest.raises(ValueError, match="has no symbols"):
        tiny_model("vae").classify(TEXTS, tokenizer)


def test_the_tokenizer_of_the_checkpoint_is_the_default(tmp_path):
    model, tokenizer = document_model()
    with pytest.raises(ValueError, match="tokenizer must be given for a model that was not loaded"):
        model.classify(TEXTS)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert LDEBMModel.from_pretrained(tmp_path).classify(TEXTS) == model.classify(TEXTS, tokenizer)
