"""Values of declared types, given in Python or as text, with errors that say what is allowed."""

import difflib
import math
import typing
from dataclasses import field
from types import NoneType, UnionType
from typing import Any, Literal

IN_WORDS = {int: "a whole number", float: "a number", str: "text", NoneType: "none"}


def setting(default: Any, help: str, *, heading: str | None = None, **limits: float) -> Any:
    """A dataclass field for one setting.

    Args:
        default: Its default value, which must be immutable.
        help (`str`): What it does, as `--help` shows it.
        heading (`str`, *optional*): A title that `--help` shows above this setting and those after it.
        limits: `at_least` or `above`, for numbers.
    """
    return field(default=default, metadata={"help": help, "heading": heading, **limits})


def convert(value: Any, declared: Any, name: str) -> Any:
    """The value as the declared type, read from text if it is text.

    Text is read by the type it is meant for, so that `no`, `1e-3` and `none` in a recipe mean what a reader expects. A
    list may be written `a,b`.

    Args:
        declared: `bool`, `int`, `float`, `str`, `None`, a `Literal`, a list, tuple or dict of these, or a union.
        name (`str`): The setting's name for the error message.

    Raises:
        ValueError: the value is not of that type. The message says what is allowed and, where words are allowed, which
            is the closest.
    """
    # Any text is a str, and almost any text a list of them, so these two are tried last.
    for option in sorted(_options(declared), key=lambda option: (option is str, typing.get_origin(option) is list)):
        try:
            return _read(value, option, name)
        except (ValueError, TypeError):
            continue
    close = difflib.get_close_matches(str(value), allowed_words(declared), n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise ValueError(f"{name} must be {describe(declared)}, got {value!r}{hint}")


def check_limits(value: Any, limits: dict[str, float], name: str) -> None:
    """Raise a ValueError if a number is below its limit `at_least`, or not above its limit `above`.

    `None` stands for "not set" and is always allowed.
    """
    if value is None:
        return
    if "at_least" in limits and not value >= limits["at_least"]:
        raise ValueError(f"{name} must be at least {limits['at_least']}, got {value!r}")
    if "above" in limits and not value > limits["above"]:
        raise ValueError(f"{name} must be greater than {limits['above']}, got {value!r}")


def describe(declared: Any) -> str:
    """A declared type in words, for instance `a whole number or none` or `no, fp16, bf16 or none`."""
    words = []
    options = _options(declared)
    for option in options:
        if option is int and float in options:
            continue
        if typing.get_origin(option) is Literal:
            words += [str(word) for word in typing.get_args(option)]
        elif option is bool:
            words += ["true", "false"]
        elif typing.get_origin(option) in (list, tuple):
            entries = "numbers" if typing.get_args(option)[0] in (int, float) else "names"
            words.append(f"a list of {entries} such as {'0.1,0.9' if entries == 'numbers' else 'a,b'}")
        elif typing.get_origin(option) is dict:
            words.append("a mapping such as {0: a, 1: b}")
        else:
            words.append(IN_WORDS[option])
    *others, last = dict.fromkeys(words)  # "none" may be a word that stands for itself and for None
    return f"{', '.join(others)} or {last}" if others else last


def allowed_words(declared: Any) -> list[str]:
    """The words among which a declared type chooses; empty if it is no choice among words."""
    literals = [option for option in _options(declared) if typing.get_origin(option) is Literal]
    return [str(word) for literal in literals for word in typing.get_args(literal)]


def show(value: Any) -> str:
    """A value as the command line takes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ",".join(map(show, value))
    return str(value)


def _read(value: Any, option: Any, name: str) -> Any:
    """The value as one member of a union; a ValueError or TypeError if it is none."""
    origin, arguments = typing.get_origin(option), typing.get_args(option)
    word = value.lower() if isinstance(value, str) else value
    if option is NoneType and word in (None, "none", "null"):
        return None
    if option is bool and (isinstance(value, bool) or word in ("true", "false")):
        return word in (True, "true")
    if option is int and not isinstance(value, (bool, float)):
        return int(value)
    if option is float and not isinstance(value, bool) and math.isfinite(float(value)):
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
    """The members of a union, or the declared type itself."""
    if typing.get_origin(declared) in (typing.Union, UnionType):
        return typing.get_args(declared)
    return (declared,)
