"""Random draws with an optional generator, and the precision that sensitive computations keep."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import torch


def as_generator(generator: Any, name: str = "generator") -> torch.Generator | None:
    """
    The generator that an argument stands for. A function that draws more than once calls this first, because a seed
    that each draw read anew would give the same numbers every time.

    Args:
        generator (`torch.Generator` or `int`, *optional*): A generator; or a seed, which stands for
            `torch.Generator().manual_seed(seed)`; or `None` for torch's own.
        name (`str`, *optional*, defaults to `"generator"`): Name of the argument, for error messages.

    Raises:
        ValueError: For anything else, such as a list of generators.
    """
    if generator is None or isinstance(generator, torch.Generator):
        return generator
    allowed = "a torch.Generator, an integer seed or None"
    if isinstance(generator, (list, tuple)):
        raise ValueError(f"{name} must be {allowed}, one for all samples, got a {type(generator).__name__}")
    if not isinstance(generator, Integral) or isinstance(generator, bool):
        raise ValueError(f"{name} must be {allowed}, got {generator!r:.80}")
    if not -(2**63) <= generator < 2**64:
        raise ValueError(f"{name} must be {allowed}, where a seed has at most 64 bits, got {generator}")
    return torch.Generator().manual_seed(int(generator))


def draw(sampler: Callable, shape, like: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """
    Draw random numbers with the dtype and on the device of another tensor.

    With a CPU generator, the numbers do not depend on the device of `like`.

    Args:
        sampler (`Callable`): `torch.randn` or `torch.rand`.
        shape (`Sequence[int]`): Shape of the result.
        like (`torch.Tensor`): Tensor whose dtype and device the result has.
        generator (`torch.Generator`, *optional*): Source of the numbers; defaults to torch's own.

    Raises:
        ValueError: If `generator` is anything else, such as a seed: see [`as_generator`].
    """
    if generator is not None and not isinstance(generator, torch.Generator):
        raise ValueError(f"generator must be a torch.Generator or None, got {generator!r:.80}")
    if generator is None:  # as an argument it would need concrete sizes, which compiled code may not have
        return sampler(shape, device=like.device, dtype=like.dtype)
    return sampler(shape, generator=generator, device=generator.device, dtype=like.dtype).to(like.device)


def gaussian_like(tensor: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Standard normal noise of `tensor`'s shape, dtype and device."""
    return draw(torch.randn, tensor.shape, tensor, generator)


def gumbel_like(tensor: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """
    Standard Gumbel noise of `tensor`'s shape, dtype and device. The index of the largest of `logits + noise` is a draw
    from the categorical distribution with these logits.
    """
    tiny = torch.finfo(tensor.dtype).tiny
    uniform = draw(torch.rand, tensor.shape, tensor, generator).clamp(min=tiny)
    return -(-uniform.log()).clamp(min=tiny).log()


@contextmanager
def at_least_float32_by_default() -> Iterator[None]:
    """Let new tensors be of float32 at least, also where torch's default dtype is half precision."""
    default = torch.get_default_dtype()
    if default.itemsize >= 4:
        yield
        return
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(default)


def at_least_float32(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor itself, or its float32 copy if it is in half precision."""
    return tensor.float() if tensor.dtype.itemsize < 4 else tensor
