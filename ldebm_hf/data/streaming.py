"""Corpora larger than memory: training texts stay where they are and are read window by window, every epoch anew."""

from __future__ import annotations

import csv
import glob
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .cleaning import Cleaner
from .files import FILE_TYPES, read_table
from .hub import VALIDATION_NAMES
from .schema import NO_LABEL, Corpus, Split
from .tables import column_of, label_name, require_text, sorted_names

WINDOW_SIZE = 10_000
BUILDERS = {".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".txt": "text", ".parquet": "parquet"}
DELIMITERS = {".csv": ",", ".tsv": "\t"}


@dataclass
class TextStream:
    """Texts of a `datasets.IterableDataset`, cleaned as all texts are, in windows of up to 10,000 rows.

    Args:
        dataset (`datasets.IterableDataset`): where the rows come from, in the same order at every reading.
        name (`str`): for messages.
        text_column (`str`), label_column (`str`, *optional*): as in `load_corpus`.
        skipped (`int`, *optional*, defaults to 0): rows at the beginning that are left out.
    """

    dataset: object
    name: str
    text_column: str
    label_column: str | None = None
    skipped: int = 0
    cleaner: Cleaner = field(default_factory=Cleaner)

    def windows(self, first: int = 0) -> Iterator[tuple[list[str], list[str | None]]]:
        """Texts and names of labels of each window from `first` on; those before are read past, not decoded."""
        names = getattr((self.dataset.features or {}).get(self.label_column), "names", None)
        tables = self.dataset.with_format("arrow").iter(batch_size=WINDOW_SIZE)
        for number, table in enumerate(tables):
            if number < first:
                continue
            rows = table.slice(max(0, self.skipped - number * WINDOW_SIZE))
            columns = dict(zip(rows.column_names, rows.columns, strict=True))
            texts = column_of(columns, self.text_column, "text_column", self.name).to_pylist()
            texts = [require_text(text, self.text_column, self.name) for text in texts]
            labels = [None] * len(texts)
            if self.label_column is not None:
                labels = column_of(columns, self.label_column, "label_column", self.name).to_pylist()
                if names:
                    labels = [None if label in (None, -1) else names[label] for label in labels]
                labels = [label_name(label, self.name) for label in labels]
            yield self.cleaner.clean(texts, labels)


class StreamedSplit:
    """The training split of a corpus that does not fit into memory. One pass counts it and draws a sample.

    Args:
        stream (`TextStream`): the texts.
        reservoir_size (`int`): how many texts the sample has; every text is in it with the same probability.
        seed (`int`): decides the sample.
        label_names (`set[str]`): names of classes that are known already, from the validation split.

    Attributes:
        sample (`Split`): the reservoir sample, in memory.
        window_sizes (`list[int]`): texts of each window.
        label_names (`list[str]`), classes (`set[int]`), num_labelled (`int`): as in `Corpus` and `Split`.
        digest (`str`): changes if any text or label does.
    """

    def __init__(self, stream: TextStream, reservoir_size: int, seed: int, label_names: set[str]):
        self.stream, self.num_labelled, self.window_sizes = stream, 0, []
        rng, content = np.random.default_rng(seed), hashlib.sha256()
        texts, labels, found, seen = [], [], set(), 0
        for window in stream.windows():
            content.update(repr(window).encode())
            size = len(window[0])
            places = rng.integers(0, seen + np.arange(1, size + 1))  # Vitter's algorithm R
            for number, (place, text, label) in enumerate(zip(places.tolist(), *window, strict=True), start=seen):
                if number < reservoir_size:
                    texts.append(text)
                    labels.append(label)
                elif place < reservoir_size:
                    texts[place], labels[place] = text, label
            self.window_sizes.append(size)
            seen += size
            known = [label for label in window[1] if label is not None]
            self.num_labelled += len(known)
            found.update(known)
        if not seen:
            raise ValueError(f"{stream.name} holds no training text")
        self.notes = stream.cleaner.notes(stream.name)
        self.label_names = sorted_names(found | label_names)
        self._ids = {name: i for i, name in enumerate(self.label_names)} | {None: NO_LABEL}
        self.classes = {self._ids[name] for name in found}
        self.sample = Split(texts, [self._ids[name] for name in labels])
        self.digest = content.hexdigest()[:16]

    def __len__(self) -> int:
        return sum(self.window_sizes)

    @property
    def texts(self) -> Iterator[str]:
        """All texts, read once more."""
        return (text for window in self.windows() for text in window.texts)

    def windows(self, first: int = 0) -> Iterator[Split]:
        """The texts window by window, from window `first` on."""
        for texts, labels in self.stream.windows(first):
            yield Split(texts, [self._ids[name] for name in labels])


def load_stream(
    source: str,
    *,
    data_dir: str | Path | None = None,
    text_column: str = "text",
    label_column: str | None = None,
    validation_file: str | Path | None = None,
    validation_size: int = 2000,
    reservoir_size: int = 100_000,
    seed: int = 0,
) -> Corpus:
    """A corpus whose training texts are streamed; its `train` is a `StreamedSplit`.

    Args:
        source (`str`): a file, a glob pattern of files of one type, or a Hub id; in a .txt file a line is a text.
        validation_file (`str` or `Path`, *optional*): else the first `validation_size` texts of a Hub data set's
            validation split, or where there is none of the training texts, are held out.
        validation_size (`int`, *optional*, defaults to 2000), reservoir_size (`int`, *optional*, defaults to 100000).

    Raises:
        ImportError: `datasets` is not installed.
        FileNotFoundError: no file matches.
        ConnectionError: the data set cannot be loaded.
        ValueError: a column is not there, or there is no text.
    """
    is_file = Path(source).suffix.lower() in FILE_TYPES
    splits = _open_files(source, data_dir) if is_file else _open_hub(source, data_dir)
    if Path(source).suffix.lower() == ".txt":
        text_column = "text"
    train = TextStream(splits["train"], source, text_column, label_column)
    held_out = next((splits[name] for name in VALIDATION_NAMES if name in splits), None)
    if validation_file is not None:
        notes: list[str] = []
        table = read_table(Path(data_dir or "", validation_file), text_column, notes)
        texts = column_of(table, text_column, "text_column", str(validation_file))
        labels = [label_name(value, str(validation_file)) for value in table.get(label_column, [None] * len(texts))]
        texts, labels = Cleaner().clean(texts, labels)
        notes.append(f"validation: all texts of {validation_file}")
    else:
        if held_out is None:
            held_out, train.skipped = train.dataset, validation_size
        place = "the training texts, which are not trained on" if train.skipped else "the validation split"
        notes = [f"validation: the first {validation_size:,} of {place}"]
        first = TextStream(held_out.take(validation_size), f"{source} (validation)", text_column, label_column)
        texts, labels = (sum(parts, []) for parts in zip(*first.windows(), strict=True))
    split = StreamedSplit(train, reservoir_size, seed, {name for name in labels if name is not None})
    ids = {name: i for i, name in enumerate(split.label_names)} | {None: NO_LABEL}
    notes += split.notes
    notes.append(f"{len(split):,} texts are streamed, {len(split.sample):,} of them make up the sample for clustering")
    return Corpus(
        Path(source).stem if is_file else source,
        split,
        Split(texts, [ids[name] for name in labels]),
        label_names=split.label_names,
        license="the user's own data" if is_file else f"see the card of the data set {source}",
        notes=notes,
    )


def _open_files(source: str, data_dir: str | Path | None) -> dict:
    pattern = str(Path(data_dir or "", source))
    paths = sorted(glob.glob(pattern))
    if not paths:
        raise FileNotFoundError(f"no such file: looked for {Path(pattern).absolute()}")
    suffix = Path(source).suffix.lower()
    options = {}
    if suffix in DELIMITERS:  # else the type of a column would be guessed anew in every block
        with open(paths[0], encoding="utf-8", newline="") as file:
            header = next(csv.reader(file, delimiter=DELIMITERS[suffix]), [])
        strings = _datasets().Value("string")
        options = {"sep": DELIMITERS[suffix], "features": _datasets().Features(dict.fromkeys(header, strings))}
    return {"train": _load(BUILDERS[suffix], data_files=paths, split="train", **options)}


def _open_hub(source: str, data_dir: str | Path | None) -> dict:
    splits = _load(source, data_dir=None if data_dir is None else str(data_dir))
    if "train" not in splits:
        raise ValueError(f"data set {source!r} has no train split; splits there are: {', '.join(map(repr, splits))}")
    return splits


def _load(name: str, **options):
    datasets = _datasets()
    try:
        return datasets.load_dataset(name, streaming=True, **options)
    except Exception as error:  # many kinds, from several libraries, with one remedy
        raise ConnectionError(
            f"cannot stream {options.get('data_files', name)!r} ({type(error).__name__}: {error}). "
            "Check the id, the files and the network"
        ) from error


def _datasets():
    try:
        import datasets
    except ImportError as error:
        raise ImportError("streaming (data.streaming=true) needs datasets: pip install datasets") from error
    return datasets
