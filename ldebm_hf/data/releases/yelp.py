"""Yelp review sentences as released for sentiment transfer: a file per split and sentiment, 0 negative, 1 positive."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..cleaning import read_text_split
from ..schema import Corpus, Split
from ..sources import Origin, ReleaseSource

LABEL_NAMES = ["negative", "positive"]


@dataclass(kw_only=True)
class Yelp(ReleaseSource):
    """Yelp from `sentiment.{train,dev}.{0,1}` and, if they are there, `sentiment.test.{0,1}`.

    Texts come in file order, the negative ones first.
    """

    name: ClassVar[str] = "yelp"
    files: ClassVar[str] = "sentiment.{train,dev}.{0,1}"
    is_tokenised: ClassVar[bool] = True
    origin: ClassVar[Origin] = Origin(
        title="Yelp sentences (sentiment transfer)",
        description="short sentences of business reviews in two sentiments, taken from the stars of the whole review",
        license="Yelp Dataset terms of use (academic use)",
        bias="The sentences are opinions of customers, mostly of restaurants in North America; the sentiment is that "
        "of the whole review and often not that of the sentence.",
    )

    def read(self) -> Corpus:
        notes: list[str] = []
        has_test = any((self.folder / f"sentiment.test.{label}").exists() for label in (0, 1))
        return Corpus(
            name=self.name,
            train=_read(self.folder, "train", notes),
            validation=_read(self.folder, "dev", notes),
            test=_read(self.folder, "test", notes) if has_test else None,
            label_names=list(LABEL_NAMES),
            license=self.origin.license,
            notes=notes,
        )


def _read(folder: Path, split: str, notes: list[str]) -> Split:
    negative, positive = (read_text_split(folder / f"sentiment.{split}.{label}", notes, label) for label in (0, 1))
    return Split(negative.texts + positive.texts, negative.labels + positive.labels)
