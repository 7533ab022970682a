import numpy as np
import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError

from ldebm_hf.model.configuration_ldebm import LDEBMConfig
from ldebm_hf.model.noise_schedule import LevelConstants, langevin_step_variance, noise_schedule

# sigma_1..sigma_6, s_t^2 and the loss weights of the published system with T = 6.
PUBLISHED_STEP_STD = [0.323680, 0.516495, 0.632211, 0.713242, 0.773369, 0.999741]
PUBLISHED_MARGINAL_STD = [0.010000, 0.323818, 0.586219, 0.778453, 0.898013, 0.960314]
PUBLISHED_LANGEVIN_VARIANCE = [2.095e-4, 0.017277, 0.046861, 0.079202, 0.107420, 0.191963]
PUBLISHED_WEIGHT = [1.0, 0.6267, 0.5120, 0.4538, 0.4185, 0.3238]


def test_published_schedule_has_the_published_numbers():
    schedule = noise_schedule(LDEBMConfig.from_preset("published"))
    np.testing.assert_allclose(schedule.step_std, PUBLISHED_STEP_STD, atol=6e-7)
    np.testing.assert_allclose(schedule.marginal_std, PUBLISHED_MARGINAL_STD, atol=6e-7)


def test_published_steps_and_weights():
    tables = LevelConstants(LDEBMConfig.from_preset("published"))
    np.testing.assert_allclose(tables.langevin_variance, PUBLISHED_LANGEVIN_VARIANCE, rtol=3e-4)
    np.testing.assert_allclose(tables.energy_weight, PUBLISHED_WEIGHT, atol=6e-5)
    np.testing.assert_allclose(tables.temperature, tables.langevin_variance)
    assert tables.latent_scale[-1] == 1 and tables.center_scale.tolist() == [1, 1, 1, 1, 1, 0]


def test_paper_step_rule_has_the_printed_formulas_values():
    config = LDEBMConfig(langevin_step_rule="paper", langevin_step_size=2e-3, base_level_noise=True)
    schedule = noise_schedule(config)
    factor = langevin_step_variance(config, schedule) / (2e-3 * schedule.step_std**2)
    np.testing.assert_allclose(factor, [1, 0.516, 0.327, 0.233, 0.180, 0.180], atol=6e-4)


@pytest.mark.parametrize("share", [1e-4, 0.3, 1.0])
def test_drift_of_the_integrators(share):
    """Euler: s²/2. Exponential: (1-ρ) v, which leaves N(m, v) invariant, ρ² v + s² = v; s²/2 for small steps."""
    level = torch.arange(6)
    settings = {"langevin_step_rule": "relative", "langevin_step_size": share, "langevin_step_decay": 1.0}
    tables = LevelConstants(LDEBMConfig(**settings, langevin_integrator="exponential"))
    step_variance, drift = tables.langevin_steps(level, 3)
    variance = step_variance / share
    torch.testing.assert_close((1 - drift / variance) ** 2 * variance + step_variance, variance)
    same, euler = LevelConstants(LDEBMConfig(**settings, langevin_integrator="euler")).langevin_steps(level, 3)
    assert torch.equal(same, step_variance) and torch.equal(euler, step_variance / 2)
    torch.testing.assert_close(drift, euler, rtol=share + 1e-3, atol=0)


def test_steps_shrink_linearly():
    config = LDEBMConfig(langevin_step_size=0.8, langevin_step_decay=0.25)
    tables = LevelConstants(config)
    step_variance, _ = tables.langevin_steps(torch.tensor([4, 0]), 4)
    expected = torch.tensor([0.8, 0.6, 0.4, 0.2])[:, None, None] * tables.gaussian_variance[[4, 0], None]
    torch.testing.assert_close(step_variance, expected)
    assert tables.langevin_steps(torch.tensor([4, 0]), 0)[0].shape == (0, 2, 1)


def test_exponential_steps_must_not_be_larger_than_the_gaussian_part():
    with pytest.raises(StrictDataclassClassValidationError, match="langevin_step_size must be at most 1 with"):
        LDEBMConfig(langevin_step_size=1.5)
    LevelConstants(LDEBMConfig(langevin_step_size=1.5, langevin_integrator="euler"))
    too_large = LDEBMConfig.from_preset("published", langevin_integrator="exponential", langevin_step_size=0.03)
    with pytest.raises(ValueError, match="langevin_step_size must be at most 0.0104 with the exponential.*got 0.03"):
        LevelConstants(too_large)


def test_linear_variance_schedule_is_linear_in_the_variance():
    config = LDEBMConfig(
        noise_schedule="linear_variance",
        base_level_noise=False,
        langevin_step_rule="relative",
        noise_range=[0.1, 0.9],
        num_levels=5,
    )
    np.testing.assert_allclose(noise_schedule(config).step_std ** 2, [0.1, 0.3, 0.5, 0.7, 0.9])


@pytest.mark.parametrize("preset", ["published", "consistent"])
def test_diffuse_has_the_closed_form_moments(preset):
    """Means and variances of z̃_t and z_{t+1} given z, to 5 standard errors of n draws."""
    n = 40_000
    config = LDEBMConfig.from_preset(preset, latent_size=1)
    tables = LevelConstants(config)
    generator = torch.Generator().manual_seed(0)
    for t in range(config.num_levels):
        scaled, z_next = tables.diffuse(torch.full((n, 1), 2.0), torch.full((n,), t), generator)
        mean = 2 * tables.marginal_scale[t]
        variance = tables.marginal_std[t] ** 2
        expected = [
            (scaled, tables.latent_scale[t] * mean, tables.latent_scale[t] ** 2 * variance),
            (z_next, tables.step_scale[t] * mean, tables.step_scale[t] ** 2 * variance + tables.step_std[t] ** 2),
        ]
        for draws, expected_mean, expected_variance in expected:
            assert abs(draws.mean() - expected_mean) <= 5 * (expected_variance / n).sqrt() + 1e-6
            assert abs(draws.var() - expected_variance) <= 5 * expected_variance * (2 / n) ** 0.5 + 1e-9


def test_drawn_levels_follow_the_level_sampling():
    generator = torch.Generator().manual_seed(0)

    def levels(sampling):
        return LevelConstants(LDEBMConfig(level_sampling=sampling)).draw_levels(6000, generator)

    published, uniform, every = levels("published"), levels("uniform"), levels("all")
    assert (published[6000:] == 5).all() and published[:6000].max() == 4
    five_standard_errors = 5 * (6000 * 0.2) ** 0.5
    assert (published[:6000].bincount() - 1200).abs().max() < five_standard_errors
    assert len(uniform) == 6000 and (uniform.bincount(minlength=6) - 1000).abs().max() < five_standard_errors
    assert every.bincount().tolist() == [6000] * 6


@pytest.mark.parametrize("sampling", ["published", "uniform", "all"])
def test_likelihood_weights_do_not_depend_on_the_level_sampling(sampling):
    """Σ over drawn levels of the weights is, on average, Σ_t 1/τ_t."""
    config = LDEBMConfig(level_sampling=sampling, level_weighting="likelihood")
    tables = LevelConstants(config)
    generator = torch.Generator().manual_seed(0)
    level = tables.draw_levels(20_000, generator)
    drawn = (tables.temperature * tables.energy_weight)[level].sum() / 20_000
    # per example at most one of two values with spread T/2: 5 standard errors of 20,000 draws
    assert abs(drawn - config.num_levels) < 5 * config.num_levels / 2 / 20_000**0.5


@pytest.mark.parametrize("schedule", ["published", "linear_variance"])
def test_a_single_level_goes_from_z_to_pure_noise(schedule):
    tables = LevelConstants(LDEBMConfig.from_preset("svebm", noise_schedule=schedule, latent_size=2))
    latents = torch.randn(20_000, 2)
    scaled, z_next = tables.diffuse(latents, torch.zeros(20_000, dtype=torch.long), torch.Generator().manual_seed(0))
    assert torch.equal(scaled, latents) and torch.equal(tables.first_level(latents, base_noise=True), latents)
    five_standard_errors = 5 / 20_000**0.5
    assert (z_next.T.cov() - torch.eye(2)).abs().max() < 2**0.5 * five_standard_errors
    assert z_next.mean(0).abs().max() < five_standard_errors
    assert (z_next * latents).mean(0).abs().max() < five_standard_errors  # z_next is independent of z
    assert tables.gaussian_variance.tolist() == tables.energy_weight.tolist() == [1.0]
    assert tables.langevin_variance.tolist() == [0.25] and tables.draw_levels(3).tolist() == [0, 0, 0]


def test_published_step_rule_needs_the_base_level():
    with pytest.raises(StrictDataclassClassValidationError, match="langevin_step_rule.*base_level_noise"):
        LDEBMConfig(langevin_step_rule="published", base_level_noise=False)
