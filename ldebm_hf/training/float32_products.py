"""How exactly matrices of float32 numbers are multiplied: as fast as a processor can without losing digits."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

LARGEST_ERROR = 1e-5
"""Largest relative error of a product that counts as float32's: bfloat16's is 100 times that."""


@contextmanager
def float32_products(precision: str, device: torch.device) -> Iterator[None]:
    """
    Multiply float32 matrices in this block with a precision, and afterwards as before.

    The precisions are those of `torch.set_float32_matmul_precision`. With `"medium"` PyTorch leaves products on a CPU
    to oneDNN, which may compute them in bfloat16 and sum them in float32. Where it has no fast bfloat16 products of
    float32 matrices, as on AMD's processors with AVX-512, it computes them in float32, with wider registers than the
    library that PyTorch uses otherwise. `"auto"` takes that where it loses nothing.

    Args:
        precision (`str`): `"auto"`, `"highest"`, `"high"` or `"medium"`. `"auto"` is `"medium"` on a CPU on which
            [`medium_is_exact`], and otherwise what is set.
        device (`torch.device`): Where the matrices lie.
    """
    before = torch.get_float32_matmul_precision()
    if precision == "auto":
        precision = "medium" if device.type == "cpu" and medium_is_exact() else before
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@cache
def medium_is_exact() -> bool:
    """Whether `"medium"` multiplies float32 matrices on this CPU in float32: tried once."""
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(2, 256, 256, generator=generator).unbind()
    with float32_products("medium", torch.device("cpu")):
        return relative_error(left @ right, left, right) <= LARGEST_ERROR


def relative_error(product: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> float:
    """Largest error of a product `left @ right`, relative to its largest number; the right one is that in float64."""
    exact = left.double() @ right.double()
    return float((product - exact).abs().max() / exact.abs().max())
