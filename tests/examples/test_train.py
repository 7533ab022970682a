"""examples/train.py as a user calls it."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from clean_processes import run_python
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
    return run_python([SCRIPT, *arguments])


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


TINY_POINTS = [
    *("--point_hidden_size", "16", "--energy_hidden_size", "16", "--energy_num_blocks", "2", "--langevin_steps", "2"),
    *("--per_device_train_batch_size", "20", "--max_steps", "3"),
]


def run_here(monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    runpy.run_path(str(SCRIPT), run_name="__main__")


@pytest.mark.parametrize(("recipe", "num_symbols"), [("gaussians", 16), ("pinwheel", 10)])
def test_recipes_of_points_train_and_resume(tmp_path, monkeypatch, capsys, recipe, num_symbols):
    arguments = ["--config", recipe, *TINY_POINTS, "--num_points", "60", "--output_dir", str(tmp_path / "out")]
    run_here(monkeypatch, *arguments, "--max_steps", "2", "--lr_scheduler_type", "constant")
    printed = capsys.readouterr().out
    assert f"{recipe}: 60 training and 6 validation points" in printed
    assert "0 training points have a label, 60 symbols by clustering of latents\n" in printed
    assert f"python examples/synthetic.py {tmp_path / 'out'}\n" in printed
    model = LDEBMModel.from_pretrained(tmp_path / "out")
    assert model.config.num_labels == num_symbols and model.generate(num_samples=3).shape == (3, 2)
    run_here(monkeypatch, *arguments, "--lr_scheduler_type", "constant", "--resume", "latest")
    assert f"resuming from {tmp_path / 'out' / 'checkpoints' / 'step-00000002'}" in capsys.readouterr().out


@pytest.mark.parametrize(("preset", "symbols"), [("consistent", "5 symbols"), ("vae", "no symbols")])
def test_any_two_columns_are_points_to_train_on(tmp_path, monkeypatch, capsys, preset, symbols):
    rows = "".join(f"{i % 7},{i * i % 11},{i}\n" for i in range(50))
    (tmp_path / "my_points.csv").write_text("x,y,number\n" + rows, encoding="utf-8")
    arguments = ["--data", str(tmp_path / "my_points.csv"), "--modality", "point", "--point_columns", "x,y"]
    arguments += ["--num_symbols", "5", "--preset", preset, "--output_dir", str(tmp_path / "out"), *TINY_POINTS]
    run_here(monkeypatch, *arguments)
    printed = capsys.readouterr().out
    assert f"parameters, {symbols}, 3 steps" in printed
    config = LDEBMModel.from_pretrained(tmp_path / "out").config
    assert config.point_center == pytest.approx([3, 4], abs=1) and config.num_labels == 5


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
        (["--features", "whitened", "--num_components", "9"], "num_components=9 must not be more than latent_size=4"),
        (["--dropout", "2"], "dropout must be"),
        (["--metric_for_best_model", "bleu"], "metric_for_best_model must"),
        (["--resume", "nowhere"], "there is no such folder"),
    ],
)
def test_mistakes_are_one_line_before_training_starts(arguments, monkeypatch, extra, message):
    with pytest.raises(SystemExit, match=message) as stop:
        run_here(monkeypatch, *arguments, *extra)
    assert str(stop.value).startswith("error: ") and "\n" not in str(stop.value)


@pytest.mark.parametrize(("max_length", "said"), [(6, True), (8, False)])  # 5 words with <s> and </s> are 7 tokens
def test_texts_that_are_cut_are_counted(arguments, monkeypatch, capsys, max_length, said):
    run_here(monkeypatch, *arguments, "--max_steps", "1", "--max_length", str(max_length))
    printed = capsys.readouterr().out
    options = "(data.vocab_size, data.max_length)"
    assert (f"note: training texts: 45 of 45 texts are cut to 6 tokens {options}" in printed) is said
    assert (f"note: validation texts: 5 of 5 texts are cut to 6 tokens {options}" in printed) is said
    assert printed.count(" cut to ") == 2 * said


def test_help_names_the_settings(capsys, monkeypatch):
    with pytest.raises(SystemExit):
        run_here(monkeypatch, "--help")
    assert "--learning_rate 0.001" in capsys.readouterr().out


def test_without_a_network_one_sentence_names_the_recipe_without_an_encoder(arguments, tmp_path):
    asked = ["--config", "texts_pretrained", *arguments[2:]]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    run = run_python([SCRIPT, *asked], environment=environment)
    assert run.returncode == 1 and len(run.stderr.splitlines()) == 1
    assert run.stderr.startswith("error: encoder_name_or_path='sentence-transformers/all-MiniLM-L6-v2' is neither a ")
    assert "--config texts\n" in run.stderr and not (tmp_path / "out").exists()
