"""examples/likelihood.py on an untrained tiny model of the built-in corpus, and on one of points."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from untrained import load_script, save_untrained

from ldebm_hf import LDEBMModel
from ldebm_hf.data import load_corpus
from ldebm_hf.training import Settings
from ldebm_hf.training.settings import DataSettings

SCRIPT = Path(__file__).parents[2] / "examples" / "likelihood.py"
POINT_MODEL = {"preset": "vae", "modality": "point", "latent_size": 2, "point_hidden_size": 8}
QUICK = ["--max_examples", "5", "--num_posterior_samples", "50", "--num_annealed_samples", "10"]
QUICK += ["--num_temperatures", "3", "--num_fitting_rounds", "1", "--chunk_size", "3"]


@pytest.fixture(scope="module")
def likelihood():
    return load_script("likelihood")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    save_untrained(folder, load_corpus("synthetic"), preset="published")
    return folder


def test_both_sides_are_printed_and_every_figure_is_written(likelihood, checkpoint, capsys):
    likelihood.main([str(checkpoint), *QUICK, "--published"])
    printed = capsys.readouterr().out
    written = json.loads((checkpoint / "likelihood.json").read_text())
    summary = written["summary"]
    assert f"at most {-summary['lower']:.3f} ± {summary['lower_error']:.3f} nats a text" in printed
    assert f"by the other side of its normalisers {-summary['upper']:.3f} ± {summary['upper_error']:.3f}" in printed
    assert f"perplexity per token: {summary['perplexity']:.2f}" in printed
    assert f"published system's estimator: {-summary['published']:.3f}, which is no likelihood" in printed
    assert len(written["examples"]["lower"]) == 5
    with pytest.raises(FileExistsError):
        likelihood.main([str(checkpoint), *QUICK])
    (checkpoint / "likelihood.json").unlink()
    likelihood.main([str(checkpoint), *QUICK, "--split", "test", "--num_annealed_samples", "2"])
    assert not (checkpoint / "likelihood.json").exists() and (checkpoint / "likelihood.test.json").exists()


def test_points(likelihood, tmp_path, capsys):
    data = DataSettings(source="gaussians", num_points=100)
    settings = Settings(data=data, model=POINT_MODEL)
    corpus = settings.load_corpus()
    torch.manual_seed(0)
    config = settings.model_config(None, corpus.label_names, corpus.train.points)
    LDEBMModel(config).save_pretrained(tmp_path)
    settings.save(tmp_path / "settings.yaml")
    likelihood.main([str(tmp_path), *QUICK, "--output_file", str(tmp_path / "points.json")])
    printed = capsys.readouterr().out
    assert "5 points" in printed and "nats a point" in printed and "perplexity" not in printed
    assert (tmp_path / "points.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no nowhere/settings.yaml"),
        (["CHECKPOINT", "--max_examples", "0"], "--max_examples must be at least 1, got 0"),
        (["CHECKPOINT", "--num_temperatures", "0"], "num_temperatures must be at least 1, got 0"),
    ],
)
def test_errors_are_one_line(checkpoint, monkeypatch, arguments, message):
    arguments = [str(checkpoint) if word == "CHECKPOINT" else word for word in arguments]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    with pytest.raises(SystemExit) as exit_info:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert exit_info.value.code.startswith("error: ") and message in exit_info.value.code


def test_what_has_no_likelihood_here_is_refused(likelihood, tmp_path):
    with pytest.raises(ValueError, match="holds a model of documents: likelihoods are of texts and points"):
        likelihood.main([save_untrained(tmp_path / "of_documents", load_corpus("synthetic"), modality="document")])
    folder = tmp_path / "cut"
    save_untrained(folder, load_corpus("synthetic"))
    weights = load_file(folder / "model.safetensors")
    del weights["decoder.initial_state.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="cut lacks parameters of the model: decoder.initial_state.weight"):
        likelihood.main([str(folder), *QUICK])
