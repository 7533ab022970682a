"""examples/respond.py as a user calls it, in this process."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.training import Settings, assemble

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TURNS = [("driver", "will it rain"), ("assistant", "in which city"), ("driver", "in vienna"), ("assistant", "no")]
MODEL = {"num_symbols": 3, "embedding_size": 8, "encoder_hidden_size": 8, "decoder_hidden_size": 8, "latent_size": 4,
         "energy_hidden_size": 8, "energy_num_blocks": 1, "langevin_steps": 2, "context_size": 8,
         "context_hidden_size": 4}  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """An untrained model of a tiny release, with its settings beside it."""
    folder = tmp_path_factory.mktemp("responses")
    turns = [{"turn": speaker, "data": {"utterance": text}} for speaker, text in TURNS]
    entry = {"dialogue": turns, "scenario": {"task": {"intent": "weather"}}}
    for name in ("train", "dev"):
        (folder / f"kvret_{name}_public.json").write_text(json.dumps([entry] * 4))
    data = {"source": "smd", "data_dir": str(folder), "context_turns": 3}
    settings = Settings.from_dict({"data": data, "model": MODEL})
    torch.manual_seed(0)
    model, tokenizer, _ = assemble(settings)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings.save(folder / "settings.yaml")
    return folder


def call(monkeypatch, capsys, script, *arguments) -> str:
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    runpy.run_path(str(EXAMPLES / script), run_name="__main__")
    return capsys.readouterr().out


def test_one_response_for_every_symbol(checkpoint, monkeypatch, capsys):
    shown = call(monkeypatch, capsys, "respond.py", checkpoint, "--turns", "will it rain", "in vienna")
    assert shown.startswith("  will it rain\n  in vienna\n") and shown.count("LABEL_") == 3


def test_contexts_of_the_corpus(checkpoint, monkeypatch, capsys):
    shown = call(monkeypatch, capsys, "respond.py", checkpoint, "--num_contexts", 2, "--no_symbols")
    assert shown.count("what was said: <") == 2 and "LABEL_" not in shown
    again = call(monkeypatch, capsys, "respond.py", checkpoint, "--num_contexts", 2, "--no_symbols")
    assert again == shown


def test_other_models_and_symbols_are_refused(checkpoint, monkeypatch, capsys, tmp_path):
    with pytest.raises(SystemExit, match="class_labels must be of .* got 'angry'"):
        call(monkeypatch, capsys, "respond.py", checkpoint, "--turns", "--class_labels", "angry")
    with pytest.raises(SystemExit, match="holds a model with contexts: examples/respond.py"):
        call(monkeypatch, capsys, "generate.py", checkpoint)
    sizes = {name: value for name, value in MODEL.items() if not name.startswith("context")}
    LDEBMModel(LDEBMConfig(vocab_size=9, **sizes)).save_pretrained(tmp_path)
    with pytest.raises(SystemExit, match="holds a model without contexts"):
        call(monkeypatch, capsys, "respond.py", tmp_path)
