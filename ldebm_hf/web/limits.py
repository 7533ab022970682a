"""What a visitor of the page may request, and the errors for requests that are refused."""

from dataclasses import dataclass
from numbers import Real


class BadRequest(ValueError):
    """A request that cannot be answered. The message is a sentence for the visitor, in valid Unicode."""

    def __init__(self, sentence: str):
        super().__init__(sentence.encode("utf-8", "replace").decode())


@dataclass(frozen=True)
class Limits:
    """The largest values that one request may ask for."""

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
    """The value as a float. Raises [`BadRequest`], naming it, if it is not a number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= value <= high:
        raise BadRequest(f"The {name} must be a number from {low:g} to {high:g}, but it is {_shown(value)}.")
    return float(value)


def whole_number(name: str, value: int, low: int, high: int) -> int:
    """The value as an int. Raises [`BadRequest`], naming it, if it is not a whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= value <= high or value != int(value):
        raise BadRequest(f"The {name} must be a whole number from {low} to {high}, but it is {_shown(value)}.")
    return int(value)


def _shown(value: object) -> str:
    return "empty" if value is None else f"{value!r:.40}"
