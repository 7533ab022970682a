"""
Arguments of the public methods, which are checked before a method runs: [`checked`] declares what each must be.

Token ids, masks and classes may be lists, NumPy arrays or columns of pandas; rules turn them into tensors on the
model's device. Values of tensors on an accelerator are not read in training, because that would wait for the device.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase

from .noise import as_generator
from .text_reading import require_unicode
from .token_embedding import outside_of_range
from .validation import Choice, Count, Flag, Instance, Number, Rule, require, shown

MOST_SAMPLES = 10_000_000
"""The most samples, texts or words that one call may ask for; a larger number is taken for a mistake."""
MOST_TOKENS = 100_000
"""The longest text that one call may ask for."""
MOST_TYPES = 2**24
"""The most token types of a vocabulary."""
MOST_STEPS = 10_000
"""The most steps of a chain, chains, beams and so on."""
LARGEST_LATENT = 10_000.0
"""Latents have the scale of a standard normal; half-precision decoders overflow at 65504."""
LARGEST_COORDINATE = 1e12
"""Squares of larger coordinates of points, or of features of texts, overflow in single precision."""


TOKENS = ("batch_size", "sequence_length")
TARGETS = ("batch_size", "target_length")
TURNS = ("batch_size", "num_turns", "turn_length")


def checked(*, unless: str | None = None, **rules: Rule) -> Callable[[Callable], Callable]:
    """
    Decorator of a public function: every argument with a rule is checked, and converted, before the function runs.

    ```python
    @checked(num_samples=Count(at_least=1), latents=Vectors("total_latent_size"))
    def sample(model, num_samples=None, **options): ...
    ```

    An argument that has the default value of its parameter is not looked at, so that `None` is allowed exactly where
    it is the default. Rules may also be about names in `**kwargs`. The signature stays as it is. While `torch.compile`
    traces the function, nothing is checked: what is traced must be tensors already.

    Args:
        unless (`str`, *optional*): An argument with which nothing is checked: the one that marks a call as a step of a
            loop whose arguments have been checked.
        rules ([`Rule`]): What each argument must be like.
    """

    def decorate(function: Callable) -> Callable:
        signature = inspect.signature(function)
        parameters = signature.parameters
        others = next((name for name, one in parameters.items() if one.kind is one.VAR_KEYWORD), None)
        first = next(iter(parameters))

        @functools.wraps(function)
        def check_and_call(*args, **kwargs):
            if torch.compiler.is_compiling():
                return function(*args, **kwargs)
            call = signature.bind(*args, **kwargs)
            given = call.arguments
            if unless is not None and given.get(unless) is not None:
                return function(*args, **kwargs)
            owner = given.get(first)
            model = getattr(owner, "model", owner)
            for name, rule in rules.items():
                if name in parameters:
                    where, default = given, parameters[name].default
                else:
                    where, default = given.get(others, {}), None
                if name in where and where[name] is not default:
                    where[name] = rule(name, where[name], model)
            return function(*call.args, **call.kwargs)

        check_and_call.rules = rules
        return check_and_call

    return decorate


@dataclass(frozen=True)
class TokenIds(Rule):
    """
    Ids of tokens, which become a `torch.LongTensor`.

    Args:
        axes (`tuple[str, ...]`, *optional*): What its dimensions are called.
        in_vocabulary (`bool`, *optional*, defaults to `True`): Whether all ids must be in the model's vocabulary.
        also (`int`, *optional*): An id that is allowed besides these.
    """

    axes: tuple[str, ...] = TOKENS
    in_vocabulary: bool = True
    also: int | None = None

    def __call__(self, name: str, value: Any, model: Any = None) -> torch.Tensor:
        ids = _on_device_of(model, name, as_ids(name, value))
        _require_axes(name, ids, self.axes)
        if self.in_vocabulary and may_be_read(ids, model):
            size = model.config.vocab_size
            is_wrong = (ids < 0) | (ids >= size)
            if self.also is not None:
                is_wrong &= ids != self.also
            if is_wrong.any():
                raise ValueError(outside_of_range(f"{name}: token ids", ids, size, "vocab_size", self.also))
        return ids


class TokenList(Rule):
    """Ids of tokens of the model's vocabulary in any order, perhaps none, which become a `list[int]`."""

    def __call__(self, name: str, value: Any, model: Any = None) -> list[int]:
        ids = as_ids(name, list(value) if isinstance(value, (set, frozenset)) else value)
        require_memory(name, ids)
        require(ids.ndim == 1, name, value, "a list of token ids")
        if not 0 <= min(ids.tolist(), default=0) <= max(ids.tolist(), default=0) < model.config.vocab_size:
            raise ValueError(outside_of_range(f"{name}: token ids", ids, model.config.vocab_size, "vocab_size"))
        return ids.tolist()


@dataclass(frozen=True)
class Mask(Rule):
    """
    Zeros or `False` where something is left out, and ones or `True` elsewhere, as a tensor.

    Args:
        axes (`tuple[str, ...]`, *optional*): What its dimensions are called.
    """

    axes: tuple[str, ...] = TOKENS

    def __call__(self, name: str, value: Any, model: Any = None) -> torch.Tensor:
        mask = _on_device_of(model, name, as_mask(name, value))
        _require_axes(name, mask, self.axes)
        if may_be_read(mask, model):
            _require_zeros_and_ones(name, mask)
        return mask


class Lengths(Rule):
    """Numbers of tokens, at least 1 each, which become a `list[int]`."""

    def __call__(self, name: str, value: Any, model: Any = None) -> list[int]:
        lengths = as_ids(name, value)
        require_memory(name, lengths)
        _require_axes(name, lengths, ("batch_size",))
        lengths = lengths.tolist()
        for place, length in enumerate(lengths):
            if length < 1:
                require(False, f"{name}[{place}]", length, "at least 1")
        return lengths


class TurnLengths(Rule):
    """Numbers of tokens of the turns of contexts, at least 0 each and one of each context above 0."""

    def __call__(self, name: str, value: Any, model: Any = None) -> list[list[int]]:
        require(is_sequence(value), name, value, "a list with the lengths of the turns of each context")
        lengths = [as_ids(f"{name}[{place}]", row).tolist() for place, row in enumerate(value)]
        require(len(lengths) > 0, name, value, "lengths of the turns of at least one context")
        for place, row in enumerate(lengths):
            is_right = isinstance(row, list) and row and min(row) >= 0 and max(row) > 0
            require(is_right, f"{name}[{place}]", row, "a list of lengths of at least 0, of which one is above 0")
        return lengths


@dataclass(frozen=True)
class Vectors(Rule):
    """
    Vectors of finite numbers, which become a floating-point tensor of shape `(n, size)`.

    Args:
        size (`str`): The setting that says how many numbers a vector has.
        largest (`float`): The largest magnitude of a number.
        only_one (`bool`, *optional*, defaults to `False`): Whether it is one vector, of shape `(size,)`.
    """

    size: str
    largest: float
    only_one: bool = False

    def __call__(self, name: str, value: Any, model: Any = None) -> torch.Tensor:
        vectors = _on_device_of(model, name, as_floats(name, value))
        size = getattr(model.config, self.size)
        if self.only_one:
            require(vectors.shape == (size,), name, tuple(vectors.shape), f"of shape ({size},)")
        elif vectors.ndim != 2 or vectors.shape[1] != size or len(vectors) == 0:
            raise ValueError(f"{name} must have shape (n, {size}) with n at least 1, got {tuple(vectors.shape)}")
        if may_be_read(vectors, model):
            require_finite(name, vectors, self.largest)
        return vectors


class Features(Rule):
    """Vectors of texts from a pretrained encoder, which become a floating-point tensor of finite numbers."""

    def __call__(self, name: str, value: Any, model: Any = None) -> torch.Tensor:
        features = _on_device_of(model, name, as_floats(name, value))
        _require_axes(name, features, ("batch_size", "num_features"))
        if may_be_read(features, model):
            require_finite(name, features, LARGEST_COORDINATE)
        return features


@dataclass(frozen=True)
class Texts(Rule):
    """
    Strings of valid Unicode, as a list; from any iterable of them but a mapping.

    Args:
        at_least (`int`, *optional*, defaults to 0): The smallest number of them, 0 or 1.
        or_one (`bool`, *optional*, defaults to `True`): Whether a single string may be given, which stays a string.
        or_set (`bool`, *optional*, defaults to `False`): Whether a set may be given, because the order does not
            matter. It becomes a sorted list.
    """

    at_least: int = 0
    or_one: bool = True
    or_set: bool = False

    def __call__(self, name: str, value: Any, model: Any = None) -> str | list[str]:
        if self.or_one and isinstance(value, str):
            require_unicode(name, [value])
            return value
        if self.or_one:
            allowed = "strings, at least one" if self.at_least else "strings"
        else:
            allowed = "a list of at least one string" if self.at_least else "a list of strings"
        if isinstance(value, (set, frozenset)):
            require(self.or_set, name, value, f"{allowed} in an order, which a set does not have")
            value = sorted(value, key=str)
        require(is_sequence(value), name, value, allowed)
        texts = list(value)
        require(len(texts) >= self.at_least, name, value, allowed)
        for place, text in enumerate(texts):
            if not isinstance(text, str):
                require(False, f"{name}[{place}]", text, "a string")
        require_unicode(name, texts)
        return texts


class TextStream(Rule):
    """Strings of valid Unicode from any iterable, of which one at a time is in memory."""

    def __call__(self, name: str, value: Any, model: Any = None) -> Iterator[str]:
        if isinstance(value, str):
            raise ValueError(f"{name} must be a list of strings, got one string")
        require(is_sequence(value), name, value, "an iterable of strings")
        return self._strings(name, value)

    def _strings(self, name: str, texts: Iterable[Any]) -> Iterator[str]:
        for place, text in enumerate(texts):
            require(isinstance(text, str), f"{name}[{place}]", text, "a string")
            require_unicode(name, [text])
            yield text


class OneText(Rule):
    """A string of valid Unicode."""

    def __call__(self, name: str, value: Any, model: Any = None) -> str:
        require(isinstance(value, str), name, value, "a string")
        require_unicode(name, [value])
        return value


class Contexts(Rule):
    """The turns before each of several texts, which become a list of lists of strings."""

    def __call__(self, name: str, value: Any, model: Any = None) -> list[list[str]]:
        require(is_sequence(value), name, value, "a list with the turns before each text")
        turns = Texts(at_least=1, or_one=False)
        return [turns(f"{name}[{place}]", context) for place, context in enumerate(value)]


class Tokenizer(Rule):
    """A fast tokenizer of transformers."""

    def __call__(self, name: str, value: Any, model: Any = None) -> PreTrainedTokenizerBase:
        is_fast = isinstance(value, PreTrainedTokenizerBase) and value.is_fast
        require(is_fast, name, value, "a fast tokenizer of transformers")
        return value


class Seed(Rule):
    """A generator or a seed; see [`as_generator`]."""

    def __call__(self, name: str, value: Any, model: Any = None) -> torch.Generator | None:
        return as_generator(value, name)


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
        _require_dense(name, values)
        return values.long()
    array = _as_array(name, values)
    if array.size and array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers, got {_kind(array)}")
    return torch.from_numpy(array.astype(np.int64)).to(device)


def as_mask(name: str, values: Any, device: torch.device | str | None = None) -> torch.Tensor:
    """
    A mask, whose zeros mark what is left out, as a tensor. Arguments as in [`as_ids`].

    Raises:
        ValueError: If the values are not numbers or truth values, rows have different lengths, or a number in a list
            or an array is neither 0 nor 1.
    """
    if isinstance(values, torch.Tensor):
        require(not values.is_complex(), name, values.dtype, "zeros and ones")
        _require_dense(name, values)
        return values
    array = _as_array(name, values)
    if array.size and array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be zeros and ones, got {_kind(array)}")
    _require_zeros_and_ones(name, array)
    return torch.from_numpy(np.asarray(array != 0)).to(device)


def as_floats(name: str, values: Any) -> torch.Tensor:
    """
    Real numbers as a floating-point tensor, which keeps its precision if it has one.

    Raises:
        ValueError: If the values are not real numbers, or rows have different lengths.
    """
    if not isinstance(values, torch.Tensor):
        array = _as_array(name, values)
        if array.size and array.dtype.kind not in "iuf":
            raise ValueError(f"{name} must be numbers, got {_kind(array)}")
        values = torch.from_numpy(array.astype(np.float32) if array.dtype.kind != "f" else np.ascontiguousarray(array))
    _require_dense(name, values)
    if values.is_complex() or values.dtype == torch.bool:
        raise ValueError(f"{name} must be numbers, got {values.dtype}")
    return values if values.is_floating_point() else values.to(torch.get_default_dtype())


def require_finite(name: str, values: torch.Tensor, largest: float) -> None:
    """Raise ValueError unless every number is finite and no larger in magnitude than `largest`."""
    if values.numel() == 0:
        return
    magnitude = values.abs().amax().item()  # nan if one of them is
    allowed = f"finite, and of a magnitude of at most {largest:g}"
    require(magnitude <= largest, name, magnitude, allowed)


def _require_zeros_and_ones(name: str, mask: torch.Tensor | np.ndarray) -> None:
    is_wrong = (mask != 0) & (mask != 1)
    if is_wrong.any():
        require(False, name, mask[is_wrong].flatten()[0].item(), "zeros and ones")


def _require_axes(name: str, tensor: torch.Tensor, axes: tuple[str, ...]) -> None:
    if tensor.ndim != len(axes) or tensor.numel() == 0:
        expected = f"({', '.join(axes)}{',' if len(axes) == 1 else ''})"
        raise ValueError(f"{name} must have shape {expected}, got {tuple(tensor.shape)}")


def _require_dense(name: str, tensor: torch.Tensor) -> None:
    if tensor.layout is not torch.strided:
        raise ValueError(f"{name} must be a dense tensor, got one of layout {tensor.layout}")


def require_memory(name: str, tensor: torch.Tensor) -> None:
    """Raise ValueError for a tensor without values."""
    if tensor.is_meta:
        raise ValueError(f"{name} must be on a device with memory, got a tensor on the device meta")


def _on_device_of(model: Any, name: str, tensor: torch.Tensor) -> torch.Tensor:
    """The tensor on the model's device; a model whose weights wait on the meta device takes it as it is."""
    device = getattr(model, "device", None)
    if not isinstance(device, torch.device) or device.type == "meta":
        return tensor
    require_memory(name, tensor)
    return tensor.to(device)


def may_be_read(tensor: torch.Tensor, model: Any) -> bool:
    """Whether the values of a tensor can be looked at without making training wait for an accelerator."""
    return not tensor.is_meta and (tensor.device.type == "cpu" or not getattr(model, "training", False))


def is_sequence(value: Any) -> bool:
    """Whether a value holds others in an order."""
    if isinstance(value, (str, bytes, bytearray, Mapping, set, frozenset, torch.Tensor)):
        return False
    return isinstance(value, Iterable) and getattr(value, "shape", None) != ()


def _as_array(name: str, values: Any) -> np.ndarray:
    if isinstance(values, (list, tuple)) and any(isinstance(row, torch.Tensor) for row in values):
        for row in values:
            if isinstance(row, torch.Tensor):
                require_memory(name, row)
        values = [row.tolist() if isinstance(row, torch.Tensor) else row for row in values]
    try:
        array = np.asarray(values)
        if array.dtype == object:  # of Python's integers, or of one list per row
            array = np.array(array.tolist())
    except ValueError as error:
        raise ValueError(f"{name} must have rows of equal length: pad them on the right") from error
    except (TypeError, OverflowError) as error:
        raise ValueError(f"{name} must be numbers, got {shown(values)}") from error
    return array


def _kind(array: np.ndarray) -> str:
    """What the entries of an array are, for error messages."""
    if array.dtype.kind in "US":
        return f"strings such as {str(array.flat[0])!r:.40}"
    if array.dtype == object:
        return f"entries such as {array.flat[0]!r:.40}"
    return str(array.dtype)


LATENTS = Vectors("total_latent_size", LARGEST_LATENT)
LATENT = Vectors("total_latent_size", LARGEST_LATENT, only_one=True)
CONTEXT = {
    "context_input_ids": TokenIds(TURNS),
    "context_attention_mask": Mask(TURNS),
    "context_lengths": TurnLengths(),
}
INPUTS = {
    "input_ids": TokenIds(),
    "attention_mask": Mask(),
    "lengths": Lengths(),
    "points": Vectors("point_size", LARGEST_COORDINATE),
    "encoder_features": Features(),
    **CONTEXT,
}
"""What a model reads, whichever its modality."""
GUIDANCE = Number(at_least=-1e6, at_most=1e6)
"""Weights of log p(y|z); 1/τ of the published schedule, in the thousands, is one."""
SAMPLING = {
    "num_samples": Count(at_most=MOST_SAMPLES),
    "guidance_scale": GUIDANCE,
    "num_langevin_steps": Count(at_least=0, at_most=MOST_STEPS),
    "sampler": Choice("langevin", "distilled"),
    "num_proposals": Count(at_most=MOST_STEPS),
    "generator": Seed(),
}
"""How latents are drawn from a prior."""
DECODING = {
    "max_new_tokens": Count(at_most=MOST_TOKENS),
    "max_length": Count(at_most=MOST_TOKENS),
    "min_new_tokens": Count(at_least=0, at_most=MOST_TOKENS),
    "min_length": Count(at_least=0, at_most=MOST_TOKENS),
    "do_sample": Flag(),
    "temperature": Number(above=0, at_most=1e6),
    "top_k": Count(at_least=0),
    "top_p": Number(at_least=0, at_most=1),
    "min_p": Number(at_least=0, at_most=1),
    "num_beams": Count(at_most=MOST_STEPS),
    "num_return_sequences": Count(at_most=MOST_SAMPLES),
    "repetition_penalty": Number(above=0, at_most=1e6),
    "no_repeat_ngram_size": Count(at_least=0),
    "length_penalty": Number(),
    "suppress_tokens": TokenList(),
    "decoder_input_ids": TokenIds(TARGETS),
    "generation_config": Instance(GenerationConfig, "a GenerationConfig"),
}
"""Options of transformers' `generate`."""
