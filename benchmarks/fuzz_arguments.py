"""
Random calls of the public API, with values that make sense and values that make none.

    python benchmarks/fuzz_arguments.py --number 6000 --seed 0

Each call takes a method of a tiny model or pipeline and valid values of its arguments; in three of four calls one or
two of these are replaced by nonsense: wrong types, shapes and devices, numbers out of range, nan and infinity. A call
is clear if it answers with finite numbers, or refuses with a ValueError or TypeError (of a configuration: the error of
transformers' configurations) that names one of its arguments.
"""

from __future__ import annotations

import random
import re
from typing import Any

import numpy as np
import torch
from fuzz_methods import Method, Workshop
from fuzz_outcomes import Outcomes, ascii_only, run_from_command_line, try_request
from fuzz_values import distorted, nonsense
from huggingface_hub.errors import StrictDataclassError

MEMORY = 12_000
"""Limit of the process's memory in mebibytes, which some requests would pass."""


def random_call(rng: random.Random, methods: list[Method]) -> tuple[Method, dict[str, Any]]:
    """A method, and its arguments for one call."""
    method = rng.choice(methods)
    given = {name: draw() for name, draw in method.valid.items() if name in method.required or rng.random() < 0.4}
    changed = rng.choice([0, 1, 1, 2])
    for name in rng.sample(list(method.valid), min(changed, len(method.valid))):
        if name == "num_langevin_steps" and rng.random() < 0.2:
            given[name] = 10**6
        elif rng.random() < 0.5:
            given[name] = rng.choice(nonsense())()
        else:
            given[name] = rng.choice(distorted(method.valid[name]()))()
    if rng.random() < 0.02:
        given["no_such_argument"] = 1
    return method, given


def is_clear(error: Exception, names: set[str]) -> bool:
    """Whether an error is one about a value that names an argument of the call."""
    pattern = r"(?<![\w.])(" + "|".join(map(re.escape, sorted(names))) + r")(?!\w)"
    return (
        isinstance(error, (ValueError, TypeError, StrictDataclassError)) and re.search(pattern, str(error)) is not None
    )


def is_finite(answer: Any) -> bool:
    """Whether no number in an answer is nan or infinite; logits of words that are never written may be -infinity."""
    if isinstance(answer, torch.Tensor):
        return not answer.is_floating_point() or answer.is_meta or bool(answer.isfinite().all())
    if isinstance(answer, np.ndarray):
        return answer.dtype.kind != "f" or bool(np.isfinite(answer).all())
    if isinstance(answer, float):
        return bool(np.isfinite(answer))
    if isinstance(answer, dict):
        return all(is_finite(value) for name, value in answer.items() if name != "logits")
    if isinstance(answer, (list, tuple)):
        return all(map(is_finite, answer))
    return True


def shown(given: dict[str, Any]) -> str:
    """The arguments of a call, cut to what a line holds."""
    return ", ".join(f"{name}={' '.join(repr(value).split())[:60]}" for name, value in given.items())


def run(number: int, seed: int = 0, seconds: int = 20) -> Outcomes:
    """The outcomes of random calls."""
    rng, outcomes = random.Random(seed), Outcomes()
    methods = Workshop(seed).methods(rng)
    for index in range(number):
        torch.manual_seed(index)
        method, given = random_call(rng, methods)
        names = method.argument_names() | given.keys()
        request = ascii_only(f"{method.name}({shown(given)})")
        outcome, message = try_request(
            lambda method=method, given=given: method.function(**given),
            lambda error, names=names: is_clear(error, names),
            is_finite,
            seconds,
        )
        outcomes.add(outcome, request, ascii_only(message))
    return outcomes


if __name__ == "__main__":
    run_from_command_line(__doc__, run, "calls", 6000, MEMORY)
