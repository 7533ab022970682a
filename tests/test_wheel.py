"""The wheel alone: it has all that the page needs, without a clone."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest
from tiny_models import write_tiny_checkpoint

REPOSITORY = Path(__file__).resolve().parents[1]
STARTS_THE_PAGE = """
import sys
import ldebm_command
import ldebm_hf

print(ldebm_hf.__file__, flush=True)
ldebm_command.main(["page", *sys.argv[1:]])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this working tree, built in a folder of its own, which leaves no build files here."""
    pytest.importorskip("setuptools", minversion="77")
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE", "ldebm_command.py"):
        shutil.copy(REPOSITORY / name, source)
    shutil.copytree(REPOSITORY / "ldebm_hf", source / "ldebm_hf", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    run = subprocess.run([*command, "--wheel-dir", built, source], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return next(built.glob("ldebm_hf-*.whl"))


def test_wheel_has_every_file_of_the_package_and_no_model(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    files = (path for path in (REPOSITORY / "ldebm_hf").rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert {str(path.relative_to(REPOSITORY)) for path in files} <= names
    assert "ldebm_command.py" in names and not any(name.endswith(".safetensors") for name in names)
    assert wheel.stat().st_size < 2e6, "bytes"


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--target"]
    subprocess.run([*command, folder, wheel], check=True, capture_output=True)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("has_checkpoint", [True, False], ids=["checkpoint", "own texts alone"])
def test_page_starts_from_the_wheel_alone(installed, tmp_path, has_checkpoint):
    pytest.importorskip("gradio")
    if not has_checkpoint:
        pytest.importorskip("faiss")
    arguments = []
    if has_checkpoint:
        texts = ["we like red fruit", "you sell bread"]
        arguments = [write_tiny_checkpoint(tmp_path / "tiny", texts, {0: "food", 1: "drink"})]
    environment = os.environ | {"PYTHONPATH": str(installed), "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", STARTS_THE_PAGE, *arguments],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        printed, found = "", None
        for line in process.stdout:
            printed += line
            if found := re.search(r"http://\S+", line):
                break
        assert str(installed) in printed and found, printed
        config = httpx.get(f"{found[0].rstrip('/')}/config", timeout=60).json()
        functions = {one["api_name"] for one in config["dependencies"]}
        assert "write" in functions if has_checkpoint else {"train", "write_own"} <= functions
    finally:
        process.terminate()
        process.wait()
    assert process.returncode == 0
