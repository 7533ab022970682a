"""Values for declared types, from Python or from text, with errors that say what is allowed."""

import typing
from types import NoneType, UnionType
from typing import Any, Literal


def convert(value: Any, declared: Any, name: str) -> Any:
    """`value`, or what its text stands for, as the declared type.

    Text is read by the type it is for, so that a recipe's `no`, `1e-3` or `none` mean what a reader expects; for a
    list it may be `a,b`.

    Args:
        declared: bool, int, float, str, None, a `Literal`, a list, tuple or dict of these, or a union.
        name (`str`): for the error message.

    Raises:
        ValueError: naming what is allowed.
    """
    # Any text is a str, and almost any a list of one: those come last.
    for option in sorted(_options(declared), key=lambda option: (option is str, typing.get_origin(option) is list)):
        try:
            return _read(value, option, name)
        except (ValueError, KeyError, TypeError):
            continue
    raise ValueError(f"{name} must be {describe(declared)}, got {value!r}")


def check_limits(value: Any, limits: dict[str, float], name: str) -> None:
    """Raise ValueError if a number is not `at_least`, or not `above`, its limit; None has none."""
    if value is not None and "at_least" in limits and not value >= limits["at_least"]:
        raise ValueError(f"{name} must be at least {limits['at_least']}, got {value!r}")
    if value is not None and "above" in limits and not value > limits["above"]:
        raise ValueError(f"{name} must be above {limits['above']}, got {value!r}")


def describe(declared: Any) -> str:
    """A declared type in words: `int or none`, `fp16 or bf16`, …"""
    words = []
    for option in _options(declared):
        if typing.get_origin(option) is Literal:
            words += typing.get_args(option)
        elif option is NoneType:
            words.append("none")
        else:
            words.append(option.__name__ if option in (bool, int, float, str) else str(option))
    return " or ".join(words)


def show(value: Any) -> str:
    """A value as the command line takes it."""
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _read(value: Any, option: Any, name: str) -> Any:
    origin, arguments = typing.get_origin(option), typing.get_args(option)
    word = value.lower() if isinstance(value, str) else value
    if option is NoneType:
        return {None: None, "none": None, "null": None}[word]
    if option is bool:
        return {"true": True, "false": False, True: True, False: False}[word]
    if option is int and not isinstance(value, (bool, float)):
        return int(value)
    if option is float and not isinstance(value, bool):
        return float(value)
    if option is str and isinstance(value, str):
        return value
    if origin is Literal and value in arguments:
        return value
    if origin is list and isinstance(value, str):
        value = [entry.strip() for entry in value.split(",")]
    if origin in (list, tuple) and isinstance(value, (list, tuple)):
        return [convert(entry, arguments[0], name) for entry in value]
    if origin is dict and isinstance(value, dict):
        return {convert(k, arguments[0], name): convert(v, arguments[1], name) for k, v in value.items()}
    raise ValueError


def _options(declared: Any) -> tuple:
    """The members of a union, or the one type there is."""
    return typing.get_args(declared) if typing.get_origin(declared) in (typing.Union, UnionType) else (declared,)
