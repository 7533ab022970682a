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


@pytest.mark.parametrize("schedule", ["published", "linear_variance"])
def test_no_level_but_the_last_may_keep_next_to_nothing(schedule):
    settings = {"noise_schedule": schedule, "num_levels": 2, "langevin_integrator": "euler"}
    first = {"published": 0.1, "linear_variance": 1 - 1e-7}[schedule]
    message = r"noise_range must be such that every level but the last keeps .*, got \["
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        LDEBMConfig(noise_range=[first, first], **settings)
    schedule = noise_schedule(LDEBMConfig(noise_range=[0.002, 0.02], **settings))
    assert (schedule.step_scale[:-1] >= 1e-3).all()


def test_exponential_steps_must_not_be_larger_than_the_gaussian_part():
    with pytest.raises(StrictDataclassClassValidationError, match="langevin_step_size must be at most 1 with"):
        LDEBMConfig(langevin_step_size=1.5)
    LevelConstants(LDEBMConfig(langevin_step_size=1.5, langevin_integrator="euler"))
    message = "langevin_step_size must be at most 0.0104 with langevin_integrator='exponential' and "
    settings = {"langevin_integrator": "exponential", "langevin_step_size": 0.03}
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        LDEBMConfig.from_preset("published", **settings)
    unused = LDEBMConfig.from_preset("published", prior="gaussian", normalize_posterior=False, **settings)
    with pytest.raises(ValueError, match=message):
        LevelConstants(unused)


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


def test_stratified_levels_are_as_many_of_each_and_dealt_out_at_random():
    tables = LevelConstants(LDEBMConfig(level_sampling="stratified", num_levels=6))
    generator = torch.Generator().manual_seed(0)
    batches = torch.stack([tables.draw_levels(16, generator) for _ in range(3000)])
    counts = torch.stack([levels.bincount(minlength=6) for levels in batches])
    assert counts.min() == 2 and counts.max() == 3
    of_first_example = batches[:, 0].bincount(minlength=6) / 3000
    five_standard_errors = 5 * (1 / 6 * 5 / 6 / 3000) ** 0.5
    assert (of_first_example - 1 / 6).abs().max() < five_standard_errors
    of_levels = counts.float().mean(0) / 16
    assert (of_levels - 1 / 6).abs().max() < five_standard_errors / 16**0.5
    together = (batches[:, 0] == batches[:, 1]).float().mean()  # less often than independent levels, 1/6
    assert together < 1 / 6 - 0.01
    fewer = LevelConstants(LDEBMConfig(level_sampling="stratified", num_levels=6)).draw_levels(1, generator)
    assert fewer.shape == (1,) and 0 <= fewer < 6


@pytest.mark.parametrize("sampling", ["published", "uniform", "stratified", "all"])
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


def test_single_level_has_one_entry_of_everything():
    schedule = noise_schedule(LDEBMConfig.from_preset("svebm"))
    assert schedule.step_std.tolist() == [1] and schedule.step_scale.tolist() == [0]
    assert schedule.marginal_scale.tolist() == [1] and schedule.marginal_std.tolist() == [0]


@pytest.mark.parametrize("base_level_noise", [True, False])
def test_published_schedule_is_the_cumulative_product_at_equally_spaced_steps(base_level_noise):
    """Of 1,000 steps with variances of 1e-4 to 0.02, or as given: ends of levels, and the last step of all."""
    for first, last, settings in ((1e-4, 0.02, {}), (2e-4, 0.01, {"noise_range": [2e-4, 0.01]})):
        config = LDEBMConfig(num_levels=5, base_level_noise=base_level_noise, **settings)
        cumulative = np.cumprod(np.sqrt(1 - np.linspace(first, last, 1000)))
        ends = cumulative[[0, 125, 250, 375, 500, 999]]
        schedule = noise_schedule(config)
        scale = np.array([ends[0] if base_level_noise else 1.0, *ends[1:5]])
        np.testing.assert_allclose(schedule.marginal_scale, scale)
        np.testing.assert_allclose(schedule.marginal_std, np.sqrt(1 - scale**2), atol=1e-12)
        np.testing.assert_allclose(schedule.step_scale, ends[1:] / scale)
        np.testing.assert_allclose(schedule.step_scale**2 + schedule.step_std**2, 1)


def test_published_schedule_has_no_more_levels_than_its_steps_allow():
    assert len(noise_schedule(LDEBMConfig(num_levels=501)).step_std) == 501
    message = "num_levels must be at most 501 with the published noise schedule, got 502"
    with pytest.raises(ValueError, match=message):
        noise_schedule(LDEBMConfig(prior="gaussian", num_levels=502))
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        LDEBMConfig(num_levels=502)


def test_linear_variance_schedule_by_default():
    settings = {"noise_schedule": "linear_variance", "base_level_noise": False, "langevin_step_rule": "relative"}
    schedule = noise_schedule(LDEBMConfig(num_levels=3, **settings))
    np.testing.assert_allclose(schedule.step_std**2, [0.1, 0.54975, 0.9995])
    np.testing.assert_allclose(schedule.marginal_scale**2, [1, 0.9, 0.9 * 0.45025])


@pytest.mark.parametrize("base_measure", ["gaussian", "flat"])
def test_gaussian_part_of_each_level(base_measure):
    """Precision 1/σ², and with the Gaussian base measure that of z̃ = a z for z ~ N(0, I), but for the last level."""
    config = LDEBMConfig.from_preset("consistent", base_measure=base_measure)
    tables, schedule = LevelConstants(config), noise_schedule(config)
    precision = 1 / (1 - schedule.step_std**2)
    precision[-1] = 0
    if base_measure == "flat":
        precision[:] = 0
    np.testing.assert_allclose(tables.base_precision, precision, rtol=1e-6)
    np.testing.assert_allclose(tables.gaussian_variance, 1 / (1 / schedule.step_std**2 + precision), rtol=1e-6)
    assert {values.dtype for values in tables.compute().values()} == {torch.float32}


@pytest.mark.parametrize("scale_last_level", [True, False])
def test_last_level_is_scaled_where_the_settings_say_so(scale_last_level):
    tables = LevelConstants(LDEBMConfig.from_preset("published", scale_last_level=scale_last_level))
    assert torch.equal(tables.latent_scale[:-1], tables.step_scale[:-1])
    assert tables.latent_scale[-1] == (tables.step_scale[-1] if scale_last_level else 1)


@pytest.mark.parametrize("base_level_noise", [True, False])
def test_first_level_of_a_clean_latent(base_level_noise):
    n = 40_000
    tables = LevelConstants(LDEBMConfig(base_level_noise=base_level_noise, latent_size=1))
    latents = torch.full((n, 1), 2.0)
    scale = tables.latent_scale[0]
    mean = tables.first_level(latents, base_noise=False)
    torch.testing.assert_close(mean, 2 * scale * tables.marginal_scale[0] * torch.ones(n, 1))
    drawn = tables.first_level(latents, base_noise=True, generator=torch.Generator().manual_seed(0))
    deviation = scale * tables.marginal_std[0]
    assert (deviation > 0) == base_level_noise
    assert abs((drawn - mean).mean()) <= 5 * deviation / n**0.5 + 1e-7
    assert abs((drawn - mean).std() - deviation) <= 5 * deviation / (2 * n) ** 0.5 + 1e-7


def test_levels_are_drawn_in_the_order_of_the_examples(monkeypatch):
    """Entry i is for example i % batch_size: each example has all levels, or one drawn and the last one."""
    every = LevelConstants(LDEBMConfig(level_sampling="all", num_levels=3)).draw_levels(2)
    assert every.tolist() == [0, 0, 1, 1, 2, 2]
    numbers = torch.tensor([0.0, 0.49, 0.51, 1.0])  # rounding can make a draw from [0, 1) equal to 1
    monkeypatch.setattr("ldebm_hf.model.noise_schedule.draw", lambda sampler, shape, like, generator: numbers)
    published = LevelConstants(LDEBMConfig(level_sampling="published", num_levels=5)).draw_levels(4)
    assert published.tolist() == [0, 1, 2, 3, 4, 4, 4, 4]
    assert LevelConstants(LDEBMConfig(level_sampling="uniform", num_levels=5)).draw_levels(4).tolist() == [0, 2, 2, 4]


def test_noise_follows_the_generator():
    tables, latents = LevelConstants(LDEBMConfig(latent_size=2, base_level_noise=True)), torch.zeros(3, 2)
    level = torch.tensor([0, 2, 5])

    def draws(seed):
        generator = torch.Generator().manual_seed(seed)
        first = tables.first_level(latents, True, generator)
        return torch.cat([first, *tables.diffuse(latents, level, generator), tables.draw_levels(9, generator)[:, None]
                          .expand(-1, 2)])  # fmt: skip

    assert torch.equal(draws(0), draws(0)) and not torch.equal(draws(0), draws(1))


@pytest.mark.parametrize("temperature", ["step", "unit"])
def test_likelihood_weights_by_level(temperature):
    """1/τ_t over the number of times that a level is trained per example and step."""
    for sampling, draws in (("all", [1, 1, 1]), ("uniform", [1 / 3] * 3), ("published", [0.5, 0.5, 1])):
        config = LDEBMConfig(
            num_levels=3, level_sampling=sampling, level_weighting="likelihood", energy_temperature=temperature
        )
        tables = LevelConstants(config)
        expected = tables.langevin_variance if temperature == "step" else torch.ones(3)
        torch.testing.assert_close(tables.temperature, expected)
        torch.testing.assert_close(tables.quadratic_weight, 1 / torch.tensor(draws))
        torch.testing.assert_close(tables.energy_weight, 1 / torch.tensor(draws) / expected)


@pytest.mark.parametrize("sampling", ["published", "uniform", "all"])
def test_a_single_level_is_trained_once_per_example_and_step(sampling):
    config = LDEBMConfig.from_preset("svebm", level_sampling=sampling, level_weighting="likelihood")
    assert LevelConstants(config).quadratic_weight.tolist() == [1.0]
