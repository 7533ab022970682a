"""The folder of the Space: complete, runnable by itself, without what it does not need."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

READ_NAMES = """
from ldebm_hf import exploration
print(exploration.__file__, len(exploration.Explorer.from_checkpoint("synthetic_intents").names))
"""
SPACE = Path(__file__).parents[2] / "spaces_app"


@pytest.fixture(scope="module")
def deploy(space_on_path):
    import deploy

    return deploy


def test_folder_runs_without_the_repository(deploy, tmp_path):
    deploy.main(["--output_dir", str(tmp_path / "space")])
    names = {path.name for path in (tmp_path / "space").iterdir()}
    assert {"app.py", "tabs.py", "README.md", "requirements.txt", "ldebm_hf", "synthetic_intents", "priors"} == names
    environment = {"PYTHONPATH": str(tmp_path / "space"), "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)}
    command = [sys.executable, "-c", READ_NAMES]
    run = subprocess.run(command, cwd=tmp_path / "space", env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    place, number = run.stdout.split()
    assert place.startswith(str(tmp_path)) and number == "8"


def test_own_checkpoint_takes_the_place_of_the_shipped_one(deploy, checkpoint, tmp_path):
    deploy.assemble(tmp_path / "space", checkpoint)
    shipped = tmp_path / "space" / "synthetic_intents"
    assert (shipped / "model.safetensors").read_bytes() == Path(checkpoint, "model.safetensors").read_bytes()
    assert (shipped / "texts.txt").is_file() and not (shipped / "settings.yaml").exists()


def test_bad_folders(deploy, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ValueError, match="output_dir must be new or empty"):
        deploy.assemble(tmp_path / "full")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="checkpoint must hold a model.safetensors"):
        deploy.assemble(tmp_path / "space", str(tmp_path / "empty"))


def test_front_matter_and_requirements():
    front = yaml.safe_load((SPACE / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert front["sdk"] == "gradio" and (SPACE / front["app_file"]).is_file()
    assert front["python_version"] == "3.11" and front["suggested_hardware"] == "cpu-basic"
    assert len(front["short_description"]) <= 60
    lines = (SPACE / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = {re.split(r"[<>=]", line)[0] for line in lines if line and not line.startswith(("#", "-"))}
    assert {"torch", "transformers", "matplotlib"} <= names
    assert not any("faiss" in name for name in names)
