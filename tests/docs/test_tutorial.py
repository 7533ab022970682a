"""The tutorial's files and commands, as they stand there, with a smaller model and two steps of training."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TUTORIAL = (REPOSITORY / "docs/tutorial/first_model.md").read_text("utf-8")
SMALLER = ["--max_steps", "2", "--embedding_size", "16", "--encoder_hidden_size", "16", "--decoder_hidden_size", "16"]
SMALLER += ["--energy_hidden_size", "16", "--langevin_steps", "2", "--latent_size", "4"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", TUTORIAL)


@pytest.mark.slow
def test_its_commands_run(tmp_path):
    (tmp_path / "examples").symlink_to(REPOSITORY / "examples")
    make_messages, read_texts = blocks("python")
    (tmp_path / "make_messages.py").write_text(make_messages, "utf-8")
    (tmp_path / "read_texts.py").write_text(read_texts, "utf-8")
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "HF_HUB_OFFLINE": "1"}
    outputs = {}
    for line in "\n".join(blocks("bash")).replace("\\\n", " ").splitlines():
        command = shlex.split(line, comments=True)
        if not command:
            continue
        assert command[0] == "python"
        if command[1] == "examples/train.py":
            command += SMALLER
        done = subprocess.run(
            [sys.executable, *command[1:]], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{line}\n{done.stderr[-2000:]}"
        outputs[command[1]] = done.stdout

    assert (tmp_path / "messages.csv").read_text("utf-8").startswith("message,topic\n")
    assert (tmp_path / "outputs/texts/report.html").is_file()
    assert "bills and refunds" in outputs["examples/explain.py"]
    assert "bills and refunds" in outputs["examples/generate.py"]
    assert outputs["read_texts.py"].count("'score'") == 2
