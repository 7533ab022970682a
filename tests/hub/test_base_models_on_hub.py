"""Base models by their ids on a Hub, and models with base models pushed there."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from clean_processes import run_clean
from huggingface_hub import constants
from tiny_base_models import TEXTS, bert, gpt2, own_decoder, pretrained_model, pretrained_settings, sentence_bert
from transformers import AutoModel, AutoTokenizer

from ldebm_hf import LDEBMConfig, LDEBMModel, LDEBMPipeline
from ldebm_hf.training.publishing import push

SCRIPT = Path(__file__).parents[2] / "examples" / "push_to_hub.py"
PULL = """
import sys
import torch
from transformers import AutoModel, AutoTokenizer

model = AutoModel.from_pretrained("me/reviews", trust_remote_code=True)
assert type(model).__module__.startswith("transformers_modules.")
tokenizer = AutoTokenizer.from_pretrained("me/reviews", trust_remote_code=True)
batch = tokenizer(["The food was great!", "great coffee"], return_tensors="pt", padding=True)
with torch.no_grad():
    torch.save([model(**batch, generator=0).loss, model.generate(num_samples=2, generator=0)], sys.argv[1])
"""


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def bases(hub):
    """Two base models on the Hub, of which the encoder has a later commit with other weights."""
    encoder = hub.create("models", "bases/encoder", files=files_of(sentence_bert()))
    hub.create("models", "bases/decoder", files=files_of(gpt2()))
    first = encoder.refs["main"]
    encoder.refs["v1"] = first
    encoder.commit(files_of(bert()))
    return {"encoder": first, "decoder": hub.repositories["models", "bases/decoder"].refs["main"]}


def model_from_the_hub():
    names = {"encoder_name_or_path": "bases/encoder", "decoder_name_or_path": "bases/decoder"}
    names["encoder_revision"] = "v1"
    twin, tokenizer = pretrained_model(sentence_bert(), gpt2())
    model = LDEBMModel(LDEBMConfig(**{**pretrained_settings(sentence_bert(), gpt2()), **names})).eval()
    model.load_state_dict(twin.state_dict())
    model.set_tokenizer(tokenizer)
    return model, tokenizer, twin


@torch.no_grad()
def results(model, tokenizer) -> list[torch.Tensor]:
    batch = tokenizer(["The food was great!", "great coffee"], return_tensors="pt", padding=True)
    return [model(**batch, generator=0).loss, model.generate(num_samples=2, generator=0)]


def assert_same(one, other):
    assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


def test_base_models_are_pinned_to_the_commit_that_was_read(bases, tmp_path):
    model, tokenizer, twin = model_from_the_hub()
    assert model.config.encoder_revision == bases["encoder"] and model.config.decoder_revision == bases["decoder"]
    assert model.config.encoder_layout["prompt"] == "Review: ", "of v1, which is not the newest commit"
    model.load_base_models()
    assert_same(results(model, tokenizer), results(twin, tokenizer))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert_same(results(LDEBMModel.from_pretrained(tmp_path), tokenizer), results(model, tokenizer))
    newest = LDEBMConfig(**pretrained_settings(bert()) | {"encoder_name_or_path": "bases/encoder"})
    assert newest.encoder_revision not in (None, bases["encoder"]) and newest.encoder_layout["prompt"] == ""


def test_cache_and_token_of_the_call_are_those_of_the_base_models_too(hub, bases, tmp_path, monkeypatch):
    model, tokenizer, _ = model_from_the_hub()
    model.load_base_models()
    for part in ("encoder", "decoder"):
        repository = hub.repositories["models", f"me/{part}"] = hub.repositories.pop(("models", f"bases/{part}"))
        repository.private = True
        setattr(model.config, f"{part}_name_or_path", f"me/{part}")
    model.save_pretrained(tmp_path / "run")
    tokenizer.save_pretrained(tmp_path / "run")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    with pytest.raises(OSError, match="the weights of encoder_name_or_path=.* cannot be loaded"):
        LDEBMModel.from_pretrained(tmp_path / "run")
    options = {"token": "hf_me", "cache_dir": tmp_path / "mine"}
    loaded = LDEBMModel.from_pretrained(tmp_path / "run", **options)
    assert_same(results(loaded, tokenizer), results(model, tokenizer))
    assert {"models--me--encoder", "models--me--decoder"} <= {path.name for path in (tmp_path / "mine").iterdir()}
    assert not list((tmp_path / "empty").glob("models--*/snapshots/*/*.safetensors"))


@pytest.mark.parametrize("whole", [False, True])
def test_cache_and_token_of_the_call_are_those_of_the_code_of_base_models_too(hub, tmp_path, monkeypatch, whole):
    repository = hub.create("models", "me/own", files=files_of(own_decoder()))
    settings = pretrained_settings(decoder=own_decoder(), trust_remote_code=True)
    model = LDEBMModel(LDEBMConfig(**settings | {"decoder_name_or_path": "me/own"})).eval()
    model.load_base_models()
    model.save_pretrained(tmp_path / "run", include_base_models=whole)
    repository.private = True
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    with pytest.raises(OSError, match="the code of decoder_name_or_path='me/own' is needed and cannot be loaded"):
        LDEBMModel.from_pretrained(tmp_path / "run", trust_remote_code=True)
    options = {"token": "hf_me", "cache_dir": tmp_path / "mine", "trust_remote_code": True}
    loaded = LDEBMModel.from_pretrained(tmp_path / "run", **options)
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), loaded.parameters(), strict=True))
    assert list((tmp_path / "mine").glob("models--me--own/snapshots/*/own_model.py"))
    assert not list((tmp_path / "empty").glob("models--*/snapshots/*/*.py"))
    with pytest.raises(OSError, match="the code of decoder_name_or_path='me/own' is needed and cannot be loaded"):
        LDEBMModel(loaded.config)  # the next one that is built is told nothing of them


@pytest.mark.parametrize("whole", [False, True])
def test_pushed_model_loads_elsewhere_with_the_base_models_of_the_hub(hub, bases, tmp_path, whole):
    model, tokenizer, _ = model_from_the_hub()
    model.load_base_models()
    model.config.includes_base_models = whole  # push_to_hub takes no such argument
    model.push_to_hub("me/reviews")
    repository = hub.repositories["models", "me/reviews"]
    assert {"config.json", "model.safetensors", "tokenizer.json", "encoder_tokenizer.json"} <= repository.files.keys()
    if whole:
        for name in ("bases/encoder", "bases/decoder"):
            del hub.repositories["models", name]
    online = {"HF_ENDPOINT": hub.address, "HF_TOKEN": "hf_me", "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    run_clean(PULL, tmp_path, tmp_path / "results", package=False, **online)
    assert_same(torch.load(tmp_path / "results"), results(model, tokenizer))
    run_clean(PULL, tmp_path, tmp_path / "again", package=False)  # from the cache alone
    assert_same(torch.load(tmp_path / "again"), results(model, tokenizer))


def test_saving_with_a_push_uploads_what_a_push_does(hub, bases, tmp_path):
    model, _, _ = model_from_the_hub()
    model.load_base_models()
    model.push_to_hub("me/pushed")
    model.save_pretrained(tmp_path / "saved", push_to_hub=True, repo_id="me/saved")
    pushed, saved = (hub.repositories["models", f"me/{name}"].files.keys() for name in ("pushed", "saved"))
    assert "encoder_tokenizer.json" in pushed
    assert {name for name in pushed if name != "README.md"} == {name for name in saved if name != "README.md"}
    loaded = AutoModel.from_pretrained("me/saved")
    assert loaded.classify(TEXTS) == model.classify(TEXTS, model.encoder.tokenizer)


def test_pipeline_of_a_model_has_the_tokenizer_of_its_revision(hub, bases):
    model, tokenizer, _ = model_from_the_hub()
    model.load_base_models()
    model.push_to_hub("me/reviews")
    repository = hub.repositories["models", "me/reviews"]
    repository.refs["v1"] = repository.refs["main"]
    repository.commit({"tokenizer.json": b"{}", "tokenizer_config.json": b"{}"})
    pipe = LDEBMPipeline(AutoModel.from_pretrained("me/reviews", revision="v1"), device="cpu")
    assert pipe.tokenizer.get_vocab() == tokenizer.get_vocab()


def push_by_script(monkeypatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def test_folders_of_this_machine_are_told_before_a_push_and_merged(hub, tmp_path, monkeypatch):
    model, tokenizer = pretrained_model(bert(), gpt2())
    folder = tmp_path / "run"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    before = files_of(folder)
    with pytest.raises(SystemExit) as stop:
        push_by_script(monkeypatch, folder, "me/reviews")
    assert f"encoder_name_or_path='{bert()}' is a folder of this machine" in str(stop.value)
    assert "--merge" in str(stop.value) and not hub.repositories
    push_by_script(monkeypatch, folder, "me/reviews", "--merge")
    repository = hub.repositories["models", "me/reviews"]
    for place in (bert(), gpt2(), folder):
        assert not any(str(place).encode() in content for content in repository.files.values()), "nobody's folders"
    changed = {name for name, content in files_of(folder).items() if before.get(name) != content}
    assert changed == {"README.md"}, "the folder itself stays as it is"
    online = {"HF_ENDPOINT": hub.address, "HF_TOKEN": "hf_me", "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    run_clean(PULL, tmp_path, tmp_path / "results", package=False, **online)
    assert_same(torch.load(tmp_path / "results"), results(model, tokenizer))


def test_folder_that_only_a_checkpoint_of_the_hub_names_is_not_read(hub, tmp_path):
    model, tokenizer = pretrained_model(bert())
    model.push_to_hub("me/reviews")
    tokenizer.push_to_hub("me/reviews")
    with pytest.raises(OSError, match=f"me/reviews names a folder .* encoder_name_or_path='{bert()}': give"):
        LDEBMModel.from_pretrained("me/reviews")
    loaded = LDEBMModel.from_pretrained("me/reviews", encoder_name_or_path=str(bert()))
    assert_same(results(loaded, tokenizer), results(model, tokenizer))


def test_push_without_folders_needs_no_merge(hub, bases, tmp_path):
    model, tokenizer, _ = model_from_the_hub()
    model.load_base_models()
    model.save_pretrained(tmp_path / "run")
    tokenizer.save_pretrained(tmp_path / "run")
    push(tmp_path / "run", "me/reviews")
    files = hub.repositories["models", "me/reviews"].files
    assert files["model.safetensors"] == (tmp_path / "run" / "model.safetensors").read_bytes()
    push(tmp_path / "run", "me/whole", merge=True)
    whole = hub.repositories["models", "me/whole"].files
    assert len(whole["model.safetensors"]) > len(files["model.safetensors"])
    assert b"bases/encoder" in whole["config.json"] and b'"includes_base_models": true' in whole["config.json"]


def test_base_model_that_is_not_on_the_hub(hub):
    with pytest.raises(OSError, match="encoder_name_or_path='bases/missing' is neither a folder with a model nor"):
        LDEBMConfig(**pretrained_settings(bert()) | {"encoder_name_or_path": "bases/missing"})


def test_auto_classes_read_texts_that_were_pushed(hub, bases):
    model, tokenizer, _ = model_from_the_hub()
    model.load_base_models()
    model.push_to_hub("me/reviews")
    loaded = AutoModel.from_pretrained("me/reviews")
    assert loaded.classify(TEXTS, AutoTokenizer.from_pretrained("me/reviews")) == model.classify(TEXTS, tokenizer)
