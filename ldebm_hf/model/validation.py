"""What values are allowed: rules for plain values, of settings and of arguments, and the one form of their errors."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

MAX_SHOWN = 80
"""Characters of a refused value that an error shows."""


def require(condition: bool, name: str, value: object, allowed: str) -> None:
    """
    Check a value.

    Args:
        condition (`bool`): Whether the value is allowed.
        name (`str`): The setting or argument.
        value: The value that was given.
        allowed (`str`): What it must be, to follow "must be" in the error.

    Raises:
        ValueError: If `condition` is false.
    """
    if not condition:
        raise ValueError(f"{name} must be {allowed}, got {shown(value)}")


def shown(value: object) -> str:
    """A value as errors show it, cut to what a line holds."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python writes no integers of more than 4300 digits
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


class Rule(ABC):
    """What the values of an argument or a setting must be like."""

    @abstractmethod
    def __call__(self, name: str, value: Any, model: Any = None) -> Any:
        """
        The value in the form in which the function that is called expects it.

        Args:
            name (`str`): The argument or setting.
            value: What was given.
            model ([`LDEBMModel`], *optional*): The model that it was given to, for rules that depend on its settings.

        Raises:
            ValueError: If the value is not allowed; the error says what is.
        """


@dataclass(frozen=True)
class Count(Rule):
    """
    An integer of any kind but `bool`, which becomes an `int`.

    Args:
        at_least (`int`, *optional*, defaults to 1): The smallest.
        at_most (`int`, *optional*): The largest.
        why (`str`, *optional*): What the smallest consists of, for the error.
    """

    at_least: int = 1
    at_most: int | None = None
    why: str = ""

    def __call__(self, name: str, value: Any, model: Any = None) -> int:
        number = plain_number(value)
        require(isinstance(number, Integral), name, value, "an integer")
        number = int(number)
        if not _is_between(number, self.at_least, self.at_most):
            allowed = _range(self.at_least, self.at_most if number >= self.at_least else None)
            require(False, name, value, f"{allowed} ({self.why})" if self.why else allowed)
        return number


@dataclass(frozen=True)
class Number(Rule):
    """
    A finite real number of any kind but `bool`, which becomes a `float`.

    Args:
        at_least, at_most (`float`, *optional*): Limits that are allowed themselves.
        above, below (`float`, *optional*): Limits that are not.
    """

    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None

    def __call__(self, name: str, value: Any, model: Any = None) -> float:
        number = plain_number(value)
        require(isinstance(number, Real), name, value, "a number")
        try:
            number = float(number)
        except OverflowError:
            number = math.inf
        require(math.isfinite(number), name, value, "finite")
        is_inside = _is_between(number, self.at_least, self.at_most)
        is_inside = is_inside and (self.above is None or number > self.above)
        is_inside = is_inside and (self.below is None or number < self.below)
        if not is_inside:
            require(False, name, value, self._allowed(number))
        return number

    def _allowed(self, number: float) -> str:
        """The limits; a far upper one, which only keeps nonsense out, is left out where it is kept."""
        is_far = self.at_most is not None and 1 < self.at_most >= number
        if is_far:
            return replace(self, at_most=None)._allowed(number)
        if self.above == 0 and self.below is None and self.at_most is None:
            return "positive"
        if self.above is None and self.below is None:
            return _range(self.at_least, self.at_most)
        if self.above is not None and self.at_most is not None:
            return f"in ({self.above:g}, {self.at_most:g}]"
        if self.at_least is not None and self.below is not None:
            return f"in [{self.at_least:g}, {self.below:g})"
        limits = [] if self.above is None else [f"above {self.above:g}"]
        limits += [] if self.below is None else [f"below {self.below:g}"]
        return " and ".join(limits)


class Flag(Rule):
    """`True` or `False`. Numbers and words are refused, because the word `"false"` would count as true."""

    def __call__(self, name: str, value: Any, model: Any = None) -> bool:
        is_flag = isinstance(value, bool) or type(value).__name__ in ("bool", "bool_") and hasattr(value, "dtype")
        require(is_flag, name, value, "True or False")
        return bool(value)


class Choice(Rule):
    """
    One of some words.

    Args:
        words (`str`): The words.
    """

    def __init__(self, *words: str):
        self.words = words

    def __call__(self, name: str, value: Any, model: Any = None) -> str:
        require(isinstance(value, str) and value in self.words, name, value, f"one of {', '.join(self.words)}")
        return value


@dataclass(frozen=True)
class Instance(Rule):
    """
    An object of some classes.

    Args:
        kinds (`type` or a tuple of them): The classes.
        what (`str`): What they are, to follow "must be" in the error.
    """

    kinds: type | tuple[type, ...]
    what: str

    def __call__(self, name: str, value: Any, model: Any = None) -> Any:
        require(isinstance(value, self.kinds), name, value, self.what)
        return value


@dataclass(frozen=True)
class NoneOr(Rule):
    """
    What another rule allows, or `None` where that is not the default.

    Args:
        rule ([`Rule`]): The other rule.
    """

    rule: Rule

    def __call__(self, name: str, value: Any, model: Any = None) -> Any:
        return None if value is None else self.rule(name, value, model)


def plain_number(value: Any) -> Any:
    """The number in an array or a tensor without dimensions; `None` for truth values; anything else as it is."""
    if isinstance(value, bool):
        return None
    if hasattr(value, "dtype") and not isinstance(value, type):
        if getattr(value, "shape", None) != () or getattr(value, "is_meta", False):
            return None
        value = value.item()
    return None if isinstance(value, bool) else value


def check_all(rules: Mapping[str, Rule], values: Mapping[str, Any], model: Any = None) -> dict[str, Any]:
    """The values with those that have a rule and are not `None` checked by it."""
    checked_values = dict(values)
    for name, rule in rules.items():
        if checked_values.get(name) is not None:
            checked_values[name] = rule(name, checked_values[name], model)
    return checked_values


def _is_between(number: float, at_least: float | None, at_most: float | None) -> bool:
    return (at_least is None or number >= at_least) and (at_most is None or number <= at_most)


def _range(at_least: float | None, at_most: float | None) -> str:
    if at_most is None:
        return f"at least {_plain(at_least)}"
    return f"at most {_plain(at_most)}" if at_least is None else f"between {_plain(at_least)} and {_plain(at_most)}"


def _plain(limit: float) -> str:
    """A limit with commas between thousands."""
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"
