"""Scores of models of points whose prior and decoder are set by hand."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.data import POINT_DISTRIBUTIONS, PointSplit
from ldebm_hf.scores import PointSamples, draw_samples, floor_scores, score_points, score_samples

GRID = POINT_DISTRIBUTIONS["gaussians"]
SPLIT = PointSplit(*GRID.sample(3000, 5))
MODES = {"modes_covered", "weight_error", "off_mode"}
DISTANCES = {"x_energy_distance", "x_sliced_wasserstein"}
TINY = {"modality": "point", "latent_size": 2, "point_hidden_size": 16, "energy_hidden_size": 8, "langevin_steps": 2}


def tiny_model(preset: str, **settings) -> LDEBMModel:
    torch.manual_seed(0)
    settings = TINY | {"num_symbols": 16} | settings
    if preset == "consistent":
        settings["energy_num_blocks"] = 1
    return LDEBMModel(LDEBMConfig.from_preset(preset, **settings))


def perfect_samples(num_samples: int = 3000) -> PointSamples:
    """Samples of a perfect model, whose latents are the points in other units."""
    points = GRID.sample(num_samples, 7)[0]
    data = SPLIT.points
    latents = [x / 20 - 3 for x in (data, points)]
    return PointSamples(data, data, data, points, *latents, 2, SPLIT.labels, SPLIT.labels)


def test_perfect_model_scores_the_floor_and_perfect_symbols():
    scores = score_samples(perfect_samples(), GRID)
    floors = [floor_scores(SPLIT, GRID, 3000, seed) for seed in range(5)]
    assert scores["modes_covered"] == floors[0]["modes_covered"] == 16
    for name in (MODES | DISTANCES) - {"modes_covered"}:
        values = [floor[name] for floor in floors]
        assert abs(scores[name] - np.mean(values)) < 6 * np.std(values) + 1e-3, name
    assert scores["reconstruction_rms"] == 0
    assert scores["v_measure"] == pytest.approx(1) and scores["v_measure_chance"] < 0.1
    # In standard deviations, so 8.5 times less than the same distances of points.
    expected = scores["x_sliced_wasserstein"] / SPLIT.points.std()
    assert scores["z_sliced_wasserstein"] == pytest.approx(expected, rel=0.05)


def test_each_fault_changes_its_own_scores():
    good = score_samples(perfect_samples(), GRID)
    collapsed = perfect_samples()
    collapsed.prior_points = GRID.sample(3000, 7)[0] * 0.1
    scores = score_samples(collapsed, GRID)
    assert scores["modes_covered"] <= 4 < good["modes_covered"]
    assert scores["x_energy_distance"] > 1 > good["x_energy_distance"]
    assert scores["x_sliced_wasserstein"] > 3 * good["x_sliced_wasserstein"]
    assert {n for n in scores if scores[n] != good[n]} <= MODES | DISTANCES

    shifted = perfect_samples()
    shifted.prior_latents = shifted.prior_latents + 1
    scores = score_samples(shifted, GRID)
    assert scores["z_energy_distance"] > 1 > good["z_energy_distance"]
    assert {n for n in scores if scores[n] != good[n]} == {"z_energy_distance", "z_sliced_wasserstein"}

    blurred = perfect_samples()
    blurred.reconstructions = blurred.data + np.float32([3, 4])
    assert score_samples(blurred, GRID)["reconstruction_rms"] == pytest.approx(5, rel=1e-5)

    between = perfect_samples()
    between.prior_points = np.zeros((10, 2), np.float32)  # among the four modes in the middle
    scores = score_samples(between, GRID)
    assert scores["off_mode"] == scores["weight_error"] == 1 and scores["modes_covered"] == 0


@pytest.mark.parametrize("preset", ["consistent", "svebm", "vae", "gm_vae", "discrete_vae", "semi_vae"])
def test_models_of_all_kinds_are_scored(preset):
    model = tiny_model(preset)
    scores = score_points(model, SPLIT, GRID, num_samples=300)
    symbols = {"v_measure", "adjusted_rand", "v_measure_chance"}
    expected = MODES | DISTANCES | {"z_energy_distance", "z_sliced_wasserstein", "reconstruction_rms"}
    assert expected <= scores.keys() and symbols.isdisjoint(scores) == (not model.has_symbols)
    assert np.isfinite(list(scores.values())).all()
    assert score_points(model, SPLIT, GRID, num_samples=300) == scores
    assert score_points(model, SPLIT, GRID, num_samples=300, seed=1) != scores
    assert MODES.isdisjoint(score_points(model, SPLIT, num_samples=300))


def test_codes_are_drawn_from_the_posterior():
    model = tiny_model("discrete_vae", num_symbols=4)
    split = PointSplit(np.repeat(SPLIT.points[:1], 4000, axis=0), np.full(4000, -100))
    samples = draw_samples(model, split, 4000)
    assert set(np.unique(samples.posterior_latents)) == {0, 1}
    assert (samples.posterior_latents.sum(1) == 1).all() and samples.gaussian_size == 0
    expected = model.encode(points=torch.from_numpy(split.points[:1])).posterior_mean[0].detach().numpy()
    # A share has a standard deviation of at most 0.5 / √4000 = 0.008.
    np.testing.assert_allclose(samples.posterior_latents.mean(0), expected, atol=4 * 0.008)


def test_gaussian_latents_are_drawn_from_the_posterior():
    model = tiny_model("vae")
    split = PointSplit(np.repeat(SPLIT.points[:1], 4000, axis=0), np.full(4000, -100))
    latents = draw_samples(model, split, 4000).posterior_latents
    posterior = model.encode(points=torch.from_numpy(split.points[:1]))
    std = (posterior.posterior_log_variance / 2).exp()[0].detach().numpy()
    mean = posterior.posterior_mean[0].detach().numpy()
    np.testing.assert_array_less(np.abs(latents.mean(0) - mean), 4 * std / 4000**0.5)
    np.testing.assert_allclose(latents.std(0), std, rtol=4 / (2 * 4000) ** 0.5)


def test_floor_without_a_distribution_is_of_two_halves():
    scores = floor_scores(SPLIT)
    assert scores.keys() == DISTANCES and scores["x_energy_distance"] < 0.1


@pytest.mark.parametrize("preset", ["consistent", "vae"])
def test_samples_survive_a_file(tmp_path, preset):
    samples = draw_samples(tiny_model(preset), SPLIT, 50)
    samples.save(tmp_path / "samples.npz")
    loaded = PointSamples.load(tmp_path / "samples.npz")
    for field in fields(PointSamples):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(samples, field.name))
    assert (loaded.symbols is None) == (preset == "vae")
