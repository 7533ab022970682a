"""A pushed model in processes that know only its name: by revision, without the package, and from the cache alone."""

import io
import json

import pytest
import torch
from clean_processes import run_clean
from safetensors.torch import load_file
from transformers import AutoTokenizer

from ldebm_hf import LDEBM, LDEBMModel
from ldebm_hf.reports.estimator_file import EstimatorFile
from ldebm_hf.training.publishing import push

WITHOUT_THE_PACKAGE = """
from transformers import AutoModel, AutoTokenizer

def load(revision):
    trust = {"trust_remote_code": True}
    model = AutoModel.from_pretrained("me/texts", revision=revision, **trust)
    assert type(model).__module__.startswith("transformers_modules.")
    return model, AutoTokenizer.from_pretrained("me/texts", revision=revision, **trust)
"""
WITH_THE_PACKAGE = """
from transformers import AutoTokenizer
from ldebm_hf import LDEBMModel

def load(revision):
    return LDEBMModel.from_pretrained("me/texts", revision=revision), AutoTokenizer.from_pretrained("me/texts")
"""
ONLINE_AND_THEN_OFFLINE = """
import sys
import torch
from huggingface_hub import ModelCard, constants, get_session
from huggingface_hub.errors import OfflineModeIsEnabled

results, card = [], ModelCard.load("me/texts")
for offline in (False, True):
    constants.HF_HUB_OFFLINE = offline
    for revision in ("v1", "main"):
        model, tokenizer = load(revision)
        ids = model.generate(class_labels="food", num_samples=3, generator=torch.Generator().manual_seed(0))
        results.append((ids, tokenizer.batch_decode(ids), dict(model.named_parameters())))
exec(card.text.split("```python")[1].split("```")[0])  # what the card says works, offline too
try:
    get_session().get(constants.ENDPOINT)
except OfflineModeIsEnabled:
    torch.save(results, sys.argv[1])
"""


@pytest.fixture
def expected(hub, folder):
    """What the model of the folder does, pushed as v1, and with other weights, pushed after it."""
    push(folder, "me/texts", revision="v1")
    first = LDEBMModel.from_pretrained(folder)
    second = LDEBMModel.from_pretrained(folder)
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.mul_(1.5)
    second.save_pretrained(folder)
    push(folder, "me/texts")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    results = []
    for model in (first, second):
        ids = model.generate(class_labels="food", num_samples=3, generator=torch.Generator().manual_seed(0))
        results.append((ids, tokenizer.batch_decode(ids), dict(model.named_parameters())))
    return results


def assert_same(results, expected):
    for (ids, texts, parameters), (same_ids, same_texts, same_parameters) in zip(results, expected, strict=True):
        assert torch.equal(ids, same_ids) and texts == same_texts and parameters.keys() == same_parameters.keys()
        assert all(torch.equal(parameters[name], same_parameters[name]) for name in parameters)


@pytest.mark.parametrize("package", [True, False])
def test_pull_from_the_hub_and_again_from_the_cache(hub, expected, tmp_path, package):
    online = {"HF_ENDPOINT": hub.address, "HF_TOKEN": "hf_me", "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    script = WITH_THE_PACKAGE if package else WITHOUT_THE_PACKAGE
    run_clean(script + ONLINE_AND_THEN_OFFLINE, tmp_path, tmp_path / "results", package=package, **online)
    assert_same(torch.load(tmp_path / "results"), [*expected, *expected])


def test_pickled_weights_on_the_hub_are_not_read(hub, folder):
    files = {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix in (".json", ".safetensors")}
    hub.create("models", "me/texts", files=files)
    LDEBMModel.from_pretrained("me/texts")
    pickled = io.BytesIO()
    torch.save(load_file(folder / "model.safetensors"), pickled)
    del files["model.safetensors"]
    hub.create("models", "me/pickled", files=files | {"pytorch_model.bin": pickled.getvalue()})
    with pytest.raises(OSError, match="me/pickled has no model.safetensors, and other files of weights"):
        LDEBMModel.from_pretrained("me/pickled")


@pytest.mark.parametrize("has_estimator", [True, False])
def test_estimator_of_the_hub_knows_its_labels(hub, folder, has_estimator):
    facts = {"corpus": {"splits": {"train": {"size": 3, "labelled": 3}}}}
    (folder / "run.json").write_text(json.dumps(facts))
    if has_estimator:
        params = {"output_dir": "/a/place", "validation_file": "/a/file"}
        EstimatorFile(params, {0: 7, 1: 9}).write(folder / "estimator.json")
    push(folder, "me/texts")
    files = hub.repositories["models", "me/texts"].files
    assert ("estimator.json" in files) == has_estimator
    assert not has_estimator or json.loads(files["estimator.json"])["params"] == {}
    loaded = LDEBM.load("me/texts")
    assert loaded.folder_ is None
    assert loaded._labels == ({0: 7, 1: 9} if has_estimator else {0: "food", 1: "drink"})
    labels = [7, 9, 7] if has_estimator else ["food", "drink", "food"]
    assert loaded.score(["bread"] * 3, labels) in (pytest.approx(1 / 3), pytest.approx(2 / 3))
