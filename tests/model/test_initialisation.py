"""Every parameter and buffer is initialised, whatever way the model comes into being: no memory is left as it was."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_base_models import bert, gpt2, llama, pretrained_model
from tiny_models import TINY_SIZES, seeded
from torch import nn

from ldebm_hf import PRESETS, LDEBMConfig, LDEBMModel

WEIGHTS = "model.safetensors"
SIZES = {
    **TINY_SIZES,
    "id2label": {symbol: str(symbol) for symbol in range(4)},  # a square, for two code variables
    "document_hidden_size": 8,
    "point_hidden_size": 8,
}
BASELINES = ("consistent", "published", "svebm", "vae", "gm_vae", "di_vae", "semi_vae_i")
CASES = (
    [(preset, {}) for preset in PRESETS]
    + [(preset, {"normalize_posterior": True}) for preset in ("vae", "gm_vae")]
    + [(preset, {"context_size": 4, "context_hidden_size": 4}) for preset in BASELINES]
    + [(preset, {"modality": "document"}) for preset in BASELINES]
    + [(preset, {"modality": "point", "point_center": [5.0, -3.0]}) for preset in BASELINES]
)
every_case = pytest.mark.parametrize(("preset", "settings"), CASES)


def tiny_config(preset, settings) -> LDEBMConfig:
    return LDEBMConfig.from_preset(preset, **SIZES, **settings)


@pytest.fixture(autouse=True)
def poisoned_memory(monkeypatch):
    """Memory that nobody fills holds NaN, or a large integer, as if an earlier owner had left it."""

    def poison(function):
        def poisoned(*args, **kwargs):
            tensor = function(*args, **kwargs)
            if tensor.is_meta:
                return tensor
            return tensor.fill_(torch.nan if tensor.is_floating_point() else 77)

        return poisoned

    for name in ("empty", "empty_like"):
        monkeypatch.setattr(torch, name, poison(getattr(torch, name)))


def tensors(model) -> dict[str, torch.Tensor]:
    """All parameters and buffers, those that are not saved included."""
    return dict([*model.named_parameters(), *model.named_buffers()])


def assert_same_tensors(one, other):
    one, other = tensors(one), tensors(other)
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def assert_initialised(model):
    """Nothing of the poison is left, and what is not random has its one right value."""
    torch.manual_seed(0)
    reference = tensors(LDEBMModel(model.config))
    constants = ("location", "log_probability", "point_center", "background", "running_mean", "running_var",
                 "num_batches_tracked", "log_variances", "table", "normalization.bias")  # fmt: skip
    for name, tensor in tensors(model).items():
        assert tensor.isfinite().all(), name
        if name.endswith(constants) or ".levels." in name:
            assert torch.equal(tensor, reference[name]), name


def save_without_tensors(config, path):
    config.architectures = ["LDEBMModel"]
    config.save_pretrained(path)
    save_file({"unrelated": torch.zeros(1)}, path / WEIGHTS, metadata={"format": "pt"})


@every_case
def test_new_model(preset, settings):
    assert_initialised(LDEBMModel(tiny_config(preset, settings)))


@every_case
def test_checkpoint_without_any_tensor(preset, settings, tmp_path):
    save_without_tensors(tiny_config(preset, settings), tmp_path)
    assert_initialised(LDEBMModel.from_pretrained(tmp_path))


@every_case
def test_built_on_the_meta_device(preset, settings):
    torch.manual_seed(0)
    model = LDEBMModel(tiny_config(preset, settings))
    state = model.state_dict()
    with torch.device("meta"):
        copy, assigned, drawn = (LDEBMModel(model.config) for _ in range(3))
    copy.to_empty(device="cpu").load_state_dict(state)
    assert_same_tensors(copy, model)
    assigned.load_state_dict(state, assign=True)
    assert_same_tensors(assigned, model)
    drawn.to_empty(device="cpu").init_weights()
    assert_initialised(drawn)


@pytest.mark.parametrize(
    "part", [{"encoder": bert}, {"decoder": gpt2}, {"encoder": bert, "decoder": llama}], ids=" and ".join
)
def test_base_models_built_on_the_meta_device(part):
    bases = {name: base() for name, base in part.items()}
    model, tokenizer = pretrained_model(**bases)
    state = model.state_dict()
    with torch.device("meta"):
        copy, assigned = (LDEBMModel(model.config) for _ in range(2))
    copy.to_empty(device="cpu").load_state_dict(state)
    assigned.load_state_dict(state, assign=True)
    for one in (copy, assigned):
        one.set_tokenizer(tokenizer)
        assert_same_tensors(one, model)
        batch = tokenizer(["great coffee"], return_tensors="pt")
        assert torch.equal(one.eval()(**batch, generator=seeded()).loss, model(**batch, generator=seeded()).loss)


@every_case
def test_each_missing_tensor_is_initialised_and_no_other_is_touched(preset, settings, tmp_path):
    torch.manual_seed(0)
    model = LDEBMModel(tiny_config(preset, settings))
    with torch.no_grad():
        for tensor in model.state_dict().values():  # nothing is as it would be drawn
            if tensor.is_floating_point():
                tensor.add_(0.5)
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / WEIGHTS)
    # Every third tensor is missing, in turn, so that layers with several tensors lack some of them.
    for first in range(3):
        missing = set(list(saved)[first::3])
        kept = {name: tensor for name, tensor in saved.items() if name not in missing}
        save_file(kept, tmp_path / WEIGHTS, metadata={"format": "pt"})
        loaded, info = LDEBMModel.from_pretrained(tmp_path, output_loading_info=True)
        assert info["missing_keys"] == missing
        assert_initialised_but_for(loaded, kept)


def assert_initialised_but_for(model, kept):
    for name, tensor in tensors(model).items():
        assert tensor.isfinite().all(), name
        if name in kept and not name.endswith(("._u", "._v")):  # which follow a new weight
            assert torch.equal(tensor, kept[name]), name


@pytest.mark.parametrize(
    "changed", [{"prior": "gaussian"}, {"prior": "discrete"}, {"prior": "semi"}, {"normalize_posterior": True}]
)
def test_setting_changed_while_loading(changed, tmp_path):
    """A checkpoint read with another prior lacks that prior's tensors."""
    LDEBMModel(tiny_config("consistent", {"normalize_posterior": False})).save_pretrained(tmp_path)
    if changed.get("prior") == "discrete":
        changed = {**changed, "normalize_posterior": False}
    model = LDEBMModel.from_pretrained(tmp_path, **changed, ignore_mismatched_sizes=True)
    assert all(tensor.isfinite().all() for tensor in tensors(model).values())
    samples = model.sample_latents(50, generator=seeded())
    assert samples.isfinite().all() and samples.abs().max() < 10
    ids = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
    assert model(ids, generator=seeded()).loss.isfinite() and model.encode(ids).posterior_mean.abs().max() < 10


def test_module_without_a_rule_is_not_overlooked():
    """Every class of module that holds tensors is one that `_init_weights` knows."""
    known = (nn.Linear, nn.Embedding, nn.GRU, nn.BatchNorm1d)
    for preset, settings in CASES:
        for name, module in LDEBMModel(tiny_config(preset, settings)).named_modules():
            has_tensors = any(True for _ in (*module.parameters(recurse=False), *module.buffers(recurse=False)))
            is_inner = ".parametrizations." in name  # initialised with the layer that it belongs to
            rule = isinstance(module, known) or hasattr(module, "init_tensors") or hasattr(module, "reset_parameters")
            assert not has_tensors or is_inner or rule, (preset, name)
