"""Random draws that take an optional generator, on whichever device it lives."""

from collections.abc import Callable

import torch


def draw(sampler: Callable, shape, like: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """
    A draw from torch's `sampler` (`torch.randn`, `torch.rand`) with `like`'s dtype and device.

    A CPU generator gives the same numbers whatever the model's device is.
    """
    source = like.device if generator is None else generator.device
    return sampler(shape, generator=generator, device=source, dtype=like.dtype).to(like.device)


def gumbel_like(tensor: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Standard Gumbel noise; the largest of logits with it is a draw from their distribution."""
    tiny = torch.finfo(tensor.dtype).tiny
    uniform = draw(torch.rand, tensor.shape, tensor, generator).clamp(min=tiny)
    return -(-uniform.log()).clamp(min=tiny).log()


def gaussian_like(tensor: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Standard normal noise of `tensor`'s shape, dtype and device."""
    return draw(torch.randn, tensor.shape, tensor, generator)
