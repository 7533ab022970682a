"""Arguments of a model as tensors: token ids, masks and classes may be lists, NumPy arrays or columns of pandas."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

OF_OTHER_MODELS = ("inputs_embeds", "decoder_inputs_embeds", "decoder_attention_mask")
"""Arguments of encoder-decoder models of transformers that models here do not read."""


def without_embeddings(forward: Callable) -> Callable:
    """
    Decorator of a `forward` that lets the arguments [`OF_OTHER_MODELS`] be `None`, as wrappers such as those of peft
    always give them, and refuses other values of them by name. The signature stays as it is.
    """

    @functools.wraps(forward)
    def checked(self, *args, **kwargs):
        for name in OF_OTHER_MODELS:
            if kwargs.pop(name, None) is not None:
                raise ValueError(f"{name} must be None, because the model reads token ids and the mask of its input")
        return forward(self, *args, **kwargs)

    return checked


def as_ids(name: str, values: Any, device: torch.device | str | None = None) -> torch.Tensor:
    """
    Ids as a `torch.LongTensor`.

    Args:
        name (`str`): Name of the argument, for error messages.
        values (`torch.Tensor`, `np.ndarray`, a sequence of numbers or of rows of equal length): Integers of any width.
        device (`torch.device`, *optional*): Device of the result if `values` is not a tensor; a tensor stays where it
            is. Defaults to the CPU.

    Raises:
        ValueError: If the values are not integers, or rows have different lengths.
    """
    if isinstance(values, torch.Tensor):
        if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
            raise ValueError(f"{name} must be integers, got {values.dtype}")
        return values.long()
    array = _as_array(name, values)
    if array.size and array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers, got {_kind(array)}")
    return torch.from_numpy(array.astype(np.int64)).to(device)


def as_mask(name: str, values: Any, device: torch.device | str | None = None) -> torch.Tensor:
    """
    A mask, whose zeros mark what is left out, as a tensor. Arguments as in [`as_ids`].

    Raises:
        ValueError: If the values are not numbers or truth values, or rows have different lengths.
    """
    if isinstance(values, torch.Tensor):
        return values
    array = _as_array(name, values)
    if array.size and array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be zeros and ones, got {_kind(array)}")
    return torch.from_numpy(array != 0).to(device)


def _as_array(name: str, values: Any) -> np.ndarray:
    if isinstance(values, (list, tuple)) and any(isinstance(row, torch.Tensor) for row in values):
        values = [row.tolist() if isinstance(row, torch.Tensor) else row for row in values]
    try:
        array = np.asarray(values)
        if array.dtype == object:  # of Python's integers, or of one list per row
            array = np.array(array.tolist())
    except ValueError as error:
        raise ValueError(f"{name} must have rows of equal length: pad them on the right") from error
    return array


def _kind(array: np.ndarray) -> str:
    """What the entries of an array are, for error messages."""
    if array.dtype.kind in "US":
        return f"strings such as {str(array.flat[0])!r:.40}"
    if array.dtype == object:
        return f"entries such as {array.flat[0]!r:.40}"
    return str(array.dtype)
