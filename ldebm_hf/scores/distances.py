"""Distances between the distributions of two samples."""

import torch

from ..model.noise import as_generator

CHUNK_SIZE = 1000
"""Vectors whose distances are computed at a time; 10,000 by 10,000 distances at once would fill 800 MB."""


def energy_distance(first: torch.Tensor, second: torch.Tensor) -> float:
    r"""
    Energy distance of two distributions, 2 E‖X−Y‖ − E‖X−X'‖ − E‖Y−Y'‖, which is 0 if they are the same.

    Args:
        first (`torch.Tensor` of shape `(n, d)`): A sample of X.
        second (`torch.Tensor` of shape `(m, d)`): A sample of Y.

    Returns:
        `float`: The unbiased estimate, in the units of the vectors; it may be slightly negative.
    """
    first, second = first.double(), second.double()
    between = _sum_of_distances(first, second) / max(len(first) * len(second), 1)
    within = [2 * _sum_over_pairs(x) / max(len(x) * (len(x) - 1), 1) for x in (first, second)]
    return float(2 * between - within[0] - within[1])


def sliced_wasserstein(
    first: torch.Tensor,
    second: torch.Tensor,
    num_projections: int = 200,
    order: int = 1,
    generator: torch.Generator | int | None = None,
) -> float:
    r"""
    Sliced Wasserstein distance, (E_θ W_p(θᵀX, θᵀY)^p)^(1/p), where θ are random directions.

    Each one-dimensional distance is exact. The default order is 1 because, for modes that lie apart, the distance of
    two samples of the same distribution decreases as n^(-1/2), whereas with order 2 it decreases as n^(-1/4).

    Args:
        first (`torch.Tensor` of shape `(n, d)`): A sample of X.
        second (`torch.Tensor` of shape `(m, d)`): A sample of Y.
        num_projections (`int`, *optional*, defaults to 200): Number of random directions.
        order (`int`, *optional*, defaults to 1): p.
        generator (`torch.Generator` or `int`, *optional*): Generator of the directions, on the CPU.

    Returns:
        `float`: In the units of the vectors. It is 0 only for equal samples: its bias is as large as its noise.

    Raises:
        ValueError: An empty sample, or vectors of different sizes.
    """
    if len(first) == 0 or len(second) == 0 or first.shape[1:] != second.shape[1:]:
        shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise ValueError(f"first and second must have vectors of one size and not be empty, got shapes {shapes}")
    generator = as_generator(generator)
    directions = torch.randn(first.shape[1], num_projections, generator=generator, dtype=torch.float64)
    directions = (directions / directions.norm(dim=0)).to(first.device)
    costs = _transport_costs(first.double() @ directions, second.double() @ directions, order)
    return float(costs.mean() ** (1 / order))


def _transport_costs(first: torch.Tensor, second: torch.Tensor, order: int) -> torch.Tensor:
    """
    W_p^p = ∫ |F⁻¹(q) - G⁻¹(q)|^p dq, `(num,)`, between the columns of `first` `(n, num)` and of `second` `(m, num)`.

    Both quantile functions are step functions, which change at multiples of 1/n and of 1/m.
    """
    n, m = len(first), len(second)
    first, second = first.sort(dim=0).values, second.sort(dim=0).values
    ends = torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n]).unique()  # in units of 1/nm
    widths = ends.diff(prepend=ends.new_zeros(1)).to(first)
    steps = (ends - 1).to(first.device)
    gaps = (first[steps // m] - second[steps // n]).abs()
    return (widths[:, None] * gaps**order).sum(0) / (n * m)


def _sum_of_distances(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return sum((_distances(rows, second).sum() for rows in first.split(CHUNK_SIZE)), first.new_zeros(()))


def _sum_over_pairs(vectors: torch.Tensor) -> torch.Tensor:
    """The sum over all pairs, each of which is counted once."""
    total = vectors.new_zeros(())
    for start in range(0, len(vectors), CHUNK_SIZE):
        rows, later = vectors[start : start + CHUNK_SIZE], vectors[start + CHUNK_SIZE :]
        total = total + _distances(rows, rows).sum() / 2 + _distances(rows, later).sum()
    return total


def _distances(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")
