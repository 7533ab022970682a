"""The token embeddings as any model of transformers has them: found, replaced and resized."""

import pytest
import torch
from tiny_base_models import bert, pretrained_settings
from tiny_models import VOCABULARY, seeded, tiny_model
from torch import nn

from ldebm_hf import LDEBMConfig, LDEBMModel

IDS = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
CONTEXT = {"context_size": 4, "context_hidden_size": 4}


def test_input_embeddings_are_those_of_the_encoder_or_of_the_only_reader():
    model, language_model = tiny_model(), tiny_model("rnn_lm")
    assert model.get_input_embeddings() is model.encoder.embedding
    assert language_model.get_input_embeddings() is language_model.decoder.embedding
    for changed in (model, language_model):
        new = nn.Embedding(VOCABULARY, 8)
        changed.set_input_embeddings(new)
        assert changed.get_input_embeddings() is new
    assert model.encoder.embedding is not model.decoder.embedding


def test_with_a_pretrained_encoder_they_are_the_decoders_and_its_output():
    model = LDEBMModel(LDEBMConfig.from_preset("consistent", **pretrained_settings(bert()))).eval()
    assert model.get_input_embeddings() is model.decoder.embedding
    of_encoder = model.encoder.base.get_input_embeddings()
    new = nn.Embedding(*model.decoder.embedding.weight.shape)
    model.set_input_embeddings(new)
    assert model.get_input_embeddings() is new is model.decoder.embedding
    assert model.encoder.base.get_input_embeddings() is of_encoder
    hidden = torch.randn(2, new.embedding_dim, generator=seeded())
    torch.testing.assert_close(model.decoder.logits(hidden), hidden @ new.weight.T)


@pytest.mark.parametrize(("preset", "settings"), [("consistent", {}), ("vae", CONTEXT), ("rnn_lm", {})])
def test_larger_vocabulary_is_read_written_and_saved(preset, settings, tmp_path):
    model = tiny_model(preset, **settings)
    batch = {"input_ids": IDS}
    if settings:
        batch["context_input_ids"] = torch.tensor([[[2, 4, 3]]] * 2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        logits = model(**batch, generator=seeded()).logits
    assert model.resize_token_embeddings(VOCABULARY + 3) is model.get_input_embeddings()
    assert model.config.vocab_size == VOCABULARY + 3
    for name, tensor in model.state_dict().items():
        if name.endswith("embedding.weight"):
            assert tensor.shape[0] == VOCABULARY + 3 and torch.equal(tensor[:VOCABULARY], before[name])
        else:
            assert torch.equal(tensor, before[name]), name
    assert all(parameter.requires_grad for parameter in model.parameters())
    torch.testing.assert_close(model(**batch, generator=seeded()).logits[..., :VOCABULARY], logits)
    batch["input_ids"] = IDS.masked_fill(IDS == 7, VOCABULARY + 2)
    if settings:
        batch["context_input_ids"] = torch.tensor([[[2, VOCABULARY + 1, 3]]] * 2)
    model.save_pretrained(tmp_path)
    loaded = LDEBMModel.from_pretrained(tmp_path)
    assert torch.equal(loaded(**batch, generator=seeded()).loss, model(**batch, generator=seeded()).loss)
    model.train()(**batch).loss.backward()
    assert all(e.weight.grad.abs().sum() > 0 for e in model.modules() if isinstance(e, nn.Embedding))


def test_smaller_vocabulary_keeps_the_special_tokens():
    model = tiny_model()
    model.resize_token_embeddings(8)
    assert model(IDS).logits.shape[-1] == model.config.vocab_size == 8
    assert model.generate(num_samples=2, max_new_tokens=3).max() < 8
    with pytest.raises(ValueError, match="new_num_tokens must be at least 4, to keep the special tokens, got 3"):
        model.resize_token_embeddings(3)
    assert model.resize_token_embeddings(9, pad_to_multiple_of=8).num_embeddings == 16


@pytest.mark.parametrize("modality", ["document", "point"])
def test_models_without_token_embeddings_say_so(modality):
    sizes = {"vocab_size": 12, "document_hidden_size": 8, "point_hidden_size": 8, "latent_size": 4}
    model = LDEBMModel(LDEBMConfig.from_preset("vae", modality=modality, **sizes))
    for call in (model.get_input_embeddings, lambda: model.resize_token_embeddings(20)):
        with pytest.raises(NotImplementedError, match=f"a model of {modality}s has no token embeddings"):
            call()
    assert model.config.vocab_size == 12
