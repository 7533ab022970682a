"""Yelp review sentences as released for sentiment transfer: a file per split and sentiment, 0 negative, 1 positive."""

from __future__ import annotations

from pathlib import Path

from ..cleaning import read_text_split
from ..schema import Corpus, Split

LABEL_NAMES = ["negative", "positive"]
LICENSE = "Yelp Dataset terms of use (academic use)"


def load_yelp(data_dir: str | Path) -> Corpus:
    """Yelp from `sentiment.{train,dev}.{0,1}` and, if they are there, `sentiment.test.{0,1}` in `data_dir`.

    Texts come in file order, the negative ones first.
    """
    folder, notes = Path(data_dir), []
    has_test = any((folder / f"sentiment.test.{label}").exists() for label in (0, 1))
    return Corpus(
        name="yelp",
        train=_read(folder, "train", notes),
        validation=_read(folder, "dev", notes),
        test=_read(folder, "test", notes) if has_test else None,
        label_names=list(LABEL_NAMES),
        license=LICENSE,
        notes=notes,
    )


def _read(folder: Path, split: str, notes: list[str]) -> Split:
    negative, positive = (read_text_split(folder / f"sentiment.{split}.{label}", notes, label) for label in (0, 1))
    return Split(negative.texts + positive.texts, negative.labels + positive.labels)
