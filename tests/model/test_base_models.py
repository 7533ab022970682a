"""Models with a pretrained encoder, a pretrained decoder, or both: what they do, and what a checkpoint holds."""

import copy
import json
import os
import pickle

import pytest
import torch
from clean_processes import run_clean
from huggingface_hub.errors import StrictDataclassClassValidationError
from safetensors.torch import load_file
from tiny_base_models import TEXTS, bert, gpt2, llama, pretrained_model, pretrained_settings, sentence_bert, t5
from transformers import AutoModel, AutoTokenizer, BertConfig, PreTrainedModel

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.likelihood.bounds import LikelihoodSettings, estimate_log_likelihood
from ldebm_hf.model import weight_files
from ldebm_hf.model.base_models import choose_trainable, layers_of
from ldebm_hf.model.presets import PRESETS

PARTS = {
    "encoder": {"encoder": sentence_bert},
    "decoder": {"decoder": gpt2},
    "both": {"encoder": bert, "decoder": llama},
}
WEIGHTS = "model.safetensors"


def model_of(parts: str, **settings):
    return pretrained_model(**{name: folder() for name, folder in PARTS[parts].items()}, **settings)


@pytest.fixture(params=PARTS)
def parts(request) -> str:
    return request.param


@pytest.fixture
def model(parts):
    return model_of(parts)[0]


@pytest.fixture
def tokenizer(parts):
    return model_of(parts)[1]


def batch_of(tokenizer):
    return tokenizer(TEXTS, return_tensors="pt", padding=True)


@torch.no_grad()
def behaviour(model, tokenizer) -> dict[str, torch.Tensor]:
    """What a model does under one seed: loss terms, symbols, latents and texts."""
    batch = batch_of(tokenizer)
    output = model(**batch, class_labels=torch.tensor([0, -100, 2, 1]), generator=0)
    results = {name: value for name, value in output.items() if isinstance(value, torch.Tensor)}
    results["symbols"] = model.infer_symbols(**batch)
    results["texts"] = model.generate(class_labels=[0, 1], do_sample=True, max_new_tokens=8, generator=0)
    results["beams"] = model.generate(**batch, num_beams=3, max_new_tokens=8)
    return results


def assert_same_behaviour(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def trained(model, tokenizer) -> LDEBMModel:
    """One step of training, so that nothing that is trained is what the configuration alone would give."""
    torch.manual_seed(0)
    labels = {"class_labels": torch.tensor([0, 1, 2, 0])} if model.config.has_symbols else {}
    model.train()(**batch_of(tokenizer), **labels, generator=0).loss.backward()
    torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01).step()
    model.zero_grad()
    return model.eval()


# ------------------------------------------------------------------------------------------------ what a model does


def test_texts_are_classified_and_explained(model, tokenizer):
    predictions = model.classify(TEXTS, tokenizer)
    expected = model.infer_symbols(**batch_of(tokenizer))
    for prediction, probabilities in zip(predictions, expected, strict=True):
        assert prediction["label"] == model.config.id2label[probabilities.argmax().item()]
        assert prediction["score"] == pytest.approx(probabilities.max().item(), abs=1e-5)
    report = model.explain(TEXTS * 3, tokenizer, num_samples=2, generator=0)
    assert sum(symbol.num_texts for symbol in report.symbols) == 12


def test_texts_are_completed(model, tokenizer):
    masked = ["The food was <mask>!", "I hate <span>, and the waiter was very rude to me."]
    (one,), (other,) = model.complete_texts(masked, tokenizer, num_chains=2, generator=0)
    assert one.text.startswith("The food was") and one.text.replace(" ", "").endswith("!") and sum(one.is_filled) == 1
    assert other.text.startswith("I hate") and other.text.replace(" ", "").endswith("veryrudetome.")
    assert other.log_likelihood < 0 and other.symbol in model.config.label2id


def test_completion_is_the_likeliest_text_of_its_latent(model, tokenizer):
    """The completion of one missing token is the one that scoring every token finds."""
    ids, place, number = tokenizer(TEXTS[0], return_tensors="pt")["input_ids"], 3, len(tokenizer)
    masked = ids.clone()
    masked[0, place] = number
    options = {"num_chains": 1, "num_encoder_rounds": 1, "num_rounds": 1, "num_beams": number}
    found = model.complete(masked, mask_token_id=number, **options, generator=0)
    candidates = ids.repeat(number, 1)
    candidates[:, place] = torch.arange(number)
    with torch.no_grad():
        lengths = [ids.shape[1]] * number
        scores = model.conditional_log_likelihood(
            found.latents.expand(number, -1), candidates, torch.ones_like(candidates), lengths=lengths
        )
    scores[tokenizer.all_special_ids] = -torch.inf
    scores[model.config.unk_token_id] = -torch.inf
    assert found.sequences[0, place] == scores.argmax()
    torch.testing.assert_close(found.log_likelihoods[0], scores.max(), rtol=1e-4, atol=1e-3)


def test_texts_are_generated_in_all_ways(model, tokenizer):
    for options in ({"num_samples": 3}, {"class_labels": ["good", "bad"], "guidance_scale": 2.0},
                    {"class_labels": "good", "num_samples": 2, "min_label_probability": 0.4}):  # fmt: skip
        ids = model.generate(**options, generator=0, max_new_tokens=6)
        assert torch.equal(ids, model.generate(**options, generator=0, max_new_tokens=6))
        assert len(ids) in (2, 3) and (ids[:, 0] == tokenizer.bos_token_id).all()
        assert all(isinstance(text, str) for text in tokenizer.batch_decode(ids, skip_special_tokens=True))


def test_bounds_on_the_likelihood(model, tokenizer):
    settings = LikelihoodSettings(num_posterior_samples=64, num_fitting_rounds=1)
    bounds = estimate_log_likelihood(model, settings, **batch_of(tokenizer), generator=0)
    with torch.no_grad():
        latents = model.reconstruction_latents(**batch_of(tokenizer))
        typical = model.conditional_log_likelihood(latents, **batch_of(tokenizer))
    assert (bounds.lower <= bounds.upper + 0.1).all()
    assert (bounds.lower < typical + 20).all() and (bounds.lower > typical - 60).all()


def test_responses_in_a_dialogue(parts):
    model, tokenizer = model_of(parts, context_size=5, context_hidden_size=4)
    turns = ["The food was great!", "We don't like the bread."]
    responses = model.respond(turns, tokenizer, num_samples=2, num_candidates=2, generator=0, max_new_tokens=6)
    assert len(responses) == 2 and all(isinstance(text, str) for text in responses)
    by_symbol = model.respond(turns, tokenizer, one_per_symbol=True, generator=0, max_new_tokens=6)
    assert set(by_symbol) == set(model.config.label2id)



def test_loading_draws_no_weights_that_are_read_from_files_afterwards(model, tmp_path):
    model.save_pretrained(tmp_path)
    assert len(load_file(tmp_path / WEIGHTS)) < len(model.state_dict())
    state = torch.get_rng_state()
    loaded = LDEBMModel.from_pretrained(tmp_path)
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


@pytest.mark.parametrize("preset", PRESETS)
def test_every_prior(parts, preset):
    if preset == "rnn_lm" and "encoder" in PARTS[parts]:
        pytest.skip("a model without a latent has no encoder")
    if LDEBMConfig.from_preset(preset).modality != "text":
        pytest.skip("a preset of documents or points")
    names = {"id2label": {symbol: str(symbol) for symbol in range(4)}, "encoder_head_activation": True}
    settings = {"word_dropout": 0.0, "num_code_variables": 1, "num_code_categories": None}
    model, tokenizer = model_of(parts, preset=preset, **names, **settings)
    model = trained(model, tokenizer)
    output = model(**batch_of(tokenizer), generator=0)
    assert output.loss.isfinite()
    assert len(model.generate(num_samples=2, generator=0, max_new_tokens=4)) == 2


def test_gradients_in_mixed_precision(model, tokenizer):
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.train()(**batch_of(tokenizer), generator=0).loss
    loss.backward()
    assert loss.isfinite() and loss.dtype == torch.float32
    plain = model.eval()(**batch_of(tokenizer), generator=0).loss
    assert abs(loss - plain) < 0.1 * abs(plain)


# ------------------------------------------------------------------------------------------------------ checkpoints


def test_checkpoint_names_its_base_models(parts, tmp_path):
    model, tokenizer = model_of(parts)
    model = trained(model, tokenizer)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    saved = load_file(tmp_path / WEIGHTS)
    assert saved.keys() == model.state_dict().keys() - model.frozen_base_names()
    base_names = [name for name in saved if ".base." in name]
    assert all("lora_" in name for name in base_names) and bool(base_names) == ("decoder" in PARTS[parts])
    loaded, info = LDEBMModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    assert loaded._keys_to_ignore_on_save == model.frozen_base_names(), "which transformers' Trainer may miss"
    assert_same_behaviour(behaviour(loaded, tokenizer), behaviour(model, tokenizer))
    required = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert required == {name for name, parameter in loaded.named_parameters() if parameter.requires_grad}
    for component, folder in PARTS[parts].items():
        assert getattr(loaded.config, f"{component}_name_or_path") == str(folder())


def test_what_was_trained_is_saved_also_if_it_is_frozen_now(tmp_path):
    model, tokenizer = model_of("both", encoder_lora_rank=2, decoder_trainable_layers=1)
    model = trained(model, tokenizer)
    model.save_pretrained(tmp_path / "before")
    model.requires_grad_(False)
    model.save_pretrained(tmp_path / "after")
    before, after = (load_file(tmp_path / name / WEIGHTS) for name in ("before", "after"))
    assert after.keys() == before.keys() and any("lora_" in name for name in after)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_model_of_which_more_is_trained_than_its_configuration_says_is_saved_whole(tmp_path):
    model, tokenizer = model_of("both")
    model.requires_grad_(True)
    model = trained(model, tokenizer)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert not model.config.includes_base_models
    loaded = LDEBMModel.from_pretrained(tmp_path)
    assert loaded.config.includes_base_models
    assert_same_behaviour(behaviour(loaded, tokenizer), behaviour(model, tokenizer))


def unfrozen_and_trained(model, tokenizer):
    model.requires_grad_(True)
    trained(model, tokenizer)
    return model.requires_grad_(False)


def unfrozen_after_the_switch_to_training(model, tokenizer):
    model.train().requires_grad_(True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batch = batch_of(tokenizer)
    model(**batch, generator=0).loss.backward()
    optimizer.step()
    return model.requires_grad_(False).eval()


def loaded_from_other_weights(model, tokenizer):
    model.load_state_dict({name: tensor * 1.1 for name, tensor in model.state_dict().items()})
    return model


def made_of_given_weights(model, tokenizer):
    given = {name: tensor * 1.1 for name, tensor in model.state_dict().items()}
    loaded = LDEBMModel.from_pretrained(None, config=model.config, state_dict=given)
    loaded.set_tokenizer(tokenizer)
    assert all(torch.equal(tensor, given[name]) for name, tensor in loaded.state_dict().items())
    return loaded


@pytest.mark.parametrize(
    "change",
    [
        unfrozen_and_trained,
        unfrozen_after_the_switch_to_training,
        loaded_from_other_weights,
        made_of_given_weights,
    ],
    ids=lambda change: change.__name__,
)
def test_base_models_that_were_changed_are_saved_though_they_are_frozen(model, tokenizer, tmp_path, change):
    model = change(model, tokenizer)
    with pytest.raises(ValueError, match=r"include_base_models must be True .* is not that of \w+_name_or_path="):
        model.save_pretrained(tmp_path, include_base_models=False)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = LDEBMModel.from_pretrained(tmp_path)
    assert_same_behaviour(behaviour(loaded, tokenizer), behaviour(model, tokenizer))
    with pytest.raises(ValueError, match="include_base_models must be True"):
        loaded.save_pretrained(tmp_path / "again", include_base_models=False)


def test_same_weights_loaded_again_leave_the_checkpoint_small(model, tokenizer, tmp_path):
    model.load_state_dict(model.state_dict())
    model.save_pretrained(tmp_path)
    assert not LDEBMConfig.from_pretrained(tmp_path).includes_base_models


def test_self_contained_checkpoint_needs_nothing_else(parts, tmp_path):
    model, tokenizer = model_of(parts)
    model = trained(model, tokenizer)
    model.save_pretrained(tmp_path / "one", include_base_models=True)
    assert not model.config.includes_base_models
    model.config.encoder_name_or_path = model.config.decoder_name_or_path = None
    tokenizer.save_pretrained(tmp_path / "one")
    config = LDEBMConfig.from_pretrained(tmp_path / "one")
    assert config.includes_base_models
    missing = {f"{name}_name_or_path": "/no such folder" for name in PARTS[parts]}
    loaded = LDEBMModel.from_pretrained(tmp_path / "one", **missing)
    assert_same_behaviour(behaviour(loaded, tokenizer), behaviour(model, tokenizer))
    loaded.save_pretrained(tmp_path / "two")  # as it was loaded
    again = LDEBMModel.from_pretrained(tmp_path / "two")
    assert_same_behaviour(behaviour(again, tokenizer), behaviour(model, tokenizer))
    sizes = [(tmp_path / name / WEIGHTS).stat().st_size for name in ("one", "two")]
    assert sizes[0] == sizes[1]


def test_self_contained_checkpoint_can_become_one_by_name_again(model, tokenizer, tmp_path):
    model.save_pretrained(tmp_path / "one", include_base_models=True)
    tokenizer.save_pretrained(tmp_path / "one")
    loaded = LDEBMModel.from_pretrained(tmp_path / "one")
    loaded.save_pretrained(tmp_path / "two", include_base_models=False)
    tokenizer.save_pretrained(tmp_path / "two")
    assert (tmp_path / "two" / WEIGHTS).stat().st_size < (tmp_path / "one" / WEIGHTS).stat().st_size
    again = LDEBMModel.from_pretrained(tmp_path / "two")
    assert_same_behaviour(behaviour(again, tokenizer), behaviour(model, tokenizer))


@pytest.mark.parametrize("whole", [True, False])
def test_shards_are_read(model, tokenizer, tmp_path, whole):
    model.save_pretrained(tmp_path, max_shard_size="8KB", include_base_models=whole)
    tokenizer.save_pretrained(tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert_same_behaviour(behaviour(LDEBMModel.from_pretrained(tmp_path), tokenizer), behaviour(model, tokenizer))


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("device_map", [{"": "cpu"}, "auto"], ids=str)
def test_places_of_modules(model, tokenizer, tmp_path, device_map, whole):
    model.save_pretrained(tmp_path, include_base_models=whole)
    tokenizer.save_pretrained(tmp_path)
    loaded = LDEBMModel.from_pretrained(tmp_path, device_map=device_map)
    assert {parameter.device.type for parameter in loaded.parameters()} == {"cpu"}
    assert_same_behaviour(behaviour(loaded, tokenizer), behaviour(model, tokenizer))


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_the_prior_in_float32(model, tokenizer, tmp_path, dtype, whole):
    model.save_pretrained(tmp_path, include_base_models=whole)
    tokenizer.save_pretrained(tmp_path)
    loaded = LDEBMModel.from_pretrained(tmp_path, dtype=dtype)
    for name, parameter in loaded.named_parameters():
        assert parameter.dtype == (torch.float32 if name.startswith("prior.") else dtype), name
    original = dict(model.named_parameters())
    for name, parameter in loaded.named_parameters():
        assert torch.equal(parameter, original[name].to(parameter.dtype)), name
    batch = batch_of(tokenizer)
    with torch.no_grad():
        one, other = (each(**batch, generator=0).loss for each in (loaded, model))
    torch.testing.assert_close(one, other, rtol=0.1, atol=0.1)
    assert len(loaded.generate(num_samples=2, generator=0, max_new_tokens=4)) == 2


def test_missing_base_model_is_named(parts, model, tokenizer, tmp_path):
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    for component in PARTS[parts]:
        setting = f"{component}_name_or_path"
        with pytest.raises(OSError, match=f"the weights of {setting}='/no such folder', which must be .* cannot"):
            LDEBMModel.from_pretrained(tmp_path, **{setting: "/no such folder"})


def test_base_model_that_has_moved_is_found_where_a_setting_says(tmp_path):
    model, tokenizer = model_of("encoder")
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    config = LDEBMConfig.from_pretrained(tmp_path / "model")
    config.encoder_name_or_path = "/gone"
    config.save_pretrained(tmp_path / "model")
    loaded = LDEBMModel.from_pretrained(tmp_path / "model", encoder_name_or_path=str(sentence_bert()))
    assert_same_behaviour(behaviour(loaded, tokenizer), behaviour(model, tokenizer))


def test_other_base_model_of_another_size_is_refused(tmp_path):
    model, tokenizer = model_of("decoder")
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"the base model .* has no tensor .* of shape"):
        LDEBMModel.from_pretrained(tmp_path, decoder_name_or_path=str(llama()), decoder_digest=None)


def test_tokenizers_are_saved_beside_the_model(tmp_path):
    model, tokenizer = model_of("both")
    model.save_pretrained(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"tokenizer.json", "encoder_tokenizer.json", "encoder_tokenizer_config.json"} <= names
    assert AutoTokenizer.from_pretrained(tmp_path).get_vocab() == tokenizer.get_vocab()
    loaded = LDEBMModel.from_pretrained(tmp_path)
    assert loaded.encoder.tokenizer.get_vocab() == tokenizer.get_vocab()
    assert loaded.encoder.base_tokenizer.get_vocab() == model.encoder.base_tokenizer.get_vocab()
    assert loaded.encoder.max_length == model.encoder.max_length


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"pad_token": 3}, "pad_token in encoder_tokenizer_config.json must be a string, got 3"),
        ({"model_max_length": "x"}, "model_max_length in encoder_tokenizer_config.json must be an integer, got 'x'"),
        ({"model_max_length": -2}, "model_max_length in encoder_tokenizer_config.json must be at least -1, got -2"),
        ({"padding_side": "top"}, "padding_side in encoder_tokenizer_config.json must be one of left, right"),
        ({"model_input_names": "ids"}, "model_input_names in encoder_tokenizer_config.json must be a list of strings"),
        (["pad_token"], r"encoder_tokenizer_config.json must be the settings of a tokenizer by name, got \[0\]"),
        ("{,}", "encoder_tokenizer_config.json is damaged, because it is not JSON"),
    ],
    ids=str,
)
def test_damaged_settings_of_the_encoders_tokenizer_are_refused_by_name(damage, message, tmp_path, monkeypatch):
    model, _ = model_of("encoder")
    model.save_pretrained(tmp_path)
    file = tmp_path / "encoder_tokenizer_config.json"
    if isinstance(damage, dict):
        damage = json.dumps(json.loads(file.read_text()) | damage)
    elif isinstance(damage, list):
        damage = "[0]"
        monkeypatch.setattr(weight_files, "problem_of", lambda file: None)  # which says that it ends in another way
    file.write_text(damage)
    with pytest.raises((OSError, ValueError), match=message):
        LDEBMModel.from_pretrained(tmp_path)


def test_other_settings_of_the_encoders_tokenizer_are_not_read(tmp_path):
    model, tokenizer = model_of("encoder")
    model.save_pretrained(tmp_path)
    file = tmp_path / "encoder_tokenizer_config.json"
    others = {"tokenizer_file": "/elsewhere.json", "tokenizer_object": 3, "model_max_length": -1}
    file.write_text(json.dumps(json.loads(file.read_text()) | others))
    loaded = LDEBMModel.from_pretrained(tmp_path)
    assert loaded.encoder.base_tokenizer.get_vocab() == model.encoder.base_tokenizer.get_vocab()
    assert loaded.classify(["the food was great"], tokenizer)


def test_model_without_tokenizers_is_saved_and_loaded(tmp_path):
    model = LDEBMModel(LDEBMConfig(**pretrained_settings(bert())))
    model.save_pretrained(tmp_path, include_base_models=True)
    loaded = LDEBMModel.from_pretrained(tmp_path)
    assert loaded.encoder.tokenizer is None
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), loaded.parameters(), strict=True))


def test_only_trained_layers_need_a_list_of_layers():
    base = torch.nn.Sequential(torch.nn.Linear(2, 2))
    choose_trainable(base, 0, 0)
    assert not any(parameter.requires_grad for parameter in base.parameters()) and base.trained_names == frozenset()
    with pytest.raises(ValueError, match="Sequential has no list of layers"):
        choose_trainable(base, 1, 0)


class Layer(torch.nn.Linear):
    """A layer of the models below."""

    def __init__(self):
        super().__init__(2, 2)


class Lists(PreTrainedModel):
    """A model with lists of modules of these kinds, each module of `layers` with a list of `inner` modules itself."""

    config_class = BertConfig

    def __init__(self, kinds: dict[str, list[type]], inner: int = 0):
        super().__init__(BertConfig(num_hidden_layers=3))
        for name, modules in kinds.items():
            setattr(self, name, torch.nn.ModuleList([module() for module in modules]))
        for layer in self.layers:
            layer.inner = torch.nn.ModuleList([Layer() for _ in range(inner)])


@pytest.mark.parametrize(
    ("kinds", "inner", "no_split"),
    [
        ({"layers": [Layer] * 3}, 0, []),
        ({"layers": [Layer] * 2}, 0, []),  # the only one, as in ALBERT, which computes its layers several times
        ({"layers": [Layer] * 3}, 8, ["Layer"]),  # experts in each layer
        ({"layers": [Layer] * 3}, 3, []),
        ({"vision": [torch.nn.Identity] * 8, "layers": [Layer] * 3}, 0, []),
        ({"vision": [torch.nn.Identity] * 3, "layers": [Layer] * 3}, 0, ["Embeddings", "Layer"]),
        ({"vision": [Layer] * 8, "layers": [Layer] * 3, "empty": []}, 0, ["Layer"]),
    ],
    ids=str,
)
def test_layers_are_found_among_other_lists(kinds, inner, no_split, monkeypatch):
    monkeypatch.setattr(Lists, "_no_split_modules", no_split)
    model = Lists(kinds, inner)
    assert layers_of(model) is model.layers
    choose_trainable(model, 1, 0)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained and all(name.startswith(f"layers.{len(model.layers) - 1}.") for name in trained)


@pytest.mark.parametrize("lengths", [(3, 3), (5, 4)])
def test_layers_that_are_not_told_from_other_lists_are_refused_by_name(lengths):
    model = Lists({"vision": [Layer] * lengths[0], "layers": [Layer] * lengths[1]})
    with pytest.raises(ValueError, match=rf"got vision \({lengths[0]}\), layers \({lengths[1]}\), of which neither"):
        layers_of(model)


# ------------------------------------------------------------------------------- copies, and processes of their own


def test_copies_are_the_same(model, tokenizer, tmp_path):
    torch.save(model, tmp_path / "model.pt")
    copies = {
        "deepcopy": copy.deepcopy(model),
        "pickle": pickle.loads(pickle.dumps(model)),
        "torch.save": torch.load(tmp_path / "model.pt", weights_only=False),
    }
    expected = behaviour(model, tokenizer)
    for twin in copies.values():
        assert_same_behaviour(behaviour(twin, tokenizer), expected)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trained(copies["deepcopy"], tokenizer)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


ELSEWHERE = """
import sys
import torch
from transformers import AutoModel, AutoTokenizer, BertConfig, PreTrainedModel

for folder in sys.argv[1:]:
    model = AutoModel.from_pretrained(folder, trust_remote_code=True)
    assert type(model).__module__.startswith("transformers_modules.")
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    batch = tokenizer(["The food was great!", "great coffee"], return_tensors="pt", padding=True)
    with torch.no_grad():
        loss = model(**batch, generator=0).loss
        ids = model.generate(class_labels="good", num_samples=2, generator=0, max_new_tokens=8)
    torch.save([loss, ids], f"{folder}.pt")
"""
WITHOUT_PEFT = """
import sys
sys.modules["peft"] = None
"""


def test_checkpoint_works_where_the_package_is_not_installed(parts, tmp_path):
    """Also without peft, if there are no adapters; with code from the checkpoint's own folder, and without network."""
    adapters = {} if parts == "both" else {"decoder_lora_rank": 0}
    model, tokenizer = model_of(parts, **(adapters if "decoder" in PARTS[parts] else {}))
    model = trained(model, tokenizer)
    folders = {True: tmp_path / "whole", False: tmp_path / "by_name"}
    for whole, folder in folders.items():
        model.save_pretrained(folder, include_base_models=whole)
        tokenizer.save_pretrained(folder)
    script = ELSEWHERE if parts == "both" else WITHOUT_PEFT + ELSEWHERE
    run_clean(script, tmp_path, *folders.values(), package=False)
    batch = tokenizer(["The food was great!", "great coffee"], return_tensors="pt", padding=True)
    with torch.no_grad():
        expected = model(**batch, generator=0).loss
    texts = model.generate(class_labels="good", num_samples=2, generator=0, max_new_tokens=8)
    for folder in folders.values():
        loss, ids = torch.load(folder.with_suffix(".pt"))
        assert torch.equal(loss, expected) and torch.equal(ids, texts), folder


def test_auto_classes_find_the_model(model, tokenizer, tmp_path):
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path)
    assert type(loaded) is LDEBMModel
    assert_same_behaviour(behaviour(loaded, tokenizer), behaviour(model, tokenizer))


# ---------------------------------------------------------------------------------------------------- configuration


def test_configuration_holds_what_the_base_models_files_say():
    config = LDEBMConfig(**pretrained_settings(sentence_bert(), gpt2()))
    assert config.encoder_config["model_type"] == "bert" and config.encoder_config["num_hidden_layers"] == 3
    assert config.encoder_layout["pooling"] == ["cls", "mean"] and config.decoder_config["model_type"] == "gpt2"
    assert config.encoder_revision is None is config.decoder_revision
    twin = LDEBMConfig.from_dict(config.to_dict())
    assert twin.to_dict() == config.to_dict()


def test_configuration_survives_json(tmp_path):
    config = LDEBMConfig(**pretrained_settings(t5(), llama()), encoder_pooling="max", decoder_conditioning="prefix")
    config.save_pretrained(tmp_path)
    loaded = LDEBMConfig.from_pretrained(tmp_path)
    assert loaded.to_dict() == config.to_dict() and loaded.encoder_layout["pooling"] == ["max"]


def test_relative_folders_become_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(bert().parent)
    expected = str(bert().resolve())
    config = LDEBMConfig(**pretrained_settings(bert()) | {"encoder_name_or_path": bert().name})
    assert config.encoder_name_or_path == expected and os.path.isabs(expected)
    config.save_pretrained(tmp_path)
    loaded = LDEBMConfig.from_pretrained(tmp_path, encoder_name_or_path=bert().name)
    assert loaded.encoder_name_or_path == expected


def test_id_of_the_hub_stays_one_beside_a_folder_of_its_name(monkeypatch, tmp_path):
    saved = LDEBMConfig(**pretrained_settings(bert())).to_dict() | {"encoder_name_or_path": "org/encoder"}
    (tmp_path / "org" / "encoder").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert LDEBMConfig.from_dict(saved).encoder_name_or_path == "org/encoder"


def layout(**changes):
    return LDEBMConfig(**pretrained_settings(sentence_bert())).encoder_layout | changes


def dense(**changes):
    return layout(dense=[layout()["dense"][0] | changes])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: {"pooling": ["mean"]}, r"encoder_layout must be a mapping with the keys subfolder, pooling"),
        (lambda: layout(pooling=["median"]), r"encoder_layout\['pooling'\] must be a list of some of cls, last"),
        (lambda: layout(pooling=[]), r"encoder_layout\['pooling'\] must be"),
        (lambda: layout(pooling=None), r"encoder_layout\['pooling'\] must be"),
        (lambda: layout(normalize="yes"), r"encoder_layout\['normalize'\] must be True or False, got 'yes'"),
        (lambda: layout(max_length=0), r"encoder_layout\['max_length'\] must be at least 1, got 0"),
        (lambda: layout(prompt=None), r"encoder_layout\['prompt'\] must be a string, got None"),
        (lambda: layout(subfolder="../other"), r"encoder_layout\['subfolder'\] must be a path in the folder of the"),
        (lambda: layout(dense={}), r"encoder_layout\['dense'\] must be a list of layers, got {}"),
        (lambda: dense(path="/etc/"), r"encoder_layout\['dense'\]\[0\]\['path'\] must be a path in the folder of the"),
        (lambda: dense(in_features="8"), r"\['dense'\]\[0\]\['in_features'\] must be an integer, got '8'"),
        (lambda: dense(activation_function="os.system"), r"\['activation_function'\] must be one of torch.nn.modules"),
        (lambda: dense(bias=None), r"\['bias'\] must be True or False, got None"),
    ],
)
def test_layouts_that_cannot_be_are_refused(change, message):
    saved = LDEBMConfig(**pretrained_settings(sentence_bert())).to_dict()
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        LDEBMConfig.from_dict(saved | {"encoder_layout": change()})


def test_dense_layer_of_another_size_than_what_it_reads_is_refused():
    saved = LDEBMConfig(**pretrained_settings(sentence_bert())).to_dict()
    config = LDEBMConfig.from_dict(saved | {"encoder_layout": dense(in_features=5)})
    with pytest.raises(ValueError, match=r"\['dense'\]\[0\]\['in_features'\] must be 16, got 5"):
        LDEBMModel(config)


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        ("encoder", {"num_attention_heads": 0}, "encoder_config must be one that AutoModel can be built from"),
        ("encoder", {"vocab_size": -1}, "encoder_config must be one that AutoModel can be built from"),
        ("decoder", {"n_head": 0}, "decoder_config must be one that AutoModelForCausalLM can be built from"),
        ("encoder", {"model_type": "clip"}, "encoder_name_or_path must be an encoder of texts"),
    ],
)
def test_base_models_that_cannot_be_built_are_named(part, values, message):
    saved = LDEBMConfig(**pretrained_settings(bert(), gpt2())).to_dict()
    base = {"model_type": "clip"} if "model_type" in values else saved[f"{part}_config"] | values
    with pytest.raises(ValueError, match=message):
        LDEBMModel(LDEBMConfig.from_dict(saved | {f"{part}_config": base}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder": "lstm"}, "encoder"),
        ({"decoder": "transformer"}, "decoder"),
        ({"encoder": "pretrained"}, 'encoder_name_or_path must be .* with encoder="pretrained", got None'),
        ({"decoder": "pretrained"}, 'decoder_name_or_path must be .* with decoder="pretrained", got None'),
        ({"encoder": "pretrained", "encoder_name_or_path": "/no such"}, "encoder_name_or_path='/no such' is neither"),
        ({"decoder": "pretrained", "decoder_name_or_path": "/no such"}, "decoder_name_or_path='/no such' is neither"),
        ({"encoder_name_or_path": "/some"}, 'encoder_name_or_path must be used with encoder="pretrained" only'),
        ({"decoder_name_or_path": "/some"}, 'decoder_name_or_path must be used with decoder="pretrained" only'),
        ({"encoder_revision": "v1"}, 'encoder_revision must be used with encoder="pretrained" only'),
        ({"encoder_trainable_layers": 1}, 'encoder_trainable_layers must be used with encoder="pretrained" only'),
        ({"encoder_normalize": True}, 'encoder_normalize must be used with encoder="pretrained" only'),
        ({"encoder_pooling": "mean"}, 'encoder_pooling must be used with encoder="pretrained" only'),
        ({"encoder_lora_rank": 4}, 'encoder_lora_rank must be used with encoder="pretrained" only'),
        ({"decoder_trainable_layers": 1}, 'decoder_trainable_layers must be used with decoder="pretrained" only'),
        ({"encoder_lora_rank": -1}, "encoder_lora_rank must be at least 0, got -1"),
        ({"encoder_trainable_layers": -1}, "encoder_trainable_layers must be at least 0, got -1"),
        ({"decoder_lora_rank": -1}, "decoder_lora_rank must be at least 0, got -1"),
        ({"decoder_trainable_layers": -1}, "decoder_trainable_layers must be at least 0, got -1"),
        ({"decoder_prefix_length": 0}, "decoder_prefix_length must be at least 1, got 0"),
        ({"decoder_conditioning": "suffix"}, "decoder_conditioning"),
        ({"encoder_pooling": "median"}, "encoder_pooling"),
        ({"decoder_word_dropout": 1.0}, r"decoder_word_dropout must be in \[0, 1\), got 1.0"),
    ],
    ids=str,
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(Exception, match=message):
        LDEBMConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"modality": "document"}, "for a model of documents"),
        ({"modality": "point"}, "for a model of points"),
        ({"word_dropout": 0.1}, "word_dropout must be 0 with a pretrained encoder"),
        ({"encoder_trainable_layers": 4}, "encoder_trainable_layers must be at most 3"),
    ],
    ids=str,
)
def test_settings_that_do_not_go_with_a_pretrained_encoder(settings, message):
    with pytest.raises(Exception, match=message):
        LDEBMConfig(**pretrained_settings(bert()) | settings)


def test_model_without_a_latent_has_no_pretrained_encoder():
    with pytest.raises(Exception, match='encoder must be "recurrent" for a model without a latent'):
        LDEBMConfig.from_preset("rnn_lm", **pretrained_settings(bert()))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"modality": "document"}, "for a model of documents"),
        ({"speaker_markers": "all", "context_size": 4}, 'speaker_markers must be "none" with a pretrained decoder'),
        ({"eos_token_id": None}, "eos_token_id must be a token, with a pretrained decoder"),
        ({"decoder_trainable_layers": 3}, "decoder_trainable_layers must be at most 2"),
    ],
    ids=str,
)
def test_settings_that_do_not_go_with_a_pretrained_decoder(settings, message):
    with pytest.raises(Exception, match=message):
        LDEBMConfig(**pretrained_settings(decoder=gpt2()) | settings)
