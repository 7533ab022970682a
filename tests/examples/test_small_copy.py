"""examples/small_copy.py: the copy with its card, and how it is scored and explained."""

import subprocess
from pathlib import Path

import pytest
import untrained

from ldebm_hf import LDEBMModel
from ldebm_hf.data import load_corpus


@pytest.fixture(scope="module")
def small_copy():
    return untrained.load_script("small_copy")


@pytest.fixture
def run(tmp_path):
    return untrained.save_untrained(tmp_path / "run", load_corpus("synthetic"))


def test_copy_alone(small_copy, run, tmp_path, capsys):
    small_copy.main([run, str(tmp_path / "copy"), "--unscored", "--examples", "will it rain"])
    assert LDEBMModel.from_pretrained(tmp_path / "copy").config.latent_size == 4
    card = (tmp_path / "copy" / "README.md").read_text("utf-8")
    assert "Weights are stored in bfloat16 and float32" in card and "imaginary city assistant" in card
    assert f"card: {tmp_path / 'copy' / 'README.md'}" in capsys.readouterr().out


def test_copy_is_scored_and_explained_without_texts(small_copy, run, tmp_path, monkeypatch):
    commands = []

    def scripts(command, check):
        commands.append([Path(command[1]).name, *command[2:]])
        (tmp_path / "copy" / "report.html").touch()

    monkeypatch.setattr(subprocess, "run", scripts)
    card, copy = tmp_path / "CARD.md", str(tmp_path / "copy")
    small_copy.main([run, copy, "--data_dir", "data", "--judge", "j", "--num_samples", "9", "--card", str(card)])
    common = ["--data_dir", "data", "--min_label_probability", "0.9"]
    assert commands == [
        ["evaluate.py", copy, *common, "--judge", "j", "--num_samples", "9"],
        ["explain.py", copy, "--split", "validation", "--no_texts", *common],
    ]
    assert not (tmp_path / "copy" / "report.html").exists() and "# copy" in card.read_text("utf-8")
    card.write_text("my own words")
    with pytest.raises(ValueError, match="CARD.md was edited by hand"):
        small_copy.main([run, copy, "--unscored", "--card", str(card)])
