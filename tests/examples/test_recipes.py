"""Recipes that no other test trains: what they say, and two steps of a tiny model."""

import math
from pathlib import Path

import pytest
import torch

from ldebm_hf.files.packaged import RECIPES
from ldebm_hf.training import Trainer, assemble, load_settings

TINY = [
    *("--embedding_size", "8", "--encoder_hidden_size", "8", "--decoder_hidden_size", "8", "--latent_size", "4"),
    *("--energy_hidden_size", "8", "--energy_num_blocks", "1", "--langevin_steps", "2", "--max_steps", "2"),
]


@pytest.fixture
def ptb(tmp_path) -> Path:
    """A folder in the layout of the Penn Treebank release, with eight different sentences."""
    nouns = ("stock", "bond", "index", "dollar")
    lines = [f"the {noun} {verb} N points" for noun in nouns for verb in ("fell", "rose")]
    (tmp_path / "ptb.train.txt").write_text("\n".join(3 * lines), encoding="utf-8")
    (tmp_path / "ptb.valid.txt").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def test_equations_as_printed(ptb):
    """Section 2.2 (linear variance), Algorithm 1 (uniform levels) and Eq. 12 (step sizes), in a model that trains."""
    arguments = ["--config", str(RECIPES / "ptb_as_printed.yaml"), "--data_dir", str(ptb), *TINY]
    settings = load_settings([*arguments, "--num_symbols", "3", "--output_dir", str(ptb / "out")])
    model, tokenizer, corpus = assemble(settings)
    levels = model.prior.levels
    variances = levels.step_std.square()
    torch.testing.assert_close(variances, torch.linspace(0.1, 0.9995, 6))
    assert torch.equal(levels.temperature, torch.ones(6)) and levels.marginal_scale[0] == 1
    assert set(levels.draw_levels(500).tolist()) == set(range(6)) and len(levels.draw_levels(500)) == 500
    torch.testing.assert_close(levels.energy_weight, torch.full((6,), 6.0))
    growth = torch.cumprod(levels.step_std, 0) / levels.step_std[0]  # c_t²
    torch.testing.assert_close(levels.langevin_variance, 2e-3 * growth * variances)
    scores = Trainer(model, tokenizer, corpus, settings).train()
    assert all(math.isfinite(value) for value in scores.values())
    assert model.generate(num_samples=2).shape[0] == 2
