"""The texts on the latent map of a checkpoint: those saved with it, its training texts, or texts that it writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..training.saved_runs import settings_of

NUM_MAP_TEXTS = 1500
"""The most texts on a map by default."""
GIVEN_TEXTS, WRITTEN_TEXTS, EXAMPLES = "texts.txt", "written.txt", "examples.txt"
"""Files of a checkpoint with one text per line: real texts for the map, texts written by the model for the map, and
texts that the page offers as examples."""
WRITTEN = "texts that the model wrote itself"


def texts_of_checkpoint(folder: Path, number: int, seed: int = 0) -> tuple[list[str], str]:
    """At most `number` texts that are saved with a checkpoint or that it was trained on, and a phrase that says what
    they are; no texts and an empty phrase if there are none."""
    for name, origin in ((GIVEN_TEXTS, "texts that come with the checkpoint"), (WRITTEN_TEXTS, WRITTEN)):
        texts = lines_of(folder / name)
        if texts:
            return _some(texts, number, seed), origin
    try:
        settings = settings_of(str(folder))
        if settings is None or settings.data.streaming:
            return [], ""
        texts = settings.load_corpus().train.texts
    except (OSError, ValueError, ImportError):  # the corpus is not on this machine; the checkpoint can still be shown
        return [], ""
    source = settings.data.source
    origin = "a built-in synthetic corpus" if source == "synthetic" else Path(source).name
    return _some(texts, number, seed), f"training texts of {origin}"


def lines_of(file: Path) -> list[str]:
    """The non-empty lines of a text file; none if there is no such file."""
    if not file.is_file():
        return []
    return [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def _some(texts: list[str], number: int, seed: int) -> list[str]:
    """At most `number` of the texts, drawn at random, in their order."""
    if len(texts) <= number:
        return texts
    chosen = np.random.default_rng(seed).choice(len(texts), number, replace=False)
    return [texts[index] for index in np.sort(chosen)]
