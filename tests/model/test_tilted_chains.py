"""Steps that adapt to a tilted Gaussian: closed forms, a grid in two dimensions, and what chains report."""

import pytest
import torch
from known_priors import LabelledQuadraticEnergy, guided_conditional
from tiny_models import seeded, tiny_model

from ldebm_hf.model.configuration_ldebm import LDEBMConfig
from ldebm_hf.model.diffusion_prior import DiffusionPrior
from ldebm_hf.model.langevin import LangevinOutput, langevin
from ldebm_hf.model.tilted_chains import ChainDiagnostics, TiltedGaussian, adaptive_chains

N = 4000


def quadratic_labels(size: int = 3, **settings) -> DiffusionPrior:
    """Two symbols, at 1 and at -1 in every dimension, with widths of 1/2 and 1/√8 each."""
    config = LDEBMConfig.from_preset("consistent", num_labels=2, latent_size=size, **settings)
    prior = DiffusionPrior(config).eval()
    centers = torch.stack([torch.ones(size), -torch.ones(size)])
    prior.energy = LabelledQuadraticEnergy(1.0, torch.tensor([4.0, 8.0]), centers)
    return prior


def draw_level(prior, z_next, level, label, guidance_scale, **options):
    rows = z_next.expand(N, -1)
    levels, labels = torch.full((N,), level), torch.full((N,), label)
    return prior.sample_level(rows, levels, labels, guidance_scale, generator=seeded(level), **options)


def deviations(samples, mean, variance) -> tuple[float, float]:
    """Largest deviations of means and of variances over dimensions, in their standard errors."""
    of_means = (samples.mean(0) - mean).abs() / (variance / N) ** 0.5
    of_variances = (samples.var(0) / variance - 1).abs() / (2 / N) ** 0.5
    return of_means.max().item(), of_variances.max().item()


@pytest.mark.parametrize("guidance_scale", [1.0, 4.0, 8.0, 16.0])
@pytest.mark.parametrize("level", [0, 2, 5])
@pytest.mark.parametrize("label", [0, 1])
def test_guided_levels_are_the_gaussians_of_quadratic_energies(guidance_scale, level, label):
    """With 60 steps, to 5 standard errors, however strong the guidance: precisions are up to 113 times as large."""
    prior = quadratic_labels()
    z_next = torch.tensor([0.5, -0.2, 1.0])
    samples = draw_level(prior, z_next, level, label, guidance_scale, num_langevin_steps=60)
    assert max(deviations(samples, *guided_conditional(prior, z_next, level, label, guidance_scale))) < 5


def test_fixed_steps_leave_strong_guidance_behind():
    """At the last level, with as many steps as above, they diverge: what the adaptive steps are for."""
    prior = quadratic_labels(guided_steps="fixed")
    samples = draw_level(prior, torch.tensor([0.5, -0.2, 1.0]), 5, 1, 16.0, num_langevin_steps=60)
    assert not samples.isfinite().all()


class Ring:
    """E of two dimensions with three curved modes that touch: -6 (‖z‖ - 1)² + cos of three times the angle."""

    def value_and_gradient(self, states):
        with torch.enable_grad():
            states = states.detach().requires_grad_()
            radius, angle = states.norm(dim=-1), torch.atan2(states[:, 1], states[:, 0])
            value = -6 * (radius - 1).square() + torch.cos(3 * angle)
            (gradient,) = torch.autograd.grad(value.sum(), states)
        return value.detach(), gradient


def test_curved_modes_have_the_moments_of_a_grid():
    """Means of seven functions over 4,000 chains, to 5 standard errors, against sums on a grid of 0.02."""
    mean, variance = torch.tensor([0.3, 0.2]), torch.tensor([[0.5]])
    target = TiltedGaussian(mean.expand(N, 2), variance.expand(N, 1), Ring())
    states = adaptive_chains(target, target.draw_gaussian(seeded()), 60, seeded(1)).samples
    axis = torch.arange(-3, 3, 0.02)
    grid = torch.cartesian_prod(axis, axis)
    one_row = TiltedGaussian(mean, variance, Ring())
    weights = one_row.log_density(grid, Ring().value_and_gradient(grid)[0]).double().softmax(0)

    def functions(points):
        x, y = points.double().T
        return torch.stack([x, y, x * x, y * y, x * y, points.norm(dim=-1).double(), (x > 0.5).double()])

    exact = (weights * functions(grid)).sum(1)
    error = functions(states).std(1) / N**0.5
    assert ((functions(states).mean(1) - exact).abs() < 5 * error).all()


def test_steps_shrink_until_the_sought_share_is_accepted():
    """For widths of 1/√2 to 1/100 of the Gaussian's: nearly the sought share is accepted, and widths are kept."""
    curvature = torch.logspace(0, 4, N)[:, None]

    class Narrow:
        def value_and_gradient(self, states):
            return -(curvature * states.square()).sum(-1) / 2, -curvature * states

    target = TiltedGaussian(torch.zeros(N, 10), torch.ones(N, 1), Narrow())
    moved = adaptive_chains(target, target.draw_gaussian(seeded()) / (1 + curvature).sqrt(), 100, seeded(1))
    assert moved.acceptance_rate.mean().item() == pytest.approx(0.55, abs=0.05)  # the first steps are too long
    scaled = moved.samples * (1 + curvature).sqrt()
    assert scaled.var(-1).mean().item() == pytest.approx(1, abs=5 * (2 / 9 / N) ** 0.5)


def test_a_proposal_without_a_density_is_not_accepted():
    class Bounded:
        def value_and_gradient(self, states):
            value = torch.where((states > 0.5).any(-1), torch.nan, 0.0)
            return value, torch.zeros_like(states)

    target = TiltedGaussian(torch.zeros(500, 1), torch.ones(500, 1), Bounded())
    samples = adaptive_chains(target, torch.zeros(500, 1), 30, seeded()).samples
    assert samples.isfinite().all() and samples.max() <= 0.5 and samples.std() > 0.3


def test_number_of_evaluations_and_middle_of_the_chains():
    class Counted(Ring):
        calls = 0

        def value_and_gradient(self, states):
            self.calls += 1
            return super().value_and_gradient(states)

    energy = Counted()
    target = TiltedGaussian(torch.zeros(5, 2), torch.ones(5, 1), energy)
    start = torch.ones(5, 2)
    whole = adaptive_chains(target, start, 7, seeded())
    assert energy.calls == 8
    assert torch.equal(whole.middle, adaptive_chains(target, start, 3, seeded()).samples)
    none = adaptive_chains(target, start, 0, seeded())
    assert torch.equal(none.samples, start) and torch.equal(none.middle, start)


# ------------------------------------------------------------------------------------------------- which chains adapt


@torch.no_grad()
def test_only_guided_chains_with_exponential_steps_adapt():
    """Unguided chains, Euler's (published) and those told to be fixed take the steps of the settings, to the bit."""
    for options, preset, settings in (
        ({}, "consistent", {}),
        ({"class_labels": torch.zeros(4).long()}, "published", {}),
        ({"class_labels": torch.zeros(4).long()}, "svebm", {"energy_network": "residual"}),
        ({"class_labels": torch.zeros(4).long()}, "consistent", {"guided_steps": "fixed"}),
    ):
        prior = tiny_model(preset, **settings).prior
        z_next, level = torch.randn(4, prior.config.latent_size, generator=seeded(7)), torch.zeros(4).long()
        drawn = prior.sample_level(z_next, level, generator=seeded(3), **options)
        generator = seeded(3)
        mean, variance = prior.level_gaussian(z_next, level)
        energy = prior.level_energy(level, **options)
        start = z_next
        if prior.config.langevin_start == "gaussian":
            start = mean + variance.sqrt() * torch.randn(z_next.shape, generator=generator)
        step_variance, drift = prior.levels.langevin_steps(level, prior.config.langevin_steps)
        expected = langevin(
            lambda z, energy=energy, m=mean, v=variance: energy.gradient(z) - (z - m) / v,
            start,
            step_variance,
            drift=drift,
            final_noise=prior.config.langevin_final_noise,
            generator=generator,
        )
        assert torch.equal(drawn, expected.samples), (preset, settings)


def test_guidance_adapts_unless_it_is_zero_or_the_settings_say_otherwise():
    labels = torch.zeros(4).long()
    assert tiny_model().config.guided_steps is None
    assert tiny_model().prior.adapts_steps(labels)
    assert not tiny_model().prior.adapts_steps(None)
    assert not tiny_model().prior.adapts_steps(labels, 0.0)
    assert not tiny_model(label_guidance=0.0).prior.adapts_steps(labels)
    assert not tiny_model("published").prior.adapts_steps(labels)
    assert tiny_model("published", guided_steps="adaptive").prior.adapts_steps(labels)
    model = tiny_model()
    ignored = model.sample_latents(4, class_labels=1, guidance_scale=0.0, generator=seeded())
    assert torch.equal(ignored, model.sample_latents(4, generator=seeded()))


# --------------------------------------------------------------------------------------------------------- diagnostics


def diagnostics_of(prior, num_steps, guidance_scale=8.0, num_chains=200, seed=0):
    levels: list[ChainDiagnostics] = []
    labels = torch.arange(num_chains) % 2
    prior.sample(num_chains, labels, guidance_scale, num_steps, seeded(seed), diagnostics=levels)
    return ChainDiagnostics.stack(levels[::-1])


def test_chains_that_settle_are_not_called_unsettled():
    """60 steps at 6 levels with 30 seeds and three guidance scales: none of 540 levels."""
    prior = quadratic_labels(size=2)
    settled = [
        diagnostics_of(prior, 60, scale, 100, seed).settled(2) for scale in (1.0, 4.0, 16.0) for seed in range(30)
    ]
    assert torch.stack(settled).all()


def test_chains_that_are_too_short_are_called_unsettled():
    """The noisiest level, whose chains start farthest away."""
    settled = diagnostics_of(quadratic_labels(size=10), 4, 16.0).settled(10)
    assert settled.shape == (6,) and not settled[5]


def test_stuck_chains_and_downward_drifts_are_signs_and_small_or_uncertain_drifts_are_not():
    def settled(acceptance, drift, num_chains=400, spread=1.0):
        noise = torch.randn(num_chains, generator=seeded())
        drifts = drift + spread * (noise - noise.mean())
        rates = torch.full((num_chains,), 0.6)
        rates[: int(acceptance * num_chains)] = 0.0
        no_draws = torch.full((num_chains,), torch.nan)
        return ChainDiagnostics(rates, torch.ones(num_chains), drifts, no_draws).settled(8).item()

    assert settled(0.0, 0.0)
    assert not settled(0.1, 0.0) and settled(0.04, 0.0)
    assert not settled(0.0, 0.5) and not settled(0.0, -0.5)
    assert settled(0.0, 0.3)  # below 0.2 √4
    assert settled(0.0, 0.5, spread=3.0)  # 3.3 standard errors
    assert settled(0.0, 50.0, num_chains=7) and not settled(0.0, 50.0, num_chains=8)


def test_distance_and_drift_of_chains_by_hand():
    class Flat:
        def value_and_gradient(self, states):
            return torch.zeros(len(states)), torch.zeros_like(states)

    target = TiltedGaussian(torch.zeros(1, 2), torch.tensor([[4.0]]), Flat())
    start, end = torch.tensor([[0.0, 0.0]]), torch.tensor([[4.0, 0.0]])
    chains = ChainDiagnostics.of_chains(target, start, LangevinOutput(end, start))
    assert chains.distance_moved.item() == pytest.approx(2**0.5)
    assert chains.energy_drift.item() == pytest.approx(-2.0)
    assert chains.acceptance_rate.isnan().all()
