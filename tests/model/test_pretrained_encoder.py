"""A pretrained encoder reads the text of the tokens, as its base model reads it, and trains what the settings say."""

import copy

import pytest
import torch
from tiny_base_models import (
    HIDDEN,
    TEXTS,
    base_tokenizer,
    bert,
    gpt2,
    language_model_tokenizer,
    llama,
    pretrained_model,
    pretrained_settings,
    roberta,
    sentence_bert,
    t5,
    word_tokenizer,
)
from transformers import AutoModel, T5EncoderModel, XLNetConfig, XLNetModel

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.model.pretrained_encoder import LONGEST
from ldebm_hf.model.sentence_layout import pool
from ldebm_hf.text.subword_tokenization import build_subword_tokenizer


def batch_of(tokenizer, texts=TEXTS):
    return tokenizer(list(texts), return_tensors="pt", padding=True)


@torch.no_grad()
def mean_vector(folder, text: str, max_length: int | None = None) -> torch.Tensor:
    """The mean state of one text, read by itself, as the base model's own classes do it."""
    auto = T5EncoderModel if folder == t5() else AutoModel
    options = {} if max_length is None else {"truncation": True, "max_length": max_length}
    inputs = base_tokenizer(folder)(text, return_tensors="pt", **options)
    return auto.from_pretrained(folder)(**inputs).last_hidden_state[0].mean(0)


# -------------------------------------------------------------------------------------------------- vectors and texts


@pytest.mark.parametrize("base", [bert, t5, roberta])
def test_vectors_are_those_of_the_base_model(base):
    model, _ = pretrained_model(base())
    texts = ["The food was great", "food", "I hate!"]
    expected = torch.stack([mean_vector(base(), text) for text in texts])
    torch.testing.assert_close(model.encoder.features(texts), expected, rtol=1e-5, atol=1e-5)


def test_sentence_layout_is_followed():
    """Prompt, lower case, maximum length, two poolings, dense layer and normalisation, one after the other."""
    model, _ = pretrained_model(sentence_bert())
    text = "THE food was great, the food was great"
    tokenizer = base_tokenizer(sentence_bert())
    inputs = tokenizer("review: " + text.lower(), truncation=True, max_length=12, return_tensors="pt")
    assert inputs["input_ids"].shape == (1, 12) and model.encoder.max_length == 12
    with torch.no_grad():
        states = AutoModel.from_pretrained(sentence_bert())(**inputs).last_hidden_state
        joined = torch.cat([states[:, 0], states.mean(1)], 1)
        expected = torch.nn.functional.normalize(model.encoder.pooling.dense[0](joined).tanh(), dim=-1)
    torch.testing.assert_close(model.encoder.features([text, "food"])[:1], expected, rtol=1e-5, atol=1e-5)


def test_positions_of_roberta_are_enough():
    """Of 12 positions, those up to that of padding, 1, are not a token's."""
    model, _ = pretrained_model(roberta())
    assert model.encoder.features(["food"]).isfinite().all() and model.encoder.max_length == 10
    expected = mean_vector(roberta(), "the food was great " * 9, max_length=10)
    torch.testing.assert_close(model.encoder.features(["the food was great " * 9])[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "max", "cls", "last"])
def test_pooling_of_the_settings_replaces_that_of_the_files(pooling):
    model, _ = pretrained_model(sentence_bert(), encoder_pooling=pooling, encoder_normalize=False)
    assert model.config.encoder_layout["dense"] == [] and model.encoder.pooling.num_features == HIDDEN
    inputs = base_tokenizer(sentence_bert())(["review: food"], return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(sentence_bert())(**inputs).last_hidden_state
    expected = pool(states, inputs["attention_mask"], pooling)
    torch.testing.assert_close(model.encoder.features(["Food"]), expected, rtol=1e-5, atol=1e-5)


def test_normalisation_of_the_settings():
    model, _ = pretrained_model(bert(), encoder_normalize=True)
    lengths = model.encoder.features(TEXTS).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones(len(TEXTS)))


@pytest.mark.parametrize("kind", ["words", "subwords", "gpt2", "llama"])
def test_tokens_are_read_as_the_text_they_stand_for(kind):
    model, tokenizer = pretrained_model(bert())
    if kind == "subwords":
        tokenizer = build_subword_tokenizer(TEXTS, 300)
    elif kind != "words":
        tokenizer = language_model_tokenizer({"gpt2": gpt2, "llama": llama}[kind]())
    model.set_tokenizer(tokenizer)
    batch = batch_of(tokenizer)
    texts = model.encoder.read_texts(**batch)
    assert [text.replace(" !", "!").replace(" .", ".") for text in texts] == TEXTS
    assert model.encoder.read_texts(batch["input_ids"], lengths=batch["attention_mask"].sum(1).tolist()) == texts


@pytest.mark.parametrize("base", [bert, t5, gpt2, llama])
def test_empty_texts_have_a_vector(base):
    model, tokenizer = pretrained_model(base())
    batch = batch_of(tokenizer, ["", "the food was great"])
    assert model.encoder.read_texts(**batch)[0] == ""
    together = model.encode(**batch).posterior_mean
    alone = model.encode(**batch_of(tokenizer, [""])).posterior_mean
    assert together.isfinite().all()
    torch.testing.assert_close(together[:1], alone, rtol=1e-4, atol=1e-5)
    other = model.encode(**batch_of(tokenizer, ["the food was great"])).posterior_mean
    torch.testing.assert_close(together[1:], other, rtol=1e-4, atol=1e-5)


def test_base_tokenizer_may_pad_on_the_left():
    model, tokenizer = pretrained_model(gpt2(), encoder_pooling="last")
    batch = batch_of(tokenizer, ["", "great coffee", "the food was great"])
    right = model.encode(**batch).posterior_mean
    model.encoder.base_tokenizer.padding_side = "left"
    assert model.encoder._tokenize(["", "food"])["attention_mask"].tolist()[0][-1] == 1
    alone = [model.encode(**batch_of(tokenizer, [text])).posterior_mean for text in ("", "great coffee")]
    torch.testing.assert_close(right[:2], torch.cat(alone), rtol=1e-4, atol=1e-5)


def test_base_model_that_says_no_number_of_positions_reads_what_its_tokenizer_does(tmp_path):
    for file in bert().iterdir():
        if file.name.startswith("tokenizer"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    sizes = {"d_model": 8, "d_inner": 8, "n_layer": 1, "n_head": 2}
    XLNetModel(XLNetConfig(vocab_size=len(base_tokenizer(bert())), **sizes)).save_pretrained(tmp_path)
    model, tokenizer = pretrained_model(tmp_path)
    assert model.encoder.base.config.max_position_embeddings == -1
    for length, expected in ((17, 17), (-1, LONGEST)):
        model.encoder.base_tokenizer.model_max_length = length
        assert model.encoder.max_length == expected
        assert model.encode(**batch_of(tokenizer)).posterior_mean.isfinite().all()


def test_missing_tokenizer_is_a_clear_error():
    model = LDEBMModel(LDEBMConfig(**pretrained_settings(bert())))
    with pytest.raises(ValueError, match=r"tokenizer must be set, .* call model\.set_tokenizer\(tokenizer\)"):
        model.encode(**batch_of(word_tokenizer()))


# ----------------------------------------------------------------------------------------------------------- training


def trained_names(model) -> set[str]:
    """
    The names of the base model's tensors that a step changes, without the biases of the keys, on which attention does
    not depend.
    """
    before = {name: tensor.clone() for name, tensor in model.encoder.base.state_dict().items()}
    batch = batch_of(word_tokenizer())
    model.train()(**batch, generator=0).loss.backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    after = model.encoder.base.state_dict()
    return {name for name in without_key_biases(after) if not torch.equal(after[name], before[name])}


def without_key_biases(names) -> set[str]:
    return {name for name in names if not name.endswith("key.bias")}


def test_frozen_base_model_has_no_gradient_and_no_dropout():
    model, tokenizer = pretrained_model(bert())
    assert model.encoder.base.config.hidden_dropout_prob > 0 and model.encoder.is_frozen
    vectors = model.encoder.features(TEXTS)
    assert trained_names(model) == set() and not model.encoder.base.training and model.encoder.hidden.training
    assert all(parameter.grad is None for parameter in model.encoder.base.parameters())
    assert model.encoder.hidden.weight.grad.abs().sum() > 0
    assert torch.equal(model.encoder.features(TEXTS), vectors) and not vectors.requires_grad


def test_features_that_are_given_are_used_as_if_computed():
    model, tokenizer = pretrained_model(sentence_bert())
    batch = batch_of(tokenizer)
    features = model.encoder.features(model.encoder.read_texts(**batch))
    for training in (False, True):
        outputs = []
        for given in ({}, {"encoder_features": features}):
            torch.manual_seed(0)
            twin = copy.deepcopy(model).train(training)
            output = twin(**batch, **given, generator=0)
            output.loss.backward()
            outputs.append([output.loss, output.latents, twin.encoder.hidden.weight.grad])
        assert all(torch.equal(*pair) for pair in zip(*outputs, strict=True))
    other = model(**batch, encoder_features=features.flip(0), generator=0)
    assert not torch.allclose(other.latents, model(**batch, generator=0).latents)


def test_features_may_be_lists():
    model, tokenizer = pretrained_model(bert())
    batch, features = batch_of(tokenizer), torch.randn(4, HIDDEN)
    outputs = [model(**batch, encoder_features=given, generator=0) for given in (features, features.tolist())]
    assert torch.equal(outputs[0].loss, outputs[1].loss)


def test_features_are_refused_where_they_cannot_be_used():
    model, tokenizer = pretrained_model(bert())
    batch = batch_of(tokenizer)
    with pytest.raises(ValueError, match=r"encoder_features must have shape \(4, 8\), got \(4, 5\)"):
        model(**batch, encoder_features=torch.zeros(4, 5))
    with pytest.raises(ValueError, match="encoder_features must be finite, and of a magnitude of at most 1e"):
        model(**batch, encoder_features=torch.full((4, HIDDEN), torch.nan))
    with pytest.raises(ValueError, match=r"encoder_features must have shape \(batch_size, num_features\), got \(8,\)"):
        model(**batch, encoder_features=[0.0] * HIDDEN)
    with pytest.raises(ValueError, match="encoder_features must be finite"):
        model.encode(**batch, encoder_features=torch.full((4, HIDDEN), torch.nan))
    with pytest.raises(ValueError, match="encoder_features must be numbers, got strings such as 'x'"):
        model(**batch, encoder_features=[["x"]])
    with pytest.raises(ValueError, match="texts must be a list of strings, got 'abc'"):
        model.encoder.features("abc")
    model, _ = pretrained_model(bert(), encoder_trainable_layers=1)
    with pytest.raises(ValueError, match="encoder_features cannot be given"):
        model(**batch, encoder_features=torch.zeros(4, HIDDEN))


@pytest.mark.parametrize("number", [1, 2])
def test_last_layers_are_trained(number):
    model, _ = pretrained_model(bert(), encoder_trainable_layers=number)
    names = trained_names(model)
    assert {name.split(".")[2] for name in names} == {"1", "2"} if number == 2 else {"2"}
    assert all(name.startswith("encoder.layer.") for name in names) and model.encoder.base.training
    assert len(names) == number * len(without_key_biases(model.encoder.base.encoder.layer[2].state_dict()))


def test_all_layers_are_trained_with_the_embeddings_and_without_the_pooler():
    model, _ = pretrained_model(bert(), encoder_trainable_layers=3)
    everything = without_key_biases(model.encoder.base.state_dict())
    assert trained_names(model) == {name for name in everything if not name.startswith("pooler.")}


def test_adapters_are_trained():
    model, tokenizer = pretrained_model(bert(), encoder_lora_rank=2)
    expected = mean_vector(bert(), TEXTS[0])[None]
    torch.testing.assert_close(model.encoder.features(TEXTS[:1]), expected, rtol=1e-5, atol=1e-5)  # they start at zero
    names = trained_names(model)
    assert names and all(".lora_B." in name for name in names)  # at first only the factor that is zero has a gradient
    matrices = 6 * 3  # query, key, value, output and the two of the feed-forward network, in each layer
    assert len(names) == matrices


@pytest.mark.parametrize("settings", [{"encoder_trainable_layers": 1}, {"encoder_lora_rank": 2}], ids=str)
def test_trained_parts_are_saved_and_loaded(settings, tmp_path):
    model, tokenizer = pretrained_model(sentence_bert(), **settings)
    names = trained_names(model)
    model.eval().save_pretrained(tmp_path)
    loaded = LDEBMModel.from_pretrained(tmp_path)
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), loaded.parameters(), strict=True))
    required = [parameter.requires_grad for parameter in model.parameters()]
    assert required == [parameter.requires_grad for parameter in loaded.parameters()]
    assert torch.equal(loaded.encoder.features(TEXTS), model.encoder.features(TEXTS))
    before = loaded.encoder.features(TEXTS)
    loaded.load_base_models()  # also those that were trained are as in the base model again, but for adapters
    changed = not torch.equal(loaded.encoder.features(TEXTS), before)
    assert names and changed == ("encoder_trainable_layers" in settings)


def test_new_model_starts_from_the_base_models_weights_also_where_they_are_trained():
    model, _ = pretrained_model(bert(), encoder_trainable_layers=2)
    original = AutoModel.from_pretrained(bert()).state_dict()
    assert all(torch.equal(tensor, original[name]) for name, tensor in model.encoder.base.state_dict().items())


def test_context_reaches_the_posterior():
    model, tokenizer = pretrained_model(bert(), context_size=6, context_hidden_size=4)
    batch = batch_of(tokenizer, TEXTS[:2])
    context = batch["input_ids"][:, None]
    one = model.encode(**batch, context_input_ids=context).posterior_mean
    other = model.encode(**batch, context_input_ids=context.flip(0)).posterior_mean
    assert not torch.allclose(one, other)
    model.train()(**batch, context_input_ids=context, generator=0).loss.backward()
    assert model.context_encoder.embedding.weight.grad.abs().sum() > 0


def test_posterior_depends_on_what_a_text_says():
    model, tokenizer = pretrained_model(bert())
    means = model.encode(**batch_of(tokenizer)).posterior_mean
    assert means.isfinite().all() and torch.pdist(means).min() > 1e-3
