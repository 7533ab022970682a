"""What a visitor of a page may ask for, and what is said where that is exceeded."""

from dataclasses import dataclass
from numbers import Real


class BadRequest(ValueError):
    """What was asked for cannot be done; the message tells whoever asked, in a sentence."""


@dataclass(frozen=True)
class Limits:
    """The most that one request may ask for."""

    characters: int = 400
    sentences: int = 20
    symbols: int = 8
    latents: int = 60
    steps: int = 12
    completions: int = 5
    masks: int = 8
    guidance_scale: float = 20.0
    temperature: float = 2.0
    seed: int = 2**31 - 1


def real_number(name: str, value: float, low: float, high: float) -> float:
    """The value, which must be such a number, or else a [`BadRequest`] that says so."""
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= value <= high:
        raise BadRequest(f"The {name} must be a number from {low:g} to {high:g}, and not {_shown(value)}.")
    return float(value)


def whole_number(name: str, value: int, low: int, high: int) -> int:
    """The value, which must be such a number, or else a [`BadRequest`] that says so."""
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= value <= high or value != int(value):
        raise BadRequest(f"The {name} must be a whole number from {low} to {high}, and not {_shown(value)}.")
    return int(value)


def _shown(value: object) -> str:
    return "empty" if value is None else f"{value!r:.40}"
