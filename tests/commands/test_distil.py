"""`ldebm distil`: what it saves beside the rest, who uses it, and what removes it."""

import json
from pathlib import Path

import pytest
import torch
from untrained import save_untrained

import ldebm_command
from ldebm_hf import LDEBMModel
from ldebm_hf.data import load_corpus
from ldebm_hf.reports.saved_symbols import save_symbols

QUICK = ["--num_steps", "2", "--num_chains", "20", "--hidden_size", "5", "--num_components", "3"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return Path(save_untrained(tmp_path_factory.mktemp("checkpoint"), load_corpus("synthetic")))


def test_the_sampler_is_saved_used_by_write_and_removed_with_merged_symbols(checkpoint, capsys):
    before, files = LDEBMModel.from_pretrained(checkpoint), sorted(checkpoint.iterdir())
    latents = before.sample_latents(3, generator=0)
    ldebm_command.main(["distil", str(checkpoint), *QUICK, "--guidance_scale", "2"])
    printed = capsys.readouterr().out
    assert "effective sample size" in printed and f"Saved in {checkpoint}" in printed
    saved = json.loads((checkpoint / "config.json").read_text())["distilled_sampler"]
    assert saved == {"hidden_size": 5, "num_components": 3, "guidance_scale": 2.0}
    assert set(files) <= set(checkpoint.iterdir()) and not any(path.is_dir() for path in checkpoint.iterdir())
    after = LDEBMModel.from_pretrained(checkpoint)
    assert torch.equal(after.sample_latents(3, generator=0), latents)

    words = ["--class_labels", "weather", "--guidance_scale", "2", "--num_samples", "2", "--json"]
    ldebm_command.main(["write", str(checkpoint), *words, "--sampler", "distilled"])
    assert len(json.loads(capsys.readouterr().out)) == 2
    with pytest.raises(SystemExit, match="error: guidance_scale must be 2 or 0 with sampler"):
        ldebm_command.main(["write", str(checkpoint), "--class_labels", "weather", "--sampler", "distilled"])

    after.merge_symbols([[0, 1]])
    save_symbols(checkpoint, after)
    merged = LDEBMModel.from_pretrained(checkpoint)
    assert merged.prior.distilled_sampler is None and merged.config.num_labels == before.config.num_labels - 1


def test_what_is_no_folder_of_a_model_is_an_error(tmp_path):
    with pytest.raises(SystemExit, match="^error: "):
        ldebm_command.main(["distil", str(tmp_path / "missing")])
