"""Distances of samples against their definitions and closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance

from ldebm_hf.scores import energy_distance, sliced_wasserstein
from ldebm_hf.scores.distances import CHUNK_SIZE


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_energy_distance_is_its_definition():
    rng = torch.Generator().manual_seed(0)
    first, second = (torch.randn(n, 3, generator=rng, dtype=torch.float64) + n for n in (30, 20))
    between = np.mean([np.linalg.norm(x - y) for x in first.numpy() for y in second.numpy()])
    within = []
    for sample in (first.numpy(), second.numpy()):
        n = len(sample)
        within.append(sum(np.linalg.norm(x - y) for x in sample for y in sample) / (n * (n - 1)))
    assert energy_distance(first, second) == pytest.approx(2 * between - sum(within), rel=1e-12)


def test_energy_distance_is_unbiased_around_zero_for_one_distribution():
    rng = torch.Generator().manual_seed(0)
    estimates = [energy_distance(*torch.randn(2, 50, 4, generator=rng)) for _ in range(40)]
    assert abs(np.mean(estimates)) < 3 * np.std(estimates) / 40**0.5
    assert energy_distance(torch.zeros(50, 4), torch.ones(50, 4)) == pytest.approx(4)


def test_energy_distance_of_large_samples_is_that_of_all_pairs():
    """With more vectors than fit in a chunk."""
    first, second = (torch.randn(n, 2, generator=seeded(n), dtype=torch.float64) for n in (2 * CHUNK_SIZE + 7, 1234))
    n, m = len(first), len(second)
    within = torch.cdist(first, first).sum() / (n * (n - 1)) + torch.cdist(second, second).sum() / (m * (m - 1))
    expected = 2 * torch.cdist(first, second).mean() - within
    assert energy_distance(first, second) == pytest.approx(float(expected), abs=1e-9)


def test_energy_distance_of_normal_samples_is_the_closed_form():
    """For N(0, 1) and N(a, 1): E|X-Y| is that of a folded normal, E|X-X'| = 2/√π."""
    shift, n = 1.5, 20_000
    samples = torch.randn(2, n, 1, generator=seeded(), dtype=torch.float64)
    folded = 2 / math.sqrt(math.pi) * math.exp(-(shift**2) / 4) + shift * math.erf(shift / 2)
    expected = 2 * folded - 4 / math.sqrt(math.pi)
    # The estimate moves by at most 2 per unit that one point moves: its standard error is below 4 / √n.
    assert energy_distance(samples[0], samples[1] + shift) == pytest.approx(expected, abs=3 * 4 / n**0.5)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 5), (6, 4), (7, 3)])
def test_point_masses_of_any_two_sizes_are_a_shift_apart(order, n, m):
    first, second = torch.full((n, 1), 2.0), torch.full((m, 1), -1.5)
    assert sliced_wasserstein(first, second, order=order, generator=seeded()) == pytest.approx(3.5, rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(40, 40), (40, 27), (3, 50)])
def test_one_dimensional_distance_is_scipys(n, m):
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=n), rng.normal(1, 2, size=m)
    distance = sliced_wasserstein(torch.tensor(first)[:, None], torch.tensor(second)[:, None], generator=seeded())
    assert distance == pytest.approx(wasserstein_distance(first, second), rel=1e-10)


def test_second_order_distance_by_hand():
    """{0, 1} to {0, 0, 3}: mass moves 0 by 1/2, 1 by 1/6 and 2 by 1/3."""
    first, second = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [0.0], [0.0]])
    assert sliced_wasserstein(first, second, order=2, generator=seeded()) == pytest.approx((1 / 6 + 4 / 3) ** 0.5)


def test_normal_samples_are_as_far_apart_as_normal_distributions():
    """W_2 of N(0, 1) and N(1, 4) is √(1 + 1); W_1 of N(0, 1) and N(0, 4) is E|X|."""
    n = 40_000
    samples = torch.randn(2, n, 1, generator=seeded(), dtype=torch.float64)
    # Means and deviations of the samples are within 3 / √n of the distributions', times at most 2.
    tolerance = 6 / n**0.5
    second_order = sliced_wasserstein(samples[0], 1 + 2 * samples[1], order=2, generator=seeded())
    assert second_order == pytest.approx(2**0.5, abs=tolerance)
    first_order = sliced_wasserstein(samples[0], 2 * samples[1], generator=seeded())
    assert first_order == pytest.approx((2 / math.pi) ** 0.5, abs=tolerance)


@pytest.mark.parametrize(("order", "expected"), [(1, 2 / math.pi), (2, 0.5**0.5)])
def test_shift_in_the_plane_is_seen_from_all_directions(order, expected):
    """|cos| of a random angle has mean 2/π and root mean square √½."""
    sample = torch.randn(10, 2, generator=seeded())
    num_projections = 4000
    distance = sliced_wasserstein(sample, sample + torch.tensor([3.0, 4.0]), num_projections, order, seeded(1))
    # The deviation of |cos| is 0.31, and that of cos² 0.35 with half of it on its root at √½.
    assert distance == pytest.approx(5 * expected, abs=3 * 5 * 0.31 / num_projections**0.5)


def test_directions_are_seeded():
    first, second = torch.randn(2, 30, 3, generator=seeded())
    distances = [sliced_wasserstein(first, second, 10, generator=seeded(seed)) for seed in (0, 0, 1)]
    assert distances[0] == distances[1] != distances[2]


@pytest.mark.parametrize("shapes", [((0, 2), (3, 2)), ((3, 2), (0, 2)), ((3, 2), (3, 1))])
def test_bad_arguments(shapes):
    with pytest.raises(ValueError, match="vectors of one size"):
        sliced_wasserstein(*(torch.zeros(shape) for shape in shapes))
