"""How exactly training multiplies states and words in the reconstruction loss of texts."""

import time
from collections.abc import Callable
from functools import cache

import torch
from accelerate import Accelerator

from .float32_products import float32_products
from .settings import Settings

LEAST_GAIN = 1.2
"""How many times as fast products in bfloat16 must be on a CPU for `"auto"` to choose them."""


def vocabulary_dtype(settings: Settings, accelerator: Accelerator) -> torch.dtype | None:
    """
    What the products with the vocabulary are rounded to in training; `None` for nothing.

    `training.vocabulary_precision="auto"` stands for bfloat16 where that [`is_faster`], on a CPU, for a model that has
    these products, without mixed precision, and unless the preset is `"published"`.

    Raises:
        ValueError: If bfloat16 is asked for together with mixed precision, which decides about all products.
    """
    precision = settings.training.vocabulary_precision
    is_mixed = accelerator.mixed_precision != "no"
    if precision == "bfloat16" and is_mixed:
        raise ValueError(
            "training.vocabulary_precision=bfloat16 needs training.mixed_precision=no, got "
            f"{accelerator.mixed_precision}, which decides about all products"
        )
    if precision == "auto":
        may_round = settings.projects_to_vocabulary and settings.model["preset"] != "published" and not is_mixed
        is_chosen = may_round and accelerator.device.type == "cpu" and bfloat16_is_faster()
        precision = "bfloat16" if is_chosen else "float32"
    return torch.bfloat16 if precision == "bfloat16" else None


@cache
def bfloat16_is_faster() -> bool:
    """Whether this CPU multiplies matrices of bfloat16 numbers faster than those of float32 numbers: tried once."""
    generator = torch.Generator().manual_seed(0)
    states, words = torch.randn(64, 128, generator=generator), torch.randn(4000, 128, generator=generator)
    with float32_products("auto", torch.device("cpu")):
        in_float32 = least_seconds(lambda: states @ words.T)
    states, words = states.bfloat16(), words.bfloat16()
    return in_float32 >= LEAST_GAIN * least_seconds(lambda: states @ words.T)


def least_seconds(call: Callable[[], object], times: int = 7) -> float:
    """The least processor time of several calls, after two that are not timed."""
    seconds = []
    for number in range(2 + times):
        start = time.process_time()
        call()
        if number >= 2:
            seconds.append(time.process_time() - start)
    return min(seconds)
