"""Seeded choices over a split: hold some out for validation, train on fewer examples, hide labels. Order is kept."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from numbers import Real
from typing import TypeVar

import numpy as np

from ..text.document_tokenization import count_content_words
from .schema import NO_LABEL, Corpus, PointSplit, Split

AnySplit = TypeVar("AnySplit", Split, PointSplit)


def hold_out(split: AnySplit, fraction: float, seed: int) -> tuple[AnySplit, AnySplit]:
    """
    Divide into (rest, held out), the held-out share being the same in every class and among the unlabelled. The only
    example of a class is not held out.

    Raises:
        ValueError: fewer than two examples, or a fraction outside 0 to 1.
    """
    check_validation_fraction(fraction)
    if len(split) < 2:
        unit = split.unit
        raise ValueError(f"a split of {len(split)} {unit} cannot be divided: give validation_file, or more {unit}s")
    labels = _as_list(split.labels)
    counts = Counter(labels)
    order = [i for i in _shuffled(len(split), seed, "validation") if labels[i] == NO_LABEL or counts[labels[i]] > 1]
    order = order or list(range(len(split)))  # every class has one example alone: some of them must go
    order.sort(key=labels.__getitem__)
    size = min(max(1, round(fraction * len(order))), len(order), len(split) - 1)
    # Evenly spaced picks from a list sorted by class are a stratified sample.
    held_out = sorted(order[int((i + 0.5) * len(order) / size)] for i in range(size))
    rest = sorted(set(range(len(split))) - set(held_out))
    return split.select(rest), split.select(held_out)


def drop_short_texts(corpus: Corpus, min_words: int) -> None:
    """Take texts of fewer words out of every split of `corpus`, which gets a note of their numbers."""
    if min_words < 0:
        raise ValueError(f"min_words must be at least 0, got {min_words}")
    if not min_words:
        return
    for name, split in corpus.splits.items():
        kept = [i for i, count in enumerate(count_content_words(split.texts)) if count >= min_words]
        if not kept:
            raise ValueError(f"{name} holds no text of min_words={min_words} or more")
        corpus.notes.append(f"{name}: {len(split) - len(kept):,} texts of fewer than {min_words} words left out")
        setattr(corpus, name, split.select(kept))


def take_subset(split: AnySplit, size: int, seed: int, option: str = "max_train_examples") -> AnySplit:
    """A random subset of at most `size` examples; `option` is what sets the size, for error messages."""
    if size < 1:
        raise ValueError(f"{option} must be at least 1, got {size}")
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


def keep_labels(split: AnySplit, count: int, seed: int) -> AnySplit:
    """Keep `count` labels, as many of every class as of any other, or one more; the others become `NO_LABEL`.

    Raises:
        ValueError: fewer labels than classes, or a class that has not as many as it would keep.
    """
    labels = _as_list(split.labels)
    classes = sorted(split.classes)
    if not classes or count < len(classes):
        raise ValueError(f"label_count must be at least the number of classes, {len(classes)}, got {count}")
    share, rest = divmod(count, len(classes))
    kept: set[int] = set()
    order = _shuffled(len(labels), seed, "labels")
    for place, label in enumerate(classes):
        members, size = [i for i in order if labels[i] == label], share + (place < rest)
        if len(members) < size:
            raise ValueError(f"label_count={count} needs {size} labels of class {label}, and there are {len(members)}")
        kept.update(members[:size])
    return replace(split, labels=[label if i in kept else NO_LABEL for i, label in enumerate(labels)])


def limit_training(
    split: AnySplit,
    max_examples: int | None,
    label_fraction: float,
    seed: int,
    *,
    label_count: int | None = None,
    label_seed: int | None = None,
) -> AnySplit:
    """`take_subset`, if there is a limit, then `keep_labels` or `hide_labels`, with `label_seed` if that is given."""
    if label_count is not None and label_fraction != 1:
        raise ValueError(f"label_count={label_count} and label_fraction={label_fraction} cannot both be given")
    if max_examples is not None:
        split = take_subset(split, max_examples, seed)
    label_seed = seed if label_seed is None else label_seed
    if label_count is not None:
        return keep_labels(split, label_count, label_seed)
    return hide_labels(split, label_fraction, label_seed)


def check_validation_fraction(fraction: float) -> None:
    """Refuse a share that leaves nothing on one side."""
    is_number = isinstance(fraction, Real) and not isinstance(fraction, bool)
    if not (is_number and 0 < fraction < 1):
        raise ValueError(f"validation_fraction must be between 0 and 1 (both excluded), got {fraction}")


def _as_list(labels: list[int] | np.ndarray) -> list[int]:
    # Python reads the elements of a list several times faster than those of an array.
    return labels.tolist() if isinstance(labels, np.ndarray) else labels


def _shuffled(size: int, seed: int, purpose: str) -> list[int]:
    # One stream per purpose, so that the choices stay independent of one another under the same seed.
    order = list(range(size))
    random.Random(f"{purpose}-{seed}").shuffle(order)
    return order
