"""examples/train.py as a user calls it."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from ldebm_hf import LDEBMModel

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "examples" / "train.py"
TINY = """
data: {label_column: topic}
model: {embedding_size: 16, encoder_hidden_size: 16, decoder_hidden_size: 16, latent_size: 4, energy_hidden_size: 16,
        energy_num_blocks: 2, langevin_steps: 2}
training: {num_train_epochs: 2, per_device_train_batch_size: 8, logging_steps: 2}
"""


@pytest.fixture
def arguments(tmp_path) -> list[str]:
    """A recipe for a tiny model, a file with some labels, and an output folder."""
    words = {"sea": "wave salt fish boat tide", "city": "street tram house crowd lamp"}
    rows = [
        f"the {w} and a {v},{topic if w < v else ''}"
        for topic, ws in words.items()
        for w in ws.split()
        for v in ws.split()
    ]
    (tmp_path / "texts.csv").write_text("\n".join(["text,topic", *rows]), encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    return [
        "--config",
        str(tmp_path / "tiny.yaml"),
        "--data",
        str(tmp_path / "texts.csv"),
        "--output_dir",
        str(tmp_path / "out"),
    ]


def call(arguments: list[str]) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200)


def test_two_commands_train_and_resume(arguments, tmp_path):
    first = call([*arguments, "--max_steps", "3"])
    assert first.returncode == 0, first.stderr
    model = LDEBMModel.from_pretrained(tmp_path / "out")
    assert sorted(model.config.label2id) == ["city", "sea"] and model.config.latent_size == 4
    assert AutoTokenizer.from_pretrained(tmp_path / "out").eos_token_id == model.config.eos_token_id
    assert (tmp_path / "out" / "metrics.jsonl").exists() and (tmp_path / "out" / "curves.png").exists()
    assert "rec=" in first.stderr and "acc=" in first.stderr, "the bar shows losses and symbol accuracy"
    assert "45 training and 5 validation texts" in first.stdout
    assert f"The best model is in {tmp_path / 'out'}" in first.stdout

    second = call([*arguments, "--resume", "latest"])
    assert second.returncode == 0, second.stderr
    assert f"resuming from {tmp_path / 'out' / 'checkpoints' / 'step-00000003'}" in second.stdout


def test_divergence_ends_with_one_line_and_an_exit_code(arguments, tmp_path):
    run = call([*arguments, "--learning_rate", "1e30", "--max_grad_norm", "none"])
    assert run.returncode == 1
    assert "error: training diverged at step" in run.stderr and "Traceback" not in run.stderr
    assert not (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--learnin_rate", "1"], "did you mean learning_rate"),
        (["--label_column", "subject"], "subject"),
        (["--data", "nowhere.csv"], "nowhere.csv"),
        (["--num_symbols", "1"], "more than num_symbols=1"),
        (["--num_symbols", "99"], "fewer than num_symbols=99"),
        (["--num_components", "9"], "num_components=9 must not be more than latent_size=4"),
        (["--dropout", "2"], "dropout must be"),
        (["--metric_for_best_model", "bleu"], "metric_for_best_model must"),
        (["--resume", "nowhere"], "there is no such folder"),
    ],
)
def test_mistakes_are_one_line_before_training_starts(arguments, monkeypatch, extra, message):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments, *extra])
    with pytest.raises(SystemExit, match=message) as stop:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert str(stop.value).startswith("error: ") and "\n" not in str(stop.value)


def test_help_names_the_settings(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--help"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert "--learning_rate 0.001" in capsys.readouterr().out
