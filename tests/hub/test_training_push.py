"""examples/train.py with --push_to_hub: the card of every run, the push at its end, and what happens without a Hub."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState, GradientState
from huggingface_hub import ModelCard

from ldebm_hf import LDEBMModel

SCRIPT = Path(__file__).parents[2] / "examples" / "train.py"
TINY = [
    *("--max_train_examples", "40", "--embedding_size", "8", "--encoder_hidden_size", "8", "--latent_size", "4"),
    *("--decoder_hidden_size", "8", "--energy_hidden_size", "8", "--energy_num_blocks", "1", "--langevin_steps", "1"),
    *("--max_steps", "2", "--per_device_train_batch_size", "8", "--preset", "consistent", "--enabled", "false"),
]


@pytest.fixture(autouse=True)
def fresh_accelerate_state(monkeypatch):
    monkeypatch.setattr("ldebm_hf.training.evaluation.NUM_PRIOR_SAMPLES", 16)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def train(monkeypatch, folder: Path, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--output_dir", str(folder), *TINY, *arguments])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def test_run_is_pushed_with_its_card(hub, tmp_path, monkeypatch, capsys):
    train(monkeypatch, tmp_path / "my_run", "--push_to_hub", "true")
    assert f"pushed to {hub.address}/me/my_run" in capsys.readouterr().out
    repository = hub.repositories["models", "me/my_run"]
    assert repository.private
    assert {"run.json", "README.md", "model.safetensors", "curves.png"} <= set(repository.files)
    card = ModelCard(repository.files["README.md"].decode())
    scores = {result.metric_type for result in card.data.eval_results}
    assert {"reconstruction_loss", "symbol_accuracy", "prior_distance"} <= scores
    facts = json.loads(repository.files["run.json"])
    assert facts["corpus"]["splits"]["train"] == {"size": 40, "labelled": 40}
    assert facts["parameters"] == LDEBMModel.from_pretrained(tmp_path / "my_run").num_parameters()
    assert "| torch |" in card.text and "CPU seconds" in card.text and "Every training text had a label" in card.text
    settings = repository.files["settings.yaml"]
    assert b"hub" not in settings and str(tmp_path).encode() not in settings, "nobody else pushes by these settings"


def test_failed_push_loses_nothing_and_says_how_to_go_on(hub, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "my run"
    hub.uploads_before_cut = 0
    train(monkeypatch, folder, "--push_to_hub", "true", "--hub_model_id", "me/texts", "--hub_private_repo", "false")
    printed = capsys.readouterr().out
    assert "not pushed: the connection to" in printed
    assert f"ldebm push '{folder}' me/texts --public\n" in printed
    assert LDEBMModel.from_pretrained(folder).config.latent_size == 4 and (folder / "README.md").is_file()
    hub.uploads_before_cut = None
    train(monkeypatch, folder, "--push_to_hub", "true", "--hub_model_id", "me/texts", "--hub_private_repo", "false",
          "--resume", "latest")  # fmt: skip
    assert "model.safetensors" in hub.repositories["models", "me/texts"].files


def test_token_is_tried_before_training(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(SystemExit, match="does not accept the token"):
        train(monkeypatch, tmp_path / "run", "--push_to_hub", "true")
    assert not (tmp_path / "run").exists()


def test_name_is_tried_before_training(hub, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match=r"hub_model_id \(default: the name of output_dir\) cannot be 'my run'"):
        train(monkeypatch, tmp_path / "my run", "--push_to_hub", "true")
    assert not (tmp_path / "my run").exists()


def test_odd_files_in_the_folder_cost_the_card_and_not_the_run(tmp_path, monkeypatch, capsys, caplog):
    folder = tmp_path / "my run"
    folder.mkdir()
    (folder / "likelihood.json").write_text('{"summary": {"unknown": 1}}')
    train(monkeypatch, folder)
    assert "could not write the model card" in caplog.text and not (folder / "README.md").exists()
    assert LDEBMModel.from_pretrained(folder).config.latent_size == 4
    assert f"ldebm write '{folder}' --num_samples 5" in capsys.readouterr().out


def test_run_that_is_not_pushed_has_a_card_too(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    train(monkeypatch, folder)
    assert f'from_pretrained("{folder}"' in (folder / "README.md").read_text("utf-8")
    for name in ("evaluation.json", "evaluation.test.json"):
        (folder / name).write_text('{"bleu": 1.0}')
    train(monkeypatch, folder, "--overwrite_output_dir", "true", "--seed", "5")
    assert not any(folder.glob("evaluation*")), "that was about another model"
