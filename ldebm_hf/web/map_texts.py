"""The texts on the latent map of a checkpoint: those saved with it, its training texts, or texts that it writes."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from huggingface_hub.constants import HF_HUB_CACHE

from ..training.saved_runs import settings_to_show

logger = logging.getLogger(__name__)

NUM_MAP_TEXTS = 1500
"""The most texts on a map by default."""
GIVEN_TEXTS, WRITTEN_TEXTS, EXAMPLES = "texts.txt", "written.txt", "examples.txt"
"""Files of a checkpoint with one text per line: real texts for the map, texts written by the model for the map, and
texts that the page offers as examples."""
WRITTEN = "texts that the model wrote itself"


def texts_of_checkpoint(
    folder: Path, number: int, data: str | None = None, seed: int = 0
) -> tuple[list[str], str]:
    """At most `number` texts that are saved with a checkpoint or that it was trained on, and a phrase that says what
    they are; no texts and an empty phrase if there are none. A file that it was trained on is read only if its path is
    also given as `data`, because a checkpoint can name any file of this machine."""
    for name, origin in ((GIVEN_TEXTS, "texts that come with the checkpoint"), (WRITTEN_TEXTS, WRITTEN)):
        texts = lines_of(folder / name)
        if texts:
            return _some(texts, number, seed), origin
    try:
        settings = settings_to_show(str(folder), data)
        if settings is None or settings.data.streaming:
            return [], ""
        texts = settings.load_corpus().train.texts
    except (OSError, ValueError, ImportError) as error:  # the checkpoint can be shown all the same
        logger.warning("the map does not show the texts of the training: %s", error)
        return [], ""
    source = settings.data.source
    origin = "a built-in synthetic corpus" if source == "synthetic" else Path(source).name
    return _some(texts, number, seed), f"training texts of {origin}"


def lines_of(file: Path) -> list[str]:
    """
    The non-empty lines of a text file of a checkpoint; none if there is no such file.

    Raises:
        ValueError: It is a link to a file elsewhere than in its folder or the cache of the Hub.
    """
    if not file.is_file():
        return []
    if not any(file.resolve().is_relative_to(place.resolve()) for place in (file.parent, Path(HF_HUB_CACHE))):
        raise ValueError(f"{file} must be a file of the checkpoint, but it is a link to {file.resolve()}")
    return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def _some(texts: list[str], number: int, seed: int) -> list[str]:
    """At most `number` of the texts, drawn at random, in their order."""
    if len(texts) <= number:
        return texts
    chosen = np.random.default_rng(seed).choice(len(texts), number, replace=False)
    return [texts[index] for index in np.sort(chosen)]
