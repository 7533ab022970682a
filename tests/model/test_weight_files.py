"""A checkpoint whose files are pointers, empty or cut short is refused with what they are and what to do."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_base_models import bert, gpt2, pretrained_model
from tiny_models import tiny_model

from ldebm_hf import LDEBMModel
from ldebm_hf.model.text_classifier import TextClassifier, TextClassifierConfig
from ldebm_hf.scores.judging import load_judge
from ldebm_hf.training.saved_runs import find_checkpoint

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)
MODEL_LOADERS = {"model": LDEBMModel.from_pretrained, "find_checkpoint": lambda folder: find_checkpoint(str(folder))}
JUDGE_LOADERS = {"classifier": TextClassifier.from_pretrained, "judge": load_judge}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    tiny_model().save_pretrained(folder / "model")
    config = TextClassifierConfig(vocab_size=12, embedding_size=4, hidden_size=4)
    TextClassifier(config).save_pretrained(folder / "judge")
    return folder


def damaged(whole: bytes) -> dict[str, tuple[bytes, str]]:
    return {
        "pointer": (POINTER, "is a Git LFS pointer, .* run `git lfs pull`"),
        "empty": (b"", "is empty: copy or download it again"),
        "page": (b"<html>not found</html>", "does not begin like a file of weights, or is truncated"),
        "cut in the header": (whole[:100], "does not begin like a file of weights, or is truncated"),
        "cut in the weights": (whole[:-5], f"is truncated, with .* of {len(whole):,} bytes"),
        "too long": (whole + b"x", f"is damaged, with .* bytes instead of {len(whole):,}"),
    }


MEMORY_MAP = Path("/proc/self/maps")


@pytest.mark.skipif(not MEMORY_MAP.exists(), reason="reads the files that are mapped from /proc")
@pytest.mark.parametrize("kind", ["recurrent", "pretrained, self-contained", "pretrained"])
def test_loaded_models_leave_no_file_in_memory(tmp_path, kind):
    """Loaded buffers are views of the mapped file, which stays resident as long as one of them exists."""
    if kind == "recurrent":
        model = tiny_model("published")
    else:
        model, _ = pretrained_model(encoder=bert(), decoder=gpt2())
    model.save_pretrained(tmp_path, include_base_models=kind.endswith("self-contained"))
    loaded = LDEBMModel.from_pretrained(tmp_path)
    assert len(list(loaded.buffers())) > 0
    assert str(tmp_path) not in MEMORY_MAP.read_text()
    expected = model.state_dict()
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize("kind", damaged(b""))
@pytest.mark.parametrize("loader", [*MODEL_LOADERS, *JUDGE_LOADERS])
def test_damaged_weights_are_named(saved, tmp_path, loader, kind):
    source = saved / ("model" if loader in MODEL_LOADERS else "judge")
    folder = tmp_path / "copy"
    shutil.copytree(source, folder)
    weights = folder / "model.safetensors"
    content, message = damaged(weights.read_bytes())[kind]
    weights.write_bytes(content)
    with pytest.raises(OSError, match=f"model.safetensors {message}"):
        (MODEL_LOADERS | JUDGE_LOADERS)[loader](folder)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", [POINTER, b"", b'{"model": {"vo'])
def test_damaged_small_files_are_named(saved, tmp_path, name, content):
    shutil.copytree(saved / "model", tmp_path / "copy")
    (tmp_path / "copy" / name).write_bytes(content)
    for load in MODEL_LOADERS.values():
        with pytest.raises(OSError, match=f"{name} is (a Git LFS pointer|empty|truncated or not JSON)"):
            load(tmp_path / "copy")


def test_a_model_in_a_subfolder_is_looked_at(saved, tmp_path):
    shutil.copytree(saved / "model", tmp_path / "sub")
    LDEBMModel.from_pretrained(tmp_path, subfolder="sub")
    (tmp_path / "sub" / "model.safetensors").write_bytes(POINTER)
    with pytest.raises(OSError, match="Git LFS pointer"):
        LDEBMModel.from_pretrained(tmp_path, subfolder="sub")


@pytest.mark.parametrize("loader", ["model", "classifier"])
def test_pickled_weights_are_not_read(saved, tmp_path, loader):
    folder = tmp_path / "copy"
    shutil.copytree(saved / ("model" if loader in MODEL_LOADERS else "judge"), folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    load = (MODEL_LOADERS | JUDGE_LOADERS)[loader]
    load(folder)  # beside safetensors, a pickle does no harm
    (folder / "model.safetensors").unlink()
    with pytest.raises(OSError, match="copy has no model.safetensors, and other files of weights, such as pytorch_mo"):
        load(folder)


@pytest.mark.parametrize("load", [LDEBMModel.from_pretrained, TextClassifier.from_pretrained])
def test_pickled_weights_cannot_be_asked_for(saved, load):
    with pytest.raises(ValueError, match="use_safetensors must not be False"):
        load(saved / "model", use_safetensors=False)


def test_pickled_weights_are_not_read_through_an_index(saved, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(saved / "model", folder)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    for shard in ("shard.bin", "shard.safetensors"):
        torch.save(weights, folder / shard) if shard.endswith("bin") else save_file(weights, folder / shard)
        index = {"metadata": {}, "weight_map": dict.fromkeys(weights, shard)}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        if shard.endswith("bin"):
            with pytest.raises(OSError, match="names shard.bin as its weights, which are not read"):
                LDEBMModel.from_pretrained(folder)
    loaded = LDEBMModel.from_pretrained(folder).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in weights.items())


def test_pickled_weights_are_not_read_through_the_configuration(saved, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(saved / "model", folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "adapter_model.bin")
    config = json.loads((folder / "config.json").read_text()) | {"transformers_weights": "adapter_model.bin"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(OSError, match="names adapter_model.bin as its weights"):
        LDEBMModel.from_pretrained(folder)


@pytest.mark.parametrize("options", [{"variant": "half"}, {"max_shard_size": "2KB"}])
def test_variants_and_shards_are_read(tmp_path, options):
    model = tiny_model()
    model.save_pretrained(tmp_path, **options)
    assert not (tmp_path / "model.safetensors").exists()
    options.pop("max_shard_size", None)
    loaded = LDEBMModel.from_pretrained(tmp_path, **options).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in model.state_dict().items())
