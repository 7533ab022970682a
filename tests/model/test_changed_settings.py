"""Checkpoints with base models that are loaded with other settings: trained further, or refused by name."""

import logging

import pytest
import torch
from tiny_base_models import TEXTS, bert, gpt2, llama, pretrained_model
from transformers import AutoModel

from ldebm_hf import LDEBMConfig, LDEBMModel

BASES = {"encoder": bert, "decoder": gpt2}


def batch_of(tokenizer):
    return tokenizer(TEXTS, return_tensors="pt", padding=True)


@torch.no_grad()
def losses(model, tokenizer) -> torch.Tensor:
    output = model.eval()(**batch_of(tokenizer), generator=0)
    return torch.stack([output.loss, output.reconstruction_loss, output.prior_loss])


def trained(model, tokenizer) -> LDEBMModel:
    torch.manual_seed(0)
    model.train()(**batch_of(tokenizer), generator=0).loss.backward()
    torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01).step()
    model.zero_grad()
    return model.eval()


@pytest.fixture(params=BASES)
def part(request) -> str:
    return request.param


def saved_model(part, folder, whole=False, **settings):
    """A trained model in a folder."""
    model, tokenizer = pretrained_model(**{part: BASES[part]()}, **{f"{part}_lora_rank": 0} | settings)
    model = trained(model, tokenizer)
    model.save_pretrained(folder, include_base_models=whole)
    tokenizer.save_pretrained(folder)
    return model, tokenizer


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("layers", [0, 1])
def test_new_adapters_change_nothing_until_they_are_trained(part, tmp_path, caplog, whole, layers):
    model, tokenizer = saved_model(part, tmp_path / "one", whole, **{f"{part}_trainable_layers": layers})
    rank, expected = f"{part}_lora_rank", losses(model, tokenizer)
    ways = [lambda: LDEBMModel.from_pretrained(tmp_path / "one", **{rank: 2}, output_loading_info=True)]
    if not (whole or layers):
        config = LDEBMConfig.from_pretrained(tmp_path / "one")
        setattr(config, rank, 2)
        ways.append(lambda: LDEBMModel.from_pretrained(tmp_path / "one", config=config, output_loading_info=True))
        ways.append(lambda: AutoModel.from_pretrained(tmp_path / "one", **{rank: 2}, output_loading_info=True))
    logger = logging.getLogger("ldebm_hf.model.pretrained_model")
    logger.addHandler(caplog.handler)
    try:
        for load in ways:
            caplog.clear()
            loaded, info = load()
            assert "newly initialized" in caplog.text and "lora_B" in caplog.text
            adapters = {name: value for name, value in loaded.named_parameters() if "lora_" in name}
            assert adapters and adapters.keys() <= set(info["missing_keys"])
            assert all(value.requires_grad for value in adapters.values())
            assert all(not value.any() for name, value in adapters.items() if "lora_B" in name)
            assert getattr(loaded.config, rank) == 2 and torch.equal(losses(loaded, tokenizer), expected)
    finally:
        logger.removeHandler(caplog.handler)
    further = trained(loaded, tokenizer)
    assert not torch.equal(losses(further, tokenizer), expected)
    further.save_pretrained(tmp_path / "two")
    again = LDEBMModel.from_pretrained(tmp_path / "two")
    assert torch.equal(losses(again, tokenizer), losses(further, tokenizer))


def test_more_layers_start_as_in_the_base_model(part, tmp_path):
    layers = f"{part}_trainable_layers"
    model, tokenizer = saved_model(part, tmp_path / "one", **{layers: 1})
    loaded, info = LDEBMModel.from_pretrained(tmp_path / "one", **{layers: 2}, output_loading_info=True)
    assert not info["missing_keys"] and torch.equal(losses(loaded, tokenizer), losses(model, tokenizer))
    before, after = (
        {name for name, value in getattr(each, part).base.named_parameters() if value.requires_grad}
        for each in (model, loaded)
    )
    assert before < after
    further = trained(loaded, tokenizer)
    further.save_pretrained(tmp_path / "two")
    again = LDEBMModel.from_pretrained(tmp_path / "two")
    assert torch.equal(losses(again, tokenizer), losses(further, tokenizer))


@pytest.mark.parametrize(
    ("saved", "given", "message"),
    [
        ({"lora_rank": 2}, {"lora_rank": 4}, "_lora_rank must be 2, the rank of the adapters in the"),
        ({"lora_rank": 2}, {"lora_rank": 0}, "_lora_rank must be 2, the rank of the adapters in the"),
        ({"trainable_layers": 1}, {"trainable_layers": 0},
         "_trainable_layers must be at least 1, of which the checkpoint has weights, got 0"),
        ({}, {"trainable_layers": 9}, "_trainable_layers must be at most"),
        ({}, {"lora_rank": -1}, "_lora_rank must be at least 0, got -1"),
    ],
    ids=str,
)  # fmt: skip
def test_what_was_trained_cannot_be_left_out(part, tmp_path, saved, given, message):
    saved_model(part, tmp_path, **{f"{part}_{name}": value for name, value in saved.items()})
    with pytest.raises(Exception, match=part + message):
        LDEBMModel.from_pretrained(tmp_path, **{f"{part}_{name}": value for name, value in given.items()})


@pytest.mark.parametrize(
    ("part", "settings", "message"),
    [
        ("decoder", {"decoder_prefix_length": 2}, "decoder_prefix_length must be 4, with which the checkpoint was"),
        ("decoder", {"decoder_conditioning": "prefix"}, "decoder_conditioning must be 'every_layer', with which"),
        ("encoder", {"encoder_pooling": "max"}, "encoder_pooling must be None, with which the checkpoint was trained"),
        ("encoder", {"encoder_normalize": True}, "encoder_normalize must be None, with which the checkpoint was"),
    ],
    ids=str,
)
def test_settings_that_the_weights_depend_on_are_refused_by_name(part, settings, message, tmp_path):
    saved_model(part, tmp_path)
    with pytest.raises(ValueError, match=message):
        LDEBMModel.from_pretrained(tmp_path, **settings)
    with pytest.raises(ValueError, match=message):
        AutoModel.from_pretrained(tmp_path, **settings)
    LDEBMConfig.from_pretrained(tmp_path, **settings)  # for a new model


def test_conditioning_with_weights_of_the_same_shape_is_refused(tmp_path):
    """Of Llama's tiny model, a prefix of two embeddings has as many numbers as one of keys and values in every layer
    of length one."""
    settings = {"decoder_prefix_length": 1, "decoder_lora_rank": 0}
    model, _ = pretrained_model(decoder=llama(), **settings)
    model.save_pretrained(tmp_path)
    changed = {"decoder_conditioning": "prefix", "decoder_prefix_length": 2}
    twin, _ = pretrained_model(decoder=llama(), **settings | changed)
    assert twin.decoder.prefix.weight.shape == model.decoder.prefix.weight.shape
    with pytest.raises(ValueError, match="decoder_prefix_length must be 1, with which"):
        LDEBMModel.from_pretrained(tmp_path, **changed)


def test_word_dropout_may_be_changed(tmp_path):
    model, tokenizer = saved_model("decoder", tmp_path / "without")
    expected = losses(model, tokenizer)
    loaded, info = LDEBMModel.from_pretrained(tmp_path / "without", decoder_word_dropout=0.5, output_loading_info=True)
    assert info["missing_keys"] == {"decoder.dropped_word"} and not loaded.decoder.dropped_word.any()
    assert torch.equal(losses(loaded, tokenizer), expected)
    loaded.save_pretrained(tmp_path / "with")
    for share in (0.2, 0.0):
        again = LDEBMModel.from_pretrained(tmp_path / "with", decoder_word_dropout=share)
        assert torch.equal(losses(again, tokenizer), expected)
