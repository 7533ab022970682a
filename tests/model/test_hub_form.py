"""The saved folder loads bit-identically, also without the package, in half precision, and with tensors missing."""

import copy
import json

import pytest
import torch
from clean_processes import run_clean
from safetensors.torch import load_file, save_file
from tiny_models import DIFFUSION_PRESETS
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedTokenizerFast,
    dynamic_module_utils,
)

from ldebm_hf import LDEBMConfig, LDEBMModel, build_tokenizer
from ldebm_hf.model.energy import sinusoidal_embedding

WEIGHTS = "model.safetensors"
TEXTS = ["a b c", "d", "e f g h a"]
MERGE = "prior.energy.merge."  # a layer with a spectral norm


def seeded(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tiny_model(preset="published", **settings) -> LDEBMModel:
    torch.manual_seed(0)
    sizes = {
        "vocab_size": 12,
        "id2label": {0: "good", 1: "bad", 2: "neutral"},
        "embedding_size": 8,
        "encoder_hidden_size": 8,
        "decoder_hidden_size": 8,
        "latent_size": 4,
        "dropout": 0.0,
        "energy_hidden_size": 16,
        "energy_num_blocks": 2,
        "langevin_steps": 3,
    }
    return LDEBMModel(LDEBMConfig.from_preset(preset, **{**sizes, **settings}))


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer(["a b c d e f g h"], max_length=8)


@pytest.fixture(scope="module")
def batch(tokenizer):
    return tokenizer(TEXTS, padding=True, return_tensors="pt")


def trained(model, batch) -> LDEBMModel:
    """One optimiser step, so that no tensor is what the configuration alone would give."""
    model.train()(**batch, class_labels=torch.tensor([0, 1, 2])).loss.backward()
    torch.optim.Adam(model.parameters(), lr=0.01).step()
    model.zero_grad()
    return model


@pytest.fixture(scope="module", params=DIFFUSION_PRESETS)
def model(request, batch) -> LDEBMModel:
    return trained(tiny_model(request.param, energy_spectral_norm=True), batch).eval()


@pytest.fixture(scope="module")
def folder(model, tokenizer, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved")
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def tensors(model) -> dict[str, torch.Tensor]:
    """All parameters and buffers, including the tables that are not saved."""
    return dict([*model.named_parameters(), *model.named_buffers()])


def assert_same_tensors(one, other):
    one, other = tensors(one), tensors(other)
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]) and one[name].dtype == other[name].dtype, name


@torch.no_grad()
def behaviour(model, batch) -> dict[str, torch.Tensor]:
    """What a model does under one seed: loss terms, symbols, latents and texts."""
    output = model(**batch, class_labels=torch.tensor([0, -100, 2]), generator=seeded())
    results = {name: value for name, value in output.items() if isinstance(value, torch.Tensor)}
    results["symbols"] = model.infer_symbols(**batch)
    results["samples"] = model.sample_latents(4, class_labels="bad", generator=seeded())
    results["texts"] = model.generate(class_labels=[0, 1], do_sample=True, max_new_tokens=8, generator=seeded())
    results["beams"] = model.generate(**batch, num_beams=3, max_new_tokens=8)
    return results


def assert_same_behaviour(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


# ---------------------------------------------------------------------------------------------------------- round trip


def test_folder_holds_safetensors_and_the_code_of_the_core_only(folder):
    names = {path.name for path in folder.iterdir()}
    code = {name for name in names if name.endswith(".py")}
    assert names - code == {
        "config.json", "generation_config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json"
    }  # fmt: skip
    assert {"configuration_ldebm.py", "modeling_ldebm.py", "priors.py", "noise.py"} <= code
    assert not code & {"clustering.py", "tokenization.py", "plots.py", "__init__.py"}


@pytest.mark.parametrize("training", [False, True])
def test_loaded_model_is_bit_identical(model, folder, batch, training):
    loaded, original = LDEBMModel.from_pretrained(folder), copy.deepcopy(model)
    assert not loaded.training
    assert_same_tensors(loaded, original)
    assert_same_behaviour(behaviour(loaded.train(training), batch), behaviour(original.train(training), batch))
    assert_same_tensors(loaded, original)  # training moves the spectral norms' vectors, and moved both in the same way
    vector = MERGE + "parametrizations.weight.0._u"
    assert torch.equal(loaded.state_dict()[vector], model.state_dict()[vector]) != training


def test_model_saved_in_training_mode_trains_on_identically(batch, tmp_path):
    original = trained(tiny_model(), batch)
    original.save_pretrained(tmp_path)
    loaded = LDEBMModel.from_pretrained(tmp_path).train()
    for seed in range(3):
        for model in (original, loaded):
            torch.manual_seed(seed)
            trained(model, batch)
    assert_same_tensors(loaded, original)


def test_auto_classes_find_the_model_and_the_tokenizer(model, folder, tokenizer):
    config = AutoConfig.from_pretrained(folder)
    assert type(config) is LDEBMConfig and config.label2id == {"good": 0, "bad": 1, "neutral": 2}
    for auto in (AutoModel, AutoModelForSeq2SeqLM):
        loaded = auto.from_pretrained(folder)
        assert type(loaded) is LDEBMModel and loaded.generation_config.max_new_tokens == 40
        assert_same_tensors(loaded, model)
    loaded = AutoTokenizer.from_pretrained(folder)
    assert loaded.get_vocab() == tokenizer.get_vocab() and loaded(TEXTS) == tokenizer(TEXTS)


def test_settings_given_while_loading_take_effect_and_are_checked(folder):
    assert LDEBMModel.from_pretrained(folder, langevin_steps=1).config.langevin_steps == 1
    with pytest.raises(Exception, match="langevin_steps must be at least 1, got 0"):
        LDEBMModel.from_pretrained(folder, langevin_steps=0)
    with pytest.raises(ValueError, match="num_labels must be 3, .* got 5"):
        LDEBMModel.from_pretrained(folder, num_labels=5)


def test_sharded_folder_is_bit_identical(model, tmp_path):
    model.save_pretrained(tmp_path, max_shard_size="4KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    assert_same_tensors(LDEBMModel.from_pretrained(tmp_path), model)


def test_deepcopy_is_equal_and_independent(model, batch):
    twin = copy.deepcopy(model)
    assert_same_behaviour(behaviour(twin, batch), behaviour(model, batch))
    before = {name: tensor.clone() for name, tensor in tensors(model).items()}
    trained(twin, batch)
    assert all(torch.equal(tensor, before[name]) for name, tensor in tensors(model).items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_loads_with_a_float32_prior(model, folder, batch, dtype):
    loaded = LDEBMModel.from_pretrained(folder, dtype=dtype)
    for name, tensor in tensors(loaded).items():
        expected = torch.float32 if name.startswith("prior.") else dtype
        assert tensor.dtype == expected or not tensor.is_floating_point(), name
    original, kept = tensors(model.prior), tensors(loaded.prior)
    assert all(torch.equal(kept[name], original[name]) for name in original)
    output = loaded(**batch, generator=seeded())
    assert output.loss.dtype == output.symbol_logits.dtype == torch.float32
    torch.testing.assert_close(output.loss, model(**batch, generator=seeded()).loss, rtol=0.02, atol=0.02)
    samples = loaded.sample_latents(3, class_labels=1, generator=seeded())
    assert torch.equal(samples, model.sample_latents(3, class_labels=1, generator=seeded()))
    assert loaded.generate(latents=samples, max_new_tokens=3).shape[0] == 3
    assert loaded.generate(**batch, num_beams=2, max_new_tokens=3).shape[0] == 3
    assert loaded.infer_symbols(**batch).dtype == torch.float32


# ---------------------------------------------------------------------------------------- meta device, missing tensors


@pytest.fixture
def poisoned_memory(monkeypatch):
    """Uninitialised memory holds NaN, so that a tensor that is not filled is noticed."""
    empty_like = torch.empty_like

    def poisoned(*args, **kwargs):
        tensor = empty_like(*args, **kwargs)
        return tensor.fill_(torch.nan) if tensor.is_floating_point() else tensor

    monkeypatch.setattr(torch, "empty_like", poisoned)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tables_are_refilled_exactly(model, folder, poisoned_memory, dtype):
    loaded = LDEBMModel.from_pretrained(folder, dtype=dtype)
    unsaved = tensors(loaded).keys() - load_file(folder / WEIGHTS).keys()
    assert unsaved >= {"prior.energy.level.table", "prior.levels.step_std", "prior.levels.langevin_variance"}
    for name in unsaved:
        assert tensors(loaded)[name].dtype == torch.float32
        assert torch.equal(tensors(loaded)[name], tensors(model)[name]), name
    assert torch.equal(loaded.prior.energy.level.table, sinusoidal_embedding(6, 16))


@pytest.mark.parametrize(
    "missing",
    [
        ["encoder.rnn.weight_hh_l0", "encoder.heads.mean.bias"],
        ["decoder.embedding.weight"],
        [MERGE + "bias"],
        [MERGE + "parametrizations.weight.original"],
        [MERGE + "parametrizations.weight.0._u"],
        [MERGE + "parametrizations.weight.0._v"],
        [MERGE + "parametrizations.weight.0._u", MERGE + "parametrizations.weight.0._v"],
        [MERGE + name for name in ("bias", "parametrizations.weight.original", "parametrizations.weight.0._u")],
    ],
)
def test_missing_tensors_are_initialised_and_no_other_is_touched(
    model, folder, tmp_path, poisoned_memory, batch, missing
):
    saved = load_file(folder / WEIGHTS)
    model.config.save_pretrained(tmp_path)
    kept = {name: tensor for name, tensor in saved.items() if name not in missing}
    save_file(kept, tmp_path / WEIGHTS, metadata={"format": "pt"})
    torch.manual_seed(0)
    loaded, info = LDEBMModel.from_pretrained(tmp_path, output_loading_info=True)
    assert info["missing_keys"] == set(missing)
    new = loaded.state_dict()
    # A new weight or vector brings its spectral norm's vectors along; everything else is as saved.
    follows = {MERGE + f"parametrizations.weight.0._{vector}" for vector in "uv"} if MERGE in missing[-1] else set()
    assert all(torch.equal(new[name], kept[name]) for name in kept.keys() - follows)
    bound = model.config.uniform_init_range
    for name in missing:
        assert new[name].isfinite().all() and new[name].abs().sum() > 0
        if bound is not None and not name.endswith(("_u", "_v")):
            assert new[name].abs().max() <= bound
    largest = torch.linalg.matrix_norm(loaded.prior.energy.merge.weight, ord=2).item()
    assert largest == pytest.approx(1, rel=0.1)
    assert loaded(**batch).loss.isfinite()


def test_missing_linear_weight_is_drawn_as_torch_does(folder, model, tmp_path, poisoned_memory):
    name = MERGE + "parametrizations.weight.original"
    config = copy.deepcopy(model.config)
    config.uniform_init_range = None
    config.save_pretrained(tmp_path)
    saved = load_file(folder / WEIGHTS)
    save_file({key: saved[key] for key in saved.keys() - {name}}, tmp_path / WEIGHTS, metadata={"format": "pt"})
    weight = LDEBMModel.from_pretrained(tmp_path).state_dict()[name]
    bound = nn.Linear(32, 16).in_features ** -0.5
    assert 0.95 * bound < weight.abs().max() <= bound


# ------------------------------------------------------------------------------------------------- without the package

TEXTS_WITHOUT_THE_PACKAGE = """
import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer

folder, again, results = sys.argv[1:]
try:
    AutoModel.from_pretrained(folder, trust_remote_code=False)
except ValueError as error:
    assert "trust_remote_code=True" in str(error)
else:
    raise AssertionError("the folder's code ran without consent")
load = {"trust_remote_code": True}
assert AutoConfig.from_pretrained(folder, **load).label2id == {"good": 0, "bad": 1, "neutral": 2}
tokenizer = AutoTokenizer.from_pretrained(folder, **load)
batch = tokenizer(["a b c", "d", "e f g h a"], padding=True, return_tensors="pt")
seeded = torch.Generator().manual_seed

def run(path):
    model, info = AutoModel.from_pretrained(path, output_loading_info=True, **load)
    assert not any(info.values()), info
    assert type(model).__module__.startswith("transformers_modules.")
    return model, [
        model(**batch, generator=seeded(0)).loss,
        model.infer_symbols(**batch),
        model.sample_latents(4, class_labels="bad", generator=seeded(0)),
        model.generate(class_labels=[0, 1], do_sample=True, max_new_tokens=8, generator=seeded(0)),
        *model.state_dict().values(),
        *model.buffers(),
    ]

with torch.no_grad():
    model, first = run(folder)
    model.save_pretrained(again)
    second = run(again)[1]
assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))
torch.save(first, results)
"""


POINTS_WITHOUT_THE_PACKAGE = """
import torch
from transformers import AutoModel

folder, inputs, results = sys.argv[1:]
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
assert type(model).__module__.startswith("transformers_modules.")
seeded = torch.Generator().manual_seed
points = torch.load(inputs)
with torch.no_grad():
    outputs = [
        model(points=points, generator=seeded(0)).loss,
        model.infer_symbols(points=points),
        model.generate(points=points),
        model.generate(class_labels=["bad", "good"], do_sample=True, generator=seeded(0)),
    ]
torch.save(outputs, results)
"""


@torch.no_grad()
def test_model_of_points_works_where_the_package_is_not_installed(tmp_path):
    model = tiny_model("dgm_vae_i", modality="point", point_center=[10.0, -3.0], point_scale=2.0).eval()
    points = torch.randn(5, 2)
    folder, inputs, results = (tmp_path / name for name in ("saved", "inputs.pt", "results.pt"))
    model.save_pretrained(folder)
    torch.save(points, inputs)
    run_clean(POINTS_WITHOUT_THE_PACKAGE, tmp_path, folder, inputs, results, package=False)
    expected = [
        model(points=points, generator=seeded()).loss,
        model.infer_symbols(points=points),
        model.generate(points=points),
        model.generate(class_labels=["bad", "good"], do_sample=True, generator=seeded()),
    ]
    assert all(torch.equal(*pair) for pair in zip(torch.load(results), expected, strict=True))


@pytest.mark.parametrize("model", ["consistent", "gm_vae"], indirect=True)
def test_folder_works_where_the_package_is_not_installed(model, folder, batch, tmp_path):
    again, results = tmp_path / "again", tmp_path / "results.pt"
    run_clean(TEXTS_WITHOUT_THE_PACKAGE, tmp_path, folder, again, results, package=False)
    loss, symbols, samples, texts, *rest = torch.load(results)
    here = behaviour(model, batch)
    assert torch.equal(loss, model(**batch, generator=seeded()).loss)
    assert torch.equal(symbols, here["symbols"]) and torch.equal(samples, here["samples"])
    assert torch.equal(texts, here["texts"])
    expected = [*model.state_dict().values(), *model.buffers()]
    assert all(torch.equal(*pair) for pair in zip(rest, expected, strict=True))
    assert {path.name for path in again.glob("*.py")} == {path.name for path in folder.glob("*.py")}
    assert_same_tensors(LDEBMModel.from_pretrained(again), model)


@pytest.mark.parametrize(("kind", "owners"), [(LDEBMModel, ["model"]), (None, ["model", "configuration"])])
def test_code_of_the_configuration_is_saved_once(kind, owners, tmp_path, monkeypatch):
    """With a model of another package, whose code does not bring the configuration's, it is saved by itself."""
    saved, save = [], dynamic_module_utils.custom_object_save

    def noted(one, *args, **kwargs):
        saved.append("model" if isinstance(one, LDEBMModel) else "configuration")
        return save(one, *args, **kwargs)

    monkeypatch.setattr("transformers.modeling_utils.custom_object_save", noted)
    monkeypatch.setattr("transformers.configuration_utils.custom_object_save", noted)
    model = tiny_model()
    if kind is None:
        model.__class__ = type("OwnModel", (LDEBMModel,), {"__module__": __name__})
    model.save_pretrained(tmp_path)
    assert saved == owners and (tmp_path / "configuration_ldebm.py").is_file()
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    assert config["auto_map"]["AutoConfig"] == "configuration_ldebm.LDEBMConfig"
    model.config.save_pretrained(tmp_path / "alone")
    assert (tmp_path / "alone" / "configuration_ldebm.py").is_file(), "by itself it brings its code as ever"
