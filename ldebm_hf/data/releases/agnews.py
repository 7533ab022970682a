"""AG News (Zhang et al., NeurIPS 2015): news items of four classes, each with a title and a description."""

from __future__ import annotations

from pathlib import Path

from ..cleaning import clean_split
from ..files import read_rows, read_table
from ..hub import fetch
from ..schema import NO_LABEL, Corpus, Split
from ..splits import hold_out

HUB_ID = "fancyzhx/ag_news"
LABEL_NAMES = ["World", "Sports", "Business", "Sci/Tech"]
LICENSE = "AG's corpus of news articles (non-commercial research)"
VALIDATION_FRACTION = 5_000 / 120_000
"""What is held out of a release without validation items: as many as VAMPIRE, and so the published runs, held out."""


HEADER = ["class index", "title", "description"]


def load_agnews(data_dir: str | Path | None = None, *, titles: bool = False, seed: int = 0) -> Corpus:
    """AG News with the description of each item as its text, as the published runs have it, or title and description.

    Args:
        data_dir (`str` or `Path`, *optional*): a folder with `train.jsonl`, `dev.jsonl` and perhaps `test.jsonl`
            (`label` from 0, `description` and `title`, or `text` where an item has no parts), or with the release's
            `train.csv` and `test.csv` (class from 1, title, description; no header). Without it the data set comes
            from the Hub, where title and description are one text.
        titles (`bool`, *optional*, defaults to `False`): put the title before the description. An item whose parts are
            not known keeps its whole text in either case.
        seed (`int`, *optional*, defaults to 0): decides what is held out for validation, where the source has no such
            split: 1 of 24 training items, by class.

    Raises:
        FileNotFoundError: naming the path that was looked for.
        ImportError, ConnectionError: the Hub's data set cannot be loaded; see `fetch`.
        ValueError: malformed content, or the Hub's data set without `titles`.
    """
    notes: list[str] = []
    folder = None if data_dir is None else Path(data_dir)
    if folder is None:
        if not titles:
            raise ValueError(
                f"titles=False needs data_dir, a folder with the release: in {HUB_ID} titles are part of the texts"
            )
        splits = _read_hub(notes)
    elif (folder / "train.csv").exists():
        splits = _read_release(folder, titles, notes)
    else:
        splits = _read_jsonl(folder, titles, notes)
    if "validation" not in splits:
        splits["train"], splits["validation"] = hold_out(splits["train"], VALIDATION_FRACTION, seed)
        notes.append(f"validation: {len(splits['validation']):,} items held out of train with seed {seed}")
    return Corpus(
        name="agnews",
        train=splits["train"],
        validation=splits["validation"],
        test=splits.get("test"),
        label_names=list(LABEL_NAMES),
        license=LICENSE,
        notes=notes,
    )


def _read_jsonl(folder: Path, titles: bool, notes: list[str]) -> dict[str, Split]:
    splits = {}
    for name, file in {"train": "train", "validation": "dev", "test": "test"}.items():
        path = folder / f"{file}.jsonl"
        if name == "test" and not path.exists():
            continue
        columns = read_table(path, "text", notes)
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
        first, rows, line_numbers = read_rows(path, ",", notes)
        items = list(zip([1, *line_numbers], [first, *rows], strict=True))
        if [name.lower() for name in first] == HEADER:  # of some copies; of the release the first line is an item
            items = items[1:]
        texts, labels = [], []
        for line, row in items:
            if len(row) != 3 or None in row:
                raise ValueError(f"{path}, line {line}: expected class, title and description, found {row!r}")
            labels.append(_label(row[0], 1, f"{path}, line {line}"))
            texts.append(_text(row[1], row[2], None, titles))
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
