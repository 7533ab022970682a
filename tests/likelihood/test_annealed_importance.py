"""Annealed importance sampling on energies whose normalisers are known: constant, linear and quadratic, in float64."""

import math

import pytest
import torch
from tiny_models import seeded

from ldebm_hf.likelihood.annealed_importance import (
    LARGEST_STEP,
    AnnealedChains,
    TiltedGaussian,
    anneal_down,
    anneal_up,
    temperature_path,
    tune_step,
)
from ldebm_hf.likelihood.importance_weights import log_mean, relative_variance

ROWS = 2000


class Quadratic:
    """E(z) = b·z - k ‖z‖²/2, by which N(m, v I) becomes N((m + v b)/(1 + k v), v/(1 + k v) I)."""

    def __init__(self, slope: torch.Tensor, curvature: float):
        self.slope, self.curvature = slope, curvature

    def value_and_gradient(self, z):
        return z @ self.slope - self.curvature * z.square().sum(-1) / 2, self.slope - self.curvature * z


class Oracle:
    """A tilted Gaussian in `size` dimensions, its log R and exact draws."""

    def __init__(self, size: int, curvature: float, slope: float, rows: int = ROWS):
        mean = 0.7 * torch.randn(size, generator=seeded(size), dtype=torch.float64)
        b = slope * torch.randn(size, generator=seeded(size + 1), dtype=torch.float64)
        v = 0.6
        variance = torch.full((rows, 1), v, dtype=torch.float64)
        self.target = TiltedGaussian(mean.expand(rows, size), variance, Quadratic(b, curvature))
        self.mean, self.std = (mean + v * b) / (1 + curvature * v), math.sqrt(v / (1 + curvature * v))
        exponent = (self.mean.square() / self.std**2 - mean.square() / v).sum() / 2
        self.log_tilt = (size * math.log(self.std / math.sqrt(v)) + exponent).item()

    def draw(self, generator):
        return self.mean + self.std * torch.randn(self.target.mean.shape, generator=generator, dtype=torch.float64)


def step_of(oracle, value=LARGEST_STEP):
    return torch.full_like(oracle.target.variance, value)


ORACLES = [(2, 0.0, 1.0), (2, 3.0, 1.0), (40, 0.5, 0.3), (40, 1.0, 0.2)]


@pytest.mark.parametrize(("size", "curvature", "slope"), ORACLES)
def test_means_of_both_directions_are_the_normaliser(size, curvature, slope):
    """exp of the log weight up averages to R, of minus that down from exact samples to 1/R: to 5 standard errors."""
    oracle, generator = Oracle(size, curvature, slope), seeded()
    up, _ = anneal_up(oracle.target, step_of(oracle), 40, generator)
    down = anneal_down(oracle.target, oracle.draw(generator), step_of(oracle), 40, generator)
    for estimate, weights in ((log_mean(up), up), (-log_mean(-down), -down)):
        error = relative_variance(weights).sqrt().item()
        assert error < 0.1
        assert estimate.item() == pytest.approx(oracle.log_tilt, abs=5 * error)


def test_relative_variance_of_one_and_two_weights():
    assert relative_variance(torch.zeros(3, 1)).tolist() == [0] * 3
    assert relative_variance(torch.tensor([0.0, 0.0])).item() == 0
    assert relative_variance(torch.tensor([0.0, -1000.0])).item() == 1  # 1/1 - 1/2, times 2


@pytest.mark.parametrize(("size", "curvature", "slope"), ORACLES)
def test_log_weights_bound_the_normaliser_from_both_sides(size, curvature, slope):
    """On average they stay on their side, to 4 standard errors; 60 temperatures close the gap that one leaves."""
    oracle, gaps = Oracle(size, curvature, slope), []
    for num_temperatures in (1, 60):
        generator = seeded(1)
        up, _ = anneal_up(oracle.target, step_of(oracle), num_temperatures, generator)
        down = anneal_down(oracle.target, oracle.draw(generator), step_of(oracle), num_temperatures, generator)
        errors = [4 * weights.std().item() / ROWS**0.5 for weights in (up, down)]
        assert up.mean() - errors[0] < oracle.log_tilt < down.mean() + errors[1]
        gaps.append((down.mean() - up.mean()).item())
    assert 0 < gaps[1] < gaps[0] / 5


@pytest.mark.parametrize("direction", ["up", "down"])
def test_constant_energy_is_exact(direction):
    oracle = Oracle(40, 0.0, 0.0)
    if direction == "up":
        log_weight, _ = anneal_up(oracle.target, step_of(oracle), 5, seeded())
    else:
        log_weight = anneal_down(oracle.target, oracle.draw(seeded()), step_of(oracle), 5, seeded())
    assert torch.equal(log_weight, torch.zeros_like(log_weight))


@pytest.mark.parametrize("step", [0.9, 0.3])
def test_chains_leave_the_target_as_it_is(step):
    """Mean and variance of 10,000 exact samples after 10 steps, at β = 1, to 5 standard errors."""
    oracle = Oracle(2, 3.0, 1.0, rows=10_000)
    chains = AnnealedChains(oracle.target, oracle.draw(seeded()), seeded(1))
    for _ in range(10):
        chains.step(1.0, step)
    offset = (chains.states - oracle.mean) / oracle.std
    assert 0.2 < chains.acceptance_rate.mean() < 0.999
    assert offset.mean(0).abs().max() < 5 / 100
    assert (offset.var(0) - 1).abs().max() < 5 * (2 / 10_000) ** 0.5


class Wells:
    """Two wells far from the Gaussian's mean, between which chains of three temperatures do not equilibrate."""

    def value_and_gradient(self, z):
        z = z[:, 0]
        logits = torch.stack([-2 * (z - 3).square(), 1 - 2 * (z + 2).square()])
        shares = logits.softmax(0)
        return logits.logsumexp(0), (shares[0] * -4 * (z - 3) + shares[1] * -4 * (z + 2))[:, None]


def test_going_down_from_any_state_gives_the_density_of_the_chains_that_go_up():
    """It integrates to 1 over a grid, and its mass on the right is that of the chains' ends, not that of exp E."""
    def target_of(rows):
        mean = torch.zeros(rows, 1, dtype=torch.float64)
        return TiltedGaussian(mean, torch.ones_like(mean), Wells())

    spacing, repeats = 0.05, 200
    grid = torch.arange(-7, 7, spacing, dtype=torch.float64)[:, None]
    target = target_of(len(grid) * repeats)
    states = grid.repeat_interleave(repeats, 0)
    step = torch.full_like(target.variance, 0.5)
    down = anneal_down(target, states, step, 3, seeded())
    value = target.energy.value_and_gradient(states)[0]
    log_density = value - states[:, 0].square() / 2 - math.log(2 * math.pi) / 2 - down
    terms = log_density.exp().view(-1, repeats) * spacing
    density, error = terms.mean(-1), (terms.var(-1) / repeats).sum().sqrt().item()
    assert error < 0.03
    assert density.sum().item() == pytest.approx(1, abs=5 * error)

    target = target_of(20_000)
    _, ends = anneal_up(target, torch.full_like(target.variance, 0.5), 3, seeded(1))
    reached = (ends > 1).double().mean().item()
    right = grid[:, 0] > 1
    exact = (Wells().value_and_gradient(grid)[0] - grid[:, 0].square() / 2).softmax(0)[right].sum().item()
    assert density[right].sum().item() == pytest.approx(reached, abs=5 * (error + 0.004))
    assert abs(reached - exact) > 0.05


def test_temperatures_are_evenly_spaced_for_a_target_as_wide_as_its_gaussian():
    path = list(temperature_path(torch.tensor([[LARGEST_STEP]]), 4))
    assert [inverse.item() for inverse, _ in path] == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert {round(step.item(), 6) for _, step in path} == {LARGEST_STEP}


def test_temperatures_of_a_narrow_target_multiply_its_precision_evenly():
    """A step of 0.9/64 means a precision 64 times the Gaussian's: a factor of 4 for each of 3 temperatures."""
    path = list(temperature_path(torch.tensor([[LARGEST_STEP / 64]]), 3))
    assert [1 + 63 * inverse.item() for inverse, _ in path] == pytest.approx([1, 4, 16, 64], rel=1e-5)
    assert [step.item() for _, step in path] == pytest.approx([0.9, 0.9 / 4, 0.9 / 16, 0.9 / 64], rel=1e-5)


@pytest.mark.parametrize(("curvature", "smallest", "largest"), [(0.0, 0.9, 0.9), (3000.0, 1e-4, 0.01)])
def test_steps_are_tuned_to_the_targets_width(curvature, smallest, largest):
    oracle = Oracle(2, curvature, 0.0, rows=200)
    step = tune_step(oracle.target, oracle.draw(seeded()), generator=seeded(1))
    assert smallest <= step <= largest


def test_temperatures_of_a_slightly_narrow_target():
    """A step of 0.6 of 0.9: precisions of 1, √1.5 and 1.5 times the Gaussian's."""
    path = list(temperature_path(torch.tensor([[LARGEST_STEP / 1.5]]), 2))
    assert [1 + 0.5 * inverse.item() for inverse, _ in path] == pytest.approx([1, 1.5**0.5, 1.5], rel=1e-5)
    assert [step.item() for _, step in path] == pytest.approx([0.9, 0.9 / 1.5**0.5, 0.6], rel=1e-5)
    assert {value.dtype for pair in path for value in pair} == {torch.float32}


def test_temperatures_in_float32_are_those_of_float64_rounded():
    """Differences of large precisions would lose digits."""
    step = torch.tensor([[0.9], [0.8999], [0.37], [1e-3], [1e-4]])
    for single, double in zip(temperature_path(step, 7), temperature_path(step.double(), 7), strict=True):
        assert all(torch.equal(one, two.float()) for one, two in zip(single, double, strict=True))


class Refusing:
    """An energy so low everywhere but at 0 that the chains of the last rows stay there; it counts its calls."""

    def __init__(self, num_refusing: int):
        self.num_refusing, self.calls = num_refusing, 0

    def value_and_gradient(self, z):
        self.calls += 1
        is_low = (z != 0).any(-1) & (torch.arange(len(z)) >= len(z) - self.num_refusing)
        return -1e9 * is_low.double(), torch.zeros_like(z)


@pytest.mark.parametrize(("num_refusing", "halvings"), [(0, 0), (3, 0), (4, 14), (10, 14)])
def test_steps_are_halved_until_seven_in_ten_are_accepted_or_they_are_tiny(num_refusing, halvings):
    """0.9 / 2^14 is the first below a ten-thousandth. Each trial takes eight steps."""
    states = torch.zeros(10, 2, dtype=torch.float64)
    energy = Refusing(num_refusing)
    target = TiltedGaussian(states, torch.ones(10, 1, dtype=torch.float64), energy)
    assert tune_step(target, states, generator=seeded()) == 0.9 / 2**halvings
    assert energy.calls == 9 * max(halvings, 1)
    calls = energy.calls
    tune_step(target, states, 3, generator=seeded())
    assert energy.calls - calls == 4 * max(halvings, 1)


def test_steps_are_tuned_at_the_target_itself(monkeypatch):
    at, step = [], AnnealedChains.step

    def step_and_record(chains, inverse_temperature, size):
        at.append(inverse_temperature)
        step(chains, inverse_temperature, size)

    monkeypatch.setattr(AnnealedChains, "step", step_and_record)
    oracle = Oracle(2, 1.0, 0.0, rows=4)
    tune_step(oracle.target, oracle.draw(seeded()), 5, seeded(1))
    assert at == [1.0] * len(at) and len(at) >= 5
