"""Samples of models of points side by side, and their scores, of untrained models."""

import numpy as np
import pytest
import torch

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.web.limits import BadRequest
from ldebm_hf.web.map_drawing import draw_priors
from ldebm_hf.web.prior_comparison import POOL_SIZE, PriorComparison


@pytest.fixture
def folder(tmp_path):
    for preset in ("vae", "gm_vae"):
        torch.manual_seed(0)
        config = LDEBMConfig.from_preset(preset, modality="point", latent_size=2, point_hidden_size=8)
        LDEBMModel(config).save_pretrained(tmp_path / "gaussians" / preset)
    return tmp_path / "gaussians"


def test_draws_are_the_models_own_and_scored(folder):
    comparison = PriorComparison.from_folder(folder)
    draws = comparison.draw(200, seed=3)
    assert [draw.title for draw in draws] == ["standard normal (VAE)", "mixture of Gaussians (GM-VAE)"]
    model = LDEBMModel.from_pretrained(folder / "vae")
    pool = model.generate(num_samples=POOL_SIZE, do_sample=True, generator=torch.Generator().manual_seed(0)).numpy()
    assert {tuple(point) for point in draws[0].points} <= {tuple(point) for point in pool}
    assert len({tuple(point) for point in draws[0].points}) == 200, "each point once"
    np.testing.assert_array_equal(draws[0].points, comparison.draw(200, seed=3)[0].points)
    assert (draws[0].points != comparison.draw(200, seed=4)[0].points).any()
    assert draws[0].num_modes == 16 and 0 <= draws[0].off_mode <= 1
    assert draws[0].energy_distance > 1  # far: nothing was learned
    picture = draw_priors(comparison.true_points(200, 3), draws)
    assert picture.size == (3 * 348 + 8, 378) and np.asarray(picture).std() > 0


def test_bad_requests_and_folders(folder, tmp_path):
    comparison = PriorComparison.from_folder(folder)
    with pytest.raises(BadRequest, match="number of points must be a whole number from 100 to 3000, but it is 99"):
        comparison.draw(99)
    with pytest.raises(BadRequest, match="seed must be"):
        comparison.draw(100, seed=-1)
    with pytest.raises(FileNotFoundError, match="no models of points"):
        PriorComparison.from_folder(tmp_path)
    with pytest.raises(ValueError, match="data must be one of gaussians, pinwheel, got 'moons'"):
        PriorComparison("moons", {})
