"""AG News (Zhang et al., NeurIPS 2015): news items of four classes, each with a title and a description."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..cleaning import clean_split
from ..data_files import DelimitedFile, read_table
from ..encodings import recognise_encoding
from ..hub import fetch
from ..schema import NO_LABEL, Corpus, Split
from ..sources import Origin, ReleaseSource
from ..splits import hold_out

HUB_ID = "fancyzhx/ag_news"
LABEL_NAMES = ["World", "Sports", "Business", "Sci/Tech"]
VALIDATION_FRACTION = 5_000 / 120_000
"""What is held out of a release without validation items: as many as VAMPIRE, and so the published runs, held out."""

HEADER = ["class index", "title", "description"]


@dataclass(kw_only=True)
class AGNews(ReleaseSource):
    """AG News with the description of each item as its text, as the published runs have it, or title and description.

    `data_dir` is a folder with `train.jsonl`, `dev.jsonl` and perhaps `test.jsonl` (`label` from 0, `description` and
    `title`, or `text` where an item has no parts), or with the release's `train.csv` and `test.csv` (class from 1,
    title, description; no header). Without it the data set comes from the Hub, where title and description are one
    text. Where the source has no validation split, 1 of 24 training items is held out, the same for every class.

    Args:
        titles (`bool`, *optional*, defaults to `False`): put the title before the description. An item whose parts are
            not known keeps its whole text in either case.
    """

    name: ClassVar[str] = "agnews"
    origin: ClassVar[Origin] = Origin(
        title="AG News",
        description="news items of four classes",
        license="AG's corpus of news articles (non-commercial research)",
        bias="The items are English-language news of 2004 and 2005, about real persons and events as a selection of "
        "outlets saw them; whatever happened later is unknown to the model.",
        hub_id=HUB_ID,
    )

    titles: bool = False

    def read(self) -> Corpus:
        notes: list[str] = []
        splits = self._read_splits(notes)
        if "validation" not in splits:
            splits["train"], splits["validation"] = hold_out(splits["train"], VALIDATION_FRACTION, self.seed)
            notes.append(f"validation: {len(splits['validation']):,} items held out of train with seed {self.seed}")
        return Corpus(
            name=self.name,
            train=splits["train"],
            validation=splits["validation"],
            test=splits.get("test"),
            label_names=list(LABEL_NAMES),
            license=self.origin.license,
            notes=notes,
        )

    def _read_splits(self, notes: list[str]) -> dict[str, Split]:
        if self.data_dir is not None:
            folder = Path(self.data_dir)
            if (folder / "train.csv").exists():
                return _read_release(folder, self.titles, notes)
            return _read_jsonl(folder, self.titles, notes)
        if not self.titles:
            raise ValueError(
                f"titles=False needs data_dir, a folder with the release: in {HUB_ID} titles are part of the texts"
            )
        return _read_hub(notes)


def _read_jsonl(folder: Path, titles: bool, notes: list[str]) -> dict[str, Split]:
    splits = {}
    for name, file in {"train": "train", "validation": "dev", "test": "test"}.items():
        path = folder / f"{file}.jsonl"
        if name == "test" and not path.exists():
            continue
        columns = read_table(path, "text", notes, encoding="utf-8")
        if "label" not in columns:
            raise ValueError(f"{path} has no column 'label'; columns there are: {', '.join(columns)}")
        size = len(columns["label"])
        title, description, text = (columns.get(part, [None] * size) for part in ("title", "description", "text"))
        is_description = columns.get("description_only", [None] * size)
        whole = sum(d is None and not only for d, only in zip(description, is_description, strict=True))
        if whole and not titles:
            notes.append(f"{path.name}: {whole:,} items whose title is not marked keep it")
        texts = [_text(*parts, titles) for parts in zip(title, description, text, strict=True)]
        labels = [_label(value, 0, f"{path}, item {i}") for i, value in enumerate(columns["label"], start=1)]
        splits[name] = clean_split(texts, labels, path.name, notes)
    return splits


def _read_release(folder: Path, titles: bool, notes: list[str]) -> dict[str, Split]:
    splits = {}
    for name in ("train", "test"):
        path = folder / f"{name}.csv"
        if name == "test" and not path.exists():
            continue
        items = DelimitedFile(path, recognise_encoding(path, notes, "utf-8"), ",", names=HEADER).rows()
        texts, labels = [], []
        for line, item in items:
            label, title, description = (item.get(column) for column in HEADER)
            if line == 1 and [str(cell).lower() for cell in (label, title, description)] == HEADER:
                continue  # some copies have a header; in the release the first line is an item
            if description is None:
                found = list(item.values())
                raise ValueError(f"{path}, line {line}: expected class, title and description, found {found!r}")
            labels.append(_label(label, 1, f"{path}, line {line}"))
            texts.append(_text(title, description, None, titles))
        splits[name] = clean_split(texts, labels, path.name, notes)
    return splits


def _read_hub(notes: list[str]) -> dict[str, Split]:
    loaded = fetch(HUB_ID)
    return {
        name: clean_split(
            [_plain(text) for text in loaded[name]["text"]], list(loaded[name]["label"]), f"{HUB_ID} ({name})", notes
        )
        for name in ("train", "test")
        if name in loaded
    }


def _text(title: str | None, description: str | None, text: str | None, titles: bool) -> str | None:
    parts = [title, description] if titles else [description]
    if description is None:
        parts = [text]
    return _plain(" ".join(part for part in parts if part))


def _plain(text: str) -> str:
    return text.replace("\\", " ")  # the release has them where lines end, and before some marks


def _label(value: object, first: int, place: str) -> int:
    """A class id from 0 of a class that the source numbers from `first`."""
    if value is None:
        return NO_LABEL
    try:
        label = int(str(value).strip()) - first
    except ValueError:
        label = -1
    if not 0 <= label < len(LABEL_NAMES):
        last = first + len(LABEL_NAMES) - 1
        raise ValueError(f"{place}: label must be {first} to {last}, found {value!r}")
    return label
