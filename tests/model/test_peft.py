"""Adapters of the package peft around models, as their users add, train, save, load and merge them."""

from importlib.metadata import version

import pytest
import torch
from packaging.version import Version
from peft import LoraConfig, PeftModel, get_peft_model
from tiny_base_models import TEXTS, bert, gpt2, pretrained_model
from tiny_models import tiny_model
from torch import nn
from transformers.integrations.peft import MIN_PEFT_VERSION

from ldebm_hf import LDEBMForSequenceClassification, LDEBMModel

IDS = torch.tensor([[2, 4, 5, 6, 3], [2, 7, 8, 9, 3], [2, 10, 11, 4, 3], [2, 5, 7, 9, 3]])

needs_own_methods_for_adapters = pytest.mark.skipif(
    Version(version("peft")) < Version(MIN_PEFT_VERSION),
    reason=f"transformers' own methods for adapters want peft {MIN_PEFT_VERSION}",
)


def adapters(target_modules, **settings) -> LoraConfig:
    """Adapters that change the model from the start."""
    return LoraConfig(r=2, target_modules=target_modules, init_lora_weights=False, **settings)


def trained(wrapped: nn.Module, **inputs) -> set[str]:
    """The names of the tensors that two steps of training change."""
    before = {name: tensor.clone() for name, tensor in wrapped.state_dict().items()}
    optimizer = torch.optim.SGD([one for one in wrapped.parameters() if one.requires_grad], 1e-3)
    wrapped.train()
    for _ in range(2):
        wrapped(**inputs).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    wrapped.eval()
    return {name for name, tensor in wrapped.state_dict().items() if not torch.equal(tensor, before[name])}


@torch.no_grad()
def loss_of(model: nn.Module, **inputs) -> torch.Tensor:
    return model.eval()(generator=0, **inputs).loss


def assert_nothing_is_lost(new_model, config: LoraConfig, folder) -> set[str]:
    """Saved, loaded and merged adapters compute the same. Returns the names of all tensors that training changed."""
    torch.manual_seed(0)
    wrapped = get_peft_model(new_model(), config)
    changed = trained(wrapped, input_ids=IDS)
    assert changed
    wrapped.save_pretrained(folder / "adapters")
    loaded = PeftModel.from_pretrained(new_model(), folder / "adapters")
    tensors = loaded.state_dict()
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in wrapped.state_dict().items())
    expected = loss_of(wrapped, input_ids=IDS)
    assert not torch.isclose(expected, loss_of(new_model(), input_ids=IDS), rtol=1e-5)
    merged = loaded.merge_and_unload()
    torch.testing.assert_close(loss_of(merged, input_ids=IDS), expected)
    merged.save_pretrained(folder / "merged")
    assert torch.equal(
        loss_of(LDEBMModel.from_pretrained(folder / "merged"), input_ids=IDS), loss_of(merged, input_ids=IDS)
    )
    return changed


@pytest.mark.parametrize("task_type", [None, "SEQ_2_SEQ_LM", "FEATURE_EXTRACTION", "SEQ_CLS", "CAUSAL_LM"])
def test_any_task_type_trains_and_saves_all_that_training_changed(task_type, tmp_path):
    def new_model():
        return tiny_model(normalize_posterior=True)

    config = adapters(["heads.mean", "heads.log_variance"], task_type=task_type)
    changed = assert_nothing_is_lost(new_model, config, tmp_path)
    assert all("lora_" in name for name in changed), "what is frozen, statistics and spectral norms too, stays"


@pytest.mark.parametrize(
    "modules",
    [["heads"], ["heads.normalization"], ["encoder"], ["encoder.rnn"], ["decoder.embedding"], ["prior"]],
    ids=" ".join,
)
def test_modules_to_save_are_trained_and_saved(modules, tmp_path):
    def new_model():
        return tiny_model(normalize_posterior=True)

    target = "initial_state" if modules[0] in ("heads", "encoder") else "log_variance"
    changed = assert_nothing_is_lost(new_model, adapters([target], modules_to_save=modules), tmp_path)
    names = {name for name in changed if "modules_to_save" in name}
    assert bool(names) == (modules != ["heads.normalization"]), "statistics belong to the map before them"
    if modules in (["heads"], ["encoder"]):
        assert any(name.endswith("running_mean") for name in names)
    if modules == ["prior"]:
        assert any(name.endswith("._u") for name in names)


@pytest.mark.parametrize("preset", ["consistent", "published", "svebm", "gm_vae", "di_vae"])
def test_all_linear_adapts_all_but_the_energy(preset, tmp_path):
    changed = assert_nothing_is_lost(lambda: tiny_model(preset), adapters("all-linear"), tmp_path)
    assert changed and not any("energy" in name for name in changed)
    if "energy" in dict(tiny_model(preset).prior.named_children()):
        with pytest.raises(ValueError, match=r"(?s)Target module \w*Linear\(.*\) is not supported"):
            get_peft_model(tiny_model(preset), adapters(["energy.head"]))


@pytest.mark.parametrize("target", ["decoder.embedding", "encoder.embedding"])
def test_adapted_embedding_is_the_tied_output_too(target, tmp_path):
    assert_nothing_is_lost(tiny_model, adapters([target]), tmp_path)


def test_what_is_frozen_stays_in_training_mode():
    model = tiny_model(normalize_posterior=True)
    model.encoder.requires_grad_(False)
    model.prior.requires_grad_(False)
    changed = trained(model, input_ids=IDS)
    assert changed and all(name.startswith("decoder.") for name in changed)


def test_classifier_with_adapters(tmp_path):
    torch.manual_seed(0)
    tiny_model().save_pretrained(tmp_path / "model")
    classifier = LDEBMForSequenceClassification.from_pretrained(tmp_path / "model")
    wrapped = get_peft_model(classifier, adapters("all-linear", task_type="SEQ_CLS", modules_to_save=["prior"]))
    trained(wrapped, input_ids=IDS, labels=torch.tensor([0, 1, 2, 0]))
    wrapped.save_pretrained(tmp_path / "adapters")
    base = LDEBMForSequenceClassification.from_pretrained(tmp_path / "model")
    loaded = PeftModel.from_pretrained(base, tmp_path / "adapters")
    assert torch.equal(loaded(input_ids=IDS).logits, wrapped(input_ids=IDS).logits)


@pytest.mark.parametrize("name", ["inputs_embeds", "decoder_inputs_embeds", "decoder_attention_mask"])
def test_arguments_of_other_models_are_refused_by_name(name):
    model = tiny_model()
    assert model(input_ids=IDS, generator=0, **{name: None}).loss == model(input_ids=IDS, generator=0).loss
    with pytest.raises(ValueError, match=f"{name} must be None"):
        model(input_ids=IDS, **{name: torch.ones(4, 5, 8)})


# ------------------------------------------------------------------------------------------------ pretrained parts


def test_model_with_adapters_of_its_own_refuses_others_and_keeps_its_own(tmp_path):
    model, tokenizer = pretrained_model(bert(), gpt2(), encoder_lora_rank=2)
    batch = tokenizer(TEXTS, return_tensors="pt", padding=True)
    trained(model, **batch)
    expected = loss_of(model, **batch)
    others = LoraConfig(target_modules="all-linear")
    for add in (
        lambda: get_peft_model(model, others),
        lambda: get_peft_model(model, LoraConfig(target_modules=["mean"]), adapter_name="mine"),
        lambda: PeftModel(model, others),
        lambda: model.add_adapter(others),
        lambda: model.load_adapter(str(tmp_path)),
    ):
        with pytest.raises(ValueError, match="encoder_lora_rank=2 and decoder_lora_rank=2 has adapters of its own"):
            add()
    for change in (model.disable_adapters, model.enable_adapters, lambda: model.delete_adapter("default")):
        with pytest.raises(ValueError, match="No adapter loaded|PEFT you are using is not compatible"):
            change()
    assert loss_of(model, **batch) == expected
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert loss_of(LDEBMModel.from_pretrained(tmp_path), **batch) == expected


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The folder of a model whose language model is frozen, and a batch."""
    folder = tmp_path_factory.mktemp("saved")
    model, tokenizer = pretrained_model(bert(), gpt2(), decoder_lora_rank=0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder, tokenizer(TEXTS, return_tensors="pt", padding=True)


@pytest.mark.parametrize(
    "target", [["c_attn", "query"], ["wte", "lm_head"], "all-linear"], ids=["layers", "both embeddings", "all"]
)
def test_adapters_in_base_models_are_merged_into_a_checkpoint_that_holds_them(target, saved, tmp_path):
    folder, batch = saved
    config = adapters(target, task_type="SEQ_2_SEQ_LM", ensure_weight_tying=isinstance(target, list))
    wrapped = get_peft_model(LDEBMModel.from_pretrained(folder), config)
    assert target != "all-linear" or not any("lm_head.lora" in name for name in wrapped.state_dict())
    trained(wrapped, **batch)
    expected = loss_of(wrapped, **batch)
    wrapped.save_pretrained(tmp_path / "adapters")
    loaded = PeftModel.from_pretrained(LDEBMModel.from_pretrained(folder), tmp_path / "adapters", is_trainable=True)
    if target == ["wte", "lm_head"]:
        assert loss_of(loaded, **batch) == expected
        return  # peft merges two adapters into one tied weight
    merged = loaded.merge_and_unload()
    torch.testing.assert_close(loss_of(merged, **batch), expected)
    merged.save_pretrained(tmp_path / "merged")
    again = LDEBMModel.from_pretrained(tmp_path / "merged")
    assert again.config.includes_base_models
    assert loss_of(again, **batch) == loss_of(merged, **batch)


@needs_own_methods_for_adapters
def test_adapters_by_methods_of_transformers(saved, tmp_path):
    folder, batch = saved
    model = LDEBMModel.from_pretrained(folder)
    without = loss_of(model, **batch)
    model.add_adapter(adapters(["c_attn", "heads.mean"]))
    changed = trained(model, **batch)
    assert changed and all("lora_" in name for name in changed)
    expected = loss_of(model, **batch)
    assert not torch.isclose(expected, without, rtol=1e-5)
    model.save_pretrained(tmp_path)
    loaded = LDEBMModel.from_pretrained(folder)
    loaded.load_adapter(tmp_path)
    assert loss_of(loaded, **batch) == expected
    loaded.disable_adapters()
    assert loss_of(loaded, **batch) == without
    loaded.enable_adapters()
    assert loss_of(loaded, **batch) == expected
