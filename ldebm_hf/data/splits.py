"""Seeded choices over a split: hold some out for validation, train on fewer examples, hide labels. Order is kept."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TypeVar

import numpy as np

from .schema import NO_LABEL, PointSplit, Split

AnySplit = TypeVar("AnySplit", Split, PointSplit)


def hold_out(split: AnySplit, fraction: float, seed: int) -> tuple[AnySplit, AnySplit]:
    """Divide into (rest, held out), the held-out share being the same in every class and among the unlabelled.

    Raises:
        ValueError: fewer than two examples, or a fraction outside 0 to 1.
    """
    check_validation_fraction(fraction)
    if len(split) < 2:
        unit = split.unit
        raise ValueError(f"a split of {len(split)} {unit} cannot be divided: give validation_file, or more {unit}s")
    order = _shuffled(len(split), seed, "validation")
    order.sort(key=_as_list(split.labels).__getitem__)
    size = min(max(1, round(fraction * len(split))), len(split) - 1)
    # Evenly spaced picks from a list sorted by class are a stratified sample.
    held_out = sorted(order[int((i + 0.5) * len(split) / size)] for i in range(size))
    rest = sorted(set(order) - set(held_out))
    return split.select(rest), split.select(held_out)


def take_subset(split: AnySplit, size: int, seed: int) -> AnySplit:
    """A random subset of at most `size` examples."""
    if size < 1:
        raise ValueError(f"max_train_examples must be at least 1, got {size}")
    return split.select(sorted(_shuffled(len(split), seed, "subset")[:size]))


def hide_labels(split: AnySplit, fraction: float, seed: int) -> AnySplit:
    """Keep a random share `fraction` of the labels that are known; the others become `NO_LABEL`."""
    if not 0 <= fraction <= 1:
        raise ValueError(f"label_fraction must be between 0 and 1, got {fraction}")
    labels = _as_list(split.labels)
    labelled = [i for i, label in enumerate(labels) if label != NO_LABEL]
    order = _shuffled(len(labelled), seed, "labels")
    kept = {labelled[i] for i in order[: round(fraction * len(labelled))]}
    return replace(split, labels=[label if i in kept else NO_LABEL for i, label in enumerate(labels)])


def limit_training(split: AnySplit, max_examples: int | None, label_fraction: float, seed: int) -> AnySplit:
    """`take_subset`, if there is a limit, then `hide_labels`."""
    if max_examples is not None:
        split = take_subset(split, max_examples, seed)
    return hide_labels(split, label_fraction, seed)


def check_validation_fraction(fraction: float) -> None:
    """Refuse a share that leaves nothing on one side."""
    if not 0 < fraction < 1:
        raise ValueError(f"validation_fraction must be between 0 and 1 (both excluded), got {fraction}")


def _as_list(labels: list[int] | np.ndarray) -> list[int]:
    # Python reads the elements of a list several times faster than those of an array.
    return labels.tolist() if isinstance(labels, np.ndarray) else labels


def _shuffled(size: int, seed: int, purpose: str) -> list[int]:
    # One stream per purpose, so that the choices stay independent of one another under the same seed.
    order = list(range(size))
    random.Random(f"{purpose}-{seed}").shuffle(order)
    return order
