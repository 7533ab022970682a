"""The folder of the Space: complete, runnable by itself, without what it does not need."""

import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest
import torch
import yaml
from clean_processes import run_python
from safetensors import safe_open

from ldebm_hf import LDEBMConfig
from ldebm_hf.reports.run_record import RunRecord
from ldebm_hf.reports.symbol_report import read_report
from ldebm_hf.training.saved_runs import shipped_checkpoint, shipped_checkpoints

READ_NAMES = """
from pathlib import Path
from ldebm_hf.web import page_requests
from ldebm_hf.training.saved_runs import shipped_checkpoint
shipped = shipped_checkpoint(Path.cwd())
print(page_requests.__file__, shipped.name, *page_requests.PageRequests.from_checkpoint(shipped).names.values())
"""
SPACE = Path(__file__).parents[2] / "spaces_app"


@pytest.fixture(scope="module")
def deploy(space_on_path):
    import deploy

    return deploy


@pytest.fixture(scope="module")
def shipped() -> Path:
    return shipped_checkpoint(SPACE)


def test_folder_runs_without_the_repository(deploy, shipped, tmp_path):
    deploy.main(["--output_dir", str(tmp_path / "space")])
    names = {path.name for path in (tmp_path / "space").iterdir()}
    assert names == {"app.py", "README.md", "requirements.txt", "ldebm_hf", "priors", shipped.name}
    environment = {"PYTHONPATH": str(tmp_path / "space"), "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)}
    run = run_python(["-c", READ_NAMES], tmp_path / "space", environment)
    assert run.returncode == 0, run.stderr
    place, name, *symbols = run.stdout.split()
    assert place.startswith(str(tmp_path)) and name == shipped.name
    assert symbols == list(LDEBMConfig.from_pretrained(shipped).id2label.values())


def test_space_shows_what_lies_in_its_folder(shipped, monkeypatch):
    pytest.importorskip("gradio")
    from ldebm_hf.web.page import serving

    shown = []
    monkeypatch.setattr(serving, "serve", lambda checkpoints, **options: shown.append((checkpoints, options)))
    monkeypatch.setattr(sys, "argv", ["app.py"])
    runpy.run_path(str(SPACE / "app.py"), run_name="__main__")
    ((checkpoints, options),) = shown
    assert checkpoints == [str(shipped)] and options["priors"] == SPACE / "priors"


def test_shipped_checkpoint_is_small_and_brings_no_texts_of_others(shipped):
    assert [place.parent for place in SPACE.glob("*/model.safetensors")] == [shipped]
    assert (shipped / "model.safetensors").stat().st_size <= 16e6
    with safe_open(shipped / "model.safetensors", "pt") as weights:
        prior = {weights.get_tensor(name).dtype for name in weights.keys() if name.startswith("prior.")}
    assert prior == {torch.float32}
    record = RunRecord.read(shipped)
    assert record.settings and record.evaluation and record.symbols
    report = read_report(shipped / "report.json")
    if record.setting("data.source") != "synthetic":
        assert not any(symbol["closest"] for symbol in report["symbols"])
        assert not any(text for *_, text in report["map"]["points"])


def test_own_checkpoint_takes_the_place_of_the_shipped_one(deploy, shipped, checkpoint, tmp_path):
    deploy.assemble(tmp_path / "space", [checkpoint])
    own = tmp_path / "space" / Path(checkpoint).name
    assert (own / "model.safetensors").read_bytes() == Path(checkpoint, "model.safetensors").read_bytes()
    assert (own / "texts.txt").is_file() and not (own / "settings.yaml").exists()
    assert not (tmp_path / "space" / shipped.name).exists()


def test_several_checkpoints_lie_beside_each_other(deploy, shipped, checkpoint, tmp_path):
    deploy.main(["--output_dir", str(tmp_path / "space"), "--checkpoint", checkpoint, str(shipped)])
    assert shipped_checkpoints(tmp_path / "space") == [tmp_path / "space" / "tiny", tmp_path / "space" / shipped.name]


def test_bad_folders(deploy, checkpoint, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ValueError, match="output_dir must be new or empty"):
        deploy.assemble(tmp_path / "full")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="checkpoint must contain a model.safetensors"):
        deploy.assemble(tmp_path / "space", [str(tmp_path / "empty")])
    shutil.copytree(checkpoint, tmp_path / "priors")
    with pytest.raises(ValueError, match="checkpoint must not be called 'priors'"):
        deploy.assemble(tmp_path / "other", [str(tmp_path / "priors")])
    with pytest.raises(ValueError, match=f"folders or Hub ids, not both, got {checkpoint} me/texts"):
        deploy.assemble(tmp_path / "mixed", [checkpoint, "me/texts"])
    assert not (tmp_path / "mixed").exists()


def test_front_matter_and_requirements():
    front = yaml.safe_load((SPACE / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert front["sdk"] == "gradio" and (SPACE / front["app_file"]).is_file()
    assert front["python_version"] == "3.11" and front["suggested_hardware"] == "cpu-basic"
    assert len(front["short_description"]) <= 60
    lines = (SPACE / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = {re.split(r"[<>=]", line)[0] for line in lines if line and not line.startswith(("#", "-"))}
    assert {"torch", "transformers", "matplotlib"} <= names
    assert not any("faiss" in name for name in names)
