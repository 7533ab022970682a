"""Files of base models: code of their own, which is run only if a user says so, and the digest of their weights."""

import json
import shutil

import pytest
import torch
from clean_processes import run_clean
from safetensors.torch import load_file, save_file
from tiny_base_models import (
    TEXTS,
    bert,
    gpt2,
    llama,
    own_decoder,
    own_encoder,
    pretrained_model,
    pretrained_settings,
    sentence_bert,
)
from transformers import AutoModel

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.model.base_model_files import digest_of_weights
from ldebm_hf.model.setting_rules import BaseConfig
from ldebm_hf.training.features import frozen_features

OWN = {"encoder": {"encoder": own_encoder}, "decoder": {"decoder": own_decoder}}
PLAIN = {"encoder": {"encoder": bert}, "decoder": {"decoder": llama}}
TOGETHER = {"encoder": sentence_bert, "decoder": gpt2}
WEIGHTS = "model.safetensors"


def folders(kinds: dict) -> dict:
    return {part: folder() for part, folder in kinds.items()}


@torch.no_grad()
def likelihoods(model, tokenizer) -> torch.Tensor:
    batch = tokenizer(TEXTS, return_tensors="pt", padding=True)
    return model.conditional_log_likelihood(model.encode(**batch).posterior_mean, **batch)


# ----------------------------------------------------------------------------------------------------- code of its own


@pytest.fixture(params=OWN)
def part(request) -> str:
    return request.param


@pytest.fixture
def own(part):
    return pretrained_model(**folders(OWN[part]), trust_remote_code=True)


def test_model_with_code_of_its_own_computes_by_that_code(part, own):
    model, tokenizer = own
    assert type(getattr(model, part).base).__module__.startswith("transformers_modules.")
    plain, _ = pretrained_model(**folders(PLAIN[part]))
    plain.load_state_dict(model.state_dict())
    batch = tokenizer(TEXTS, return_tensors="pt", padding=True)
    with torch.no_grad():
        if part == "encoder":
            texts = model.encoder.read_texts(**batch)
            found, expected = model.encoder.features(texts), -plain.encoder.features(texts)
        else:
            latents, ids = torch.randn(len(TEXTS), 4), batch["input_ids"]
            found, expected = model.decoder.next_tokens(ids, latents)[0], -plain.decoder.next_tokens(ids, latents)[0]
            found, expected = found[..., 3:], expected[..., 3:]  # without marks, of which some are never written
    assert torch.equal(found, expected)


def test_code_is_not_run_unless_the_user_says_so(part):
    kinds = folders(OWN[part])
    settings = pretrained_settings(**kinds, trust_remote_code=True) | {"trust_remote_code": False}
    name = f"{part}_name_or_path='{kinds[part]}'"
    with pytest.raises(ValueError, match=rf"{name} is a model with code of its own .* trust_remote_code=True"):
        LDEBMConfig(**settings)


@pytest.mark.parametrize("classes", ["own_model.OwnEncoder", {"AutoModel": "own_model.OwnEncoder"},
                                     {"AutoConfig": "own_model.OwnEncoderConfig", "AutoModel": 3}])  # fmt: skip
def test_names_of_classes_of_own_code_are_checked(classes):
    values = {"model_type": "own_encoder", "own_code": classes}
    with pytest.raises(ValueError, match=r"encoder_config\['own_code'\] must be the classes .* by AutoConfig"):
        BaseConfig()("encoder_config", values)
    with pytest.raises(ValueError, match="encoder_config must be the configuration of a model of transformers"):
        BaseConfig()("encoder_config", {"model_type": "own_encoder"})


@pytest.mark.parametrize("whole", [False, True])
def test_checkpoint_is_loaded_with_the_choice_only(part, own, tmp_path, whole):
    model, tokenizer = own
    model.save_pretrained(tmp_path, include_base_models=whole)
    tokenizer.save_pretrained(tmp_path)
    assert "trust" not in (tmp_path / "config.json").read_text("utf-8")
    with pytest.raises(ValueError, match="code of its own .* trust_remote_code=True"):
        LDEBMModel.from_pretrained(tmp_path)
    expected = likelihoods(model, tokenizer)
    options = {"trust_remote_code": True}
    given = LDEBMConfig.from_pretrained(tmp_path)
    for loaded in (
        LDEBMModel.from_pretrained(tmp_path, **options),
        LDEBMModel.from_pretrained(tmp_path, config=given, **options),
        AutoModel.from_pretrained(tmp_path, **options),
        LDEBMModel.from_pretrained(tmp_path, config=LDEBMConfig.from_pretrained(tmp_path, **options)),
    ):
        assert torch.equal(likelihoods(loaded, tokenizer), expected)
    assert not given.trusts_base_models


@pytest.mark.parametrize("name", ["trust_remote_code", "trusts_base_models"])
def test_checkpoint_that_says_itself_that_it_is_trusted_is_not_believed(part, own, tmp_path, name):
    own[0].save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {name: True}), "utf-8")
    assert not LDEBMConfig.from_json_file(file).trusts_base_models
    assert not LDEBMConfig(**LDEBMConfig.get_config_dict(tmp_path)[0]).trusts_base_models
    for load in (LDEBMModel.from_pretrained, AutoModel.from_pretrained):
        with pytest.raises(ValueError, match="code of its own"):
            load(tmp_path)


@pytest.mark.parametrize("said", ["false", "no", 1])
def test_trust_is_true_or_false_and_no_word(tmp_path, said):
    model, _ = pretrained_model(bert())
    model.save_pretrained(tmp_path)
    for give in (LDEBMConfig.from_pretrained, LDEBMModel.from_pretrained):
        with pytest.raises(ValueError, match="trust_remote_code must be True or False"):
            give(tmp_path, trust_remote_code=said)
    with pytest.raises(ValueError, match="trust_remote_code must be True or False"):
        LDEBMConfig(trust_remote_code=said)


def test_self_contained_checkpoint_needs_the_code_of_its_base_model(tmp_path):
    model, _ = pretrained_model(own_encoder(), trust_remote_code=True)
    model.save_pretrained(tmp_path, include_base_models=True)
    options = {"trust_remote_code": True, "encoder_name_or_path": "/no such folder"}
    with pytest.raises(OSError, match="the code of encoder_name_or_path='/no such folder' is needed"):
        LDEBMModel.from_pretrained(tmp_path, **options)


def test_known_model_type_runs_its_own_code_only_if_trusted(tmp_path):
    """A repository may have code of its own for a model that transformers has too."""
    shutil.copytree(own_encoder(), tmp_path / "base")
    code, file = tmp_path / "base" / "own_model.py", tmp_path / "base" / "config.json"
    code.write_text(code.read_text("utf-8").replace('"own_encoder"', '"bert"'), "utf-8")
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {"model_type": "bert"}), "utf-8")
    names = {trusted: {"encoder": "pretrained", "encoder_name_or_path": str(tmp_path / "base"),
                       "trust_remote_code": trusted} for trusted in (False, True)}  # fmt: skip
    plain, own = (LDEBMConfig(**names[trusted]) for trusted in (False, True))
    assert "own_code" not in plain.encoder_config and own.encoder_config["own_code"]["AutoModel"]
    assert type(LDEBMModel(plain).encoder.base).__module__.startswith("transformers.")
    own.trusts_base_models = False
    with pytest.raises(ValueError, match="code of its own"):
        LDEBMModel(own)


def test_vectors_without_a_model_need_the_choice_too(tmp_path):
    options = {"cache_dir": tmp_path, "show_progress": False}
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        frozen_features(TEXTS, str(own_encoder()), **options)
    found = frozen_features(TEXTS, str(own_encoder()), trust_remote_code=True, **options)
    expected = frozen_features(TEXTS, str(bert()), **options)
    torch.testing.assert_close(torch.tensor(found), -torch.tensor(expected))


ELSEWHERE = """
import sys
import torch
from transformers import AutoModel, AutoTokenizer

folder, result = sys.argv[1:]
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
batch = tokenizer(["The food was great!"], return_tensors="pt")
with torch.no_grad():
    torch.save(model(**batch, generator=0).loss, result)
"""


def test_code_of_base_models_is_found_where_the_package_is_not_installed(tmp_path):
    model, tokenizer = pretrained_model(own_encoder(), trust_remote_code=True)
    model.save_pretrained(tmp_path / "saved")
    tokenizer.save_pretrained(tmp_path / "saved")
    run_clean(ELSEWHERE, tmp_path, tmp_path / "saved", tmp_path / "result.pt", package=False)
    with torch.no_grad():
        expected = model(**tokenizer(["The food was great!"], return_tensors="pt"), generator=0).loss
    assert torch.equal(torch.load(tmp_path / "result.pt"), expected)


# ------------------------------------------------------------------------------------------------------------- digests


def copy_of(folder, target):
    shutil.copytree(folder, target)
    return target


def change(folder, place, name):
    """Add a little to one number of one tensor."""
    file = folder / place / WEIGHTS
    weights = load_file(file)
    weights[name].view(-1)[-1] += 1e-3
    save_file(weights, file, {"format": "pt"})


@pytest.fixture(params=["encoder", "decoder"])
def saved(request, tmp_path):
    """A model by name, the part that has a base model, a folder of that, and a folder of the model."""
    part = request.param
    base = copy_of(TOGETHER[part](), tmp_path / "base")
    model, tokenizer = pretrained_model(**{part: base})
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return part, base, tmp_path / "model", model, tokenizer


LAST = {"encoder": "encoder.layer.2.output.dense.bias", "decoder": "transformer.ln_f.bias"}


def test_base_model_that_was_changed_in_place_is_refused(saved):
    part, base, folder, _, _ = saved
    LDEBMModel.from_pretrained(folder)
    change(base, "", LAST[part])
    message = rf"{part}_name_or_path='{base}' holds other weights than it had when this model was trained with them"
    with pytest.raises(ValueError, match=message):
        LDEBMModel.from_pretrained(folder)


def test_other_base_model_is_refused_by_both_names_and_can_be_asked_for(saved, tmp_path):
    part, base, folder, _, _ = saved
    other = copy_of(base, tmp_path / "other")
    change(other, "", LAST[part])
    name = {f"{part}_name_or_path": str(other)}
    with pytest.raises(ValueError, match=rf"='{other}' holds other weights than '{base}' had .* {part}_digest=None"):
        LDEBMModel.from_pretrained(folder, **name)
    loaded = LDEBMModel.from_pretrained(folder, **name, **{f"{part}_digest": None})
    weights = getattr(loaded, part).base.state_dict()
    values = load_file(other / WEIGHTS)[LAST[part]]
    assert torch.equal(weights[LAST[part]], values)


def test_same_base_model_elsewhere_and_in_shards_is_taken(saved, tmp_path):
    part, base, folder, model, tokenizer = saved
    other = tmp_path / "other"
    for file in base.rglob("*"):
        if file.is_file() and file != base / WEIGHTS:
            (other / file.relative_to(base)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, other / file.relative_to(base))
    auto_class = type(getattr(model, part)).auto_class
    auto_class.from_pretrained(base).save_pretrained(other, max_shard_size="8KB")
    assert len(list(other.glob("*.safetensors"))) > 1
    loaded = LDEBMModel.from_pretrained(folder, **{f"{part}_name_or_path": str(other)})
    assert torch.equal(likelihoods(loaded, tokenizer), likelihoods(model, tokenizer))


def test_dense_layer_after_the_transformer_counts(tmp_path):
    base = copy_of(sentence_bert(), tmp_path / "base")
    model, _ = pretrained_model(base)
    model.save_pretrained(tmp_path / "model")
    change(base, "2_Dense", "linear.bias")
    with pytest.raises(ValueError, match="holds other weights"):
        LDEBMModel.from_pretrained(tmp_path / "model")


def test_checkpoint_without_a_digest_and_a_self_contained_one_take_what_there_is(saved):
    part, base, folder, model, tokenizer = saved
    expected = likelihoods(model, tokenizer)
    model.save_pretrained(folder.parent / "whole", include_base_models=True)
    tokenizer.save_pretrained(folder.parent / "whole")
    file = folder / "config.json"
    values = json.loads(file.read_text("utf-8"))
    assert len(values.pop(f"{part}_digest")) == 32
    file.write_text(json.dumps(values), "utf-8")
    change(base, "", LAST[part])
    loaded = LDEBMModel.from_pretrained(folder)
    assert getattr(loaded.config, f"{part}_digest") is None
    assert torch.equal(likelihoods(LDEBMModel.from_pretrained(folder.parent / "whole"), tokenizer), expected)


def test_digest_depends_on_names_types_shapes_and_every_number(tmp_path):
    weights = {"a": torch.arange(3000, dtype=torch.float32), "b": torch.tensor(2.0), "c": torch.zeros(0, 2)}
    weights["d"] = torch.arange(1001).to(torch.bfloat16)

    def digest(**changes):
        save_file(weights | changes, tmp_path / WEIGHTS)
        return digest_of_weights([str(tmp_path / WEIGHTS)])

    expected = digest()
    assert digest() == expected
    others = [digest(a=weights["a"].view(2, 1500)), digest(b=torch.tensor(3.0)), digest(e=torch.tensor(2.0))]
    others.append(digest(d=weights["d"].view(torch.int16)))
    for place in (0, 255, 256, 2999):
        changed = weights["a"].clone()
        changed[place] += 1
        others.append(digest(a=changed))
    others.append(digest(a=torch.cat([weights["a"][300:600], weights["a"][:300], weights["a"][600:]])))
    assert len({expected, *others}) == 1 + len(others)
    save_file({name: weights[name] for name in ("a", "b")}, tmp_path / "1.safetensors")
    save_file({name: weights[name] for name in ("c", "d")}, tmp_path / "2.safetensors")
    assert digest_of_weights([str(tmp_path / f"{number}.safetensors") for number in (2, 1)]) == expected


def test_configuration_of_a_trained_model_holds_its_new_model_to_the_same_weights(saved):
    part, base, folder, _, _ = saved
    change(base, "", LAST[part])
    model = LDEBMModel(LDEBMConfig.from_pretrained(folder))
    with pytest.raises(ValueError, match="holds other weights than it had"):
        model.load_base_models()
