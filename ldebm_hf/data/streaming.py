"""Corpora larger than memory: training texts stay where they are and are read window by window, every epoch anew."""

from __future__ import annotations

import codecs
import csv
import glob
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .cleaning import Cleaner
from .files import FILE_TYPES, columns_of, parse_json, read_table
from .hub import VALIDATION_NAMES
from .schema import NO_LABEL, Corpus, Split
from .tables import Table, column_of, label_name, require_text, sorted_names

WINDOW_SIZE = 10_000
BUILDERS = {".csv": "csv", ".tsv": "csv", ".jsonl": "text", ".txt": "text", ".parquet": "parquet"}
DELIMITERS = {".csv": ",", ".tsv": "\t"}


@dataclass
class TextStream:
    """Texts of a `datasets.IterableDataset`, cleaned as all texts are, in windows of up to 10,000 rows.

    Args:
        dataset (`datasets.IterableDataset`): where the rows come from, in the same order at every reading.
        name (`str`): for messages.
        text_column (`str`), label_column (`str`, *optional*): as in `load_corpus`.
        skipped (`int`, *optional*, defaults to 0): rows at the beginning that are left out.
        json_lines (`bool`, *optional*, defaults to `False`): each row is a line with a JSON object.

    Attributes:
        num_rows (`int`): rows that the last reading has passed.
        repaired (`int`): texts with U+FFFD in all readings.
    """

    dataset: object
    name: str
    text_column: str
    label_column: str | None = None
    skipped: int = 0
    json_lines: bool = False
    cleaner: Cleaner = field(default_factory=Cleaner)
    num_rows: int = 0
    repaired: int = 0

    @property
    def class_names(self) -> list[str]:
        """The names of a `ClassLabel` column, in its order; empty for other columns."""
        return getattr((self.dataset.features or {}).get(self.label_column), "names", None) or []

    def windows(self, first: int = 0) -> Iterator[tuple[list[str], list[str | None]]]:
        """Texts and names of labels of each window from `first` on; those before are read past."""
        names = self.class_names
        tables = self.dataset.with_format("arrow").iter(batch_size=WINDOW_SIZE)
        for number, table in enumerate(tables):
            start = number * WINDOW_SIZE
            self.num_rows = start + len(table)
            if number < first:
                continue
            columns = self._columns(table, start)
            texts = column_of(columns, self.text_column, "text_column", self.name)
            texts = [require_text(text, self.text_column, self.name) for text in texts]
            labels = [None] * len(texts)
            if self.label_column is not None:
                labels = column_of(columns, self.label_column, "label_column", self.name)
                if names:
                    labels = [None if label in (None, -1) else names[label] for label in labels]
                labels = [label_name(label, self.name) for label in labels]
            texts, labels = self.cleaner.clean(texts, labels)
            self.repaired += sum("\ufffd" in text for text in texts)
            yield texts, labels

    def _columns(self, table, start: int) -> Table:
        """The columns of the window that begins with row `start`, without the rows that are left out."""
        left_out = max(0, self.skipped - start)
        columns = {name: table[name][left_out:] for name in table.column_names}
        if not self.json_lines:
            wanted = (self.text_column, self.label_column)
            return {name: c.to_pylist() if name in wanted else c for name, c in columns.items()}
        unknown = {} if self.label_column is None else {self.label_column: None}
        rows = [
            unknown | parse_json(line, f"{self.name}, line {number} of all files")
            for number, line in enumerate(columns["text"].to_pylist(), start=start + left_out + 1)
            if line.strip()
        ]
        return columns_of(rows) or dict.fromkeys((self.text_column, self.label_column), [])

    def notes(self) -> list[str]:
        """What was done to the texts, counted."""
        notes = self.cleaner.notes(self.name)
        if self.repaired:
            notes.append(f"{self.name}: {self.repaired:,} texts with U+FFFD, which bytes that are not UTF-8 become")
        return notes

    def no_text(self) -> ValueError:
        """What to say when the rows have no text."""
        if self.skipped:
            return ValueError(
                f"validation_size={self.skipped} leaves no training text of {self.name}, which has "
                f"{self.num_rows:,} rows: lower it or give a validation_file"
            )
        return ValueError(f"{self.name} holds no text: it is empty, or all of its {self.num_rows:,} rows are")


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
            raise stream.no_text()
        if stream.label_column is not None and not found | label_names:
            raise ValueError(f"column {stream.label_column!r} of {stream.name} holds no label: use label_column=None")
        self.notes = stream.notes()
        ordered = stream.class_names
        self.label_names = [*ordered, *sorted_names((found | label_names).difference(ordered))]
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
        ValueError: a column is not there, there is no text or no label, or validation_file is a training file.
    """
    suffix = Path(source).suffix.lower()
    is_file = suffix in FILE_TYPES
    if suffix == ".txt":
        text_column = "text"
    if is_file:
        paths = _training_files(source, data_dir, validation_file)
        splits = {"train": _open_files(paths, suffix, text_column, label_column)}
    else:
        splits = _open_hub(source, data_dir)
    json_lines = suffix == ".jsonl"
    name = Path(source).name if is_file else source  # notes are published with a model, and tell nobody's folders
    train = TextStream(splits["train"], name, text_column, label_column, json_lines=json_lines)
    held_out = next((splits[name] for name in VALIDATION_NAMES if name in splits), None)
    if validation_file is not None:
        notes: list[str] = []
        table = read_table(Path(data_dir or "", validation_file), text_column, notes)
        texts = column_of(table, text_column, "text_column", str(validation_file))
        texts = [require_text(text, text_column, str(validation_file)) for text in texts]
        labels = [label_name(value, str(validation_file)) for value in table.get(label_column, [None] * len(texts))]
        cleaner = Cleaner()
        texts, labels = cleaner.clean(texts, labels)
        if not texts:
            raise ValueError(f"validation_file {validation_file} holds no text")
        notes += cleaner.notes(Path(validation_file).name)
        notes.append(f"validation: all texts of {Path(validation_file).name}")
    else:
        if held_out is None:
            held_out, train.skipped = train.dataset, validation_size
        place = "the training texts, which are not trained on" if train.skipped else "the validation split"
        notes = [f"validation: the first {validation_size:,} of {place}"]
        held_out = held_out.take(validation_size)
        first = TextStream(held_out, f"{name} (validation)", text_column, label_column, json_lines=json_lines)
        texts, labels = [], []
        for window_texts, window_labels in first.windows():
            texts += window_texts
            labels += window_labels
        if not texts:
            raise first.no_text()
        notes += first.notes()
    split = StreamedSplit(train, reservoir_size, seed, {name for name in labels if name is not None})
    ids = {name: i for i, name in enumerate(split.label_names)} | {None: NO_LABEL}
    notes += split.notes
    missing = [name for name in split.label_names if ids[name] in split.classes and name not in labels]
    if missing:
        notes.append(
            f"validation: no text of {len(missing)} of {len(split.classes)} training classes "
            f"({', '.join(map(repr, missing))}); give a validation_file that has all of them"
        )
    notes.append(f"{len(split):,} texts are streamed, {len(split.sample):,} of them make up the sample for clustering")
    return Corpus(
        Path(source).stem if is_file else source,
        split,
        Split(texts, [ids[name] for name in labels]),
        label_names=split.label_names,
        license="the user's own data" if is_file else f"see the card of the data set {source}",
        notes=notes,
    )


def _training_files(source: str, data_dir: str | Path | None, validation_file: str | Path | None) -> list[str]:
    pattern = str(Path(data_dir or "", source))
    paths = sorted(glob.glob(pattern))
    if not paths:
        raise FileNotFoundError(f"no such file: looked for {Path(pattern).absolute()}")
    if validation_file is not None:
        held_out = Path(data_dir or "", validation_file)
        if held_out.resolve() in (Path(path).resolve() for path in paths):
            raise ValueError(f"validation_file is itself a training file of {source}: {held_out}")
    return paths


def _open_files(paths: list[str], suffix: str, text_column: str, label_column: str | None):
    options = {}
    if suffix != ".parquet":
        options = {"encoding": "utf-8-sig", "encoding_errors": "replace"}
        for path in paths:
            with open(path, "rb") as file:
                if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                    raise ValueError(f"{path} is UTF-16: save it as UTF-8")
    if suffix in DELIMITERS:
        chosen = {"text_column": text_column, "label_column": label_column}
        chosen = {argument: column for argument, column in chosen.items() if column is not None}
        for path in paths:
            with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
                reader = csv.reader(file, delimiter=DELIMITERS[suffix])
                header, first = next(reader, []), next(filter(None, reader), [])
            for argument, column in chosen.items():
                column_of(dict.fromkeys(header, ()), column, argument, path)
            if len(first) > len(header):  # pandas would take the first cells for an index, in all rows
                raise ValueError(f"{path}: the first row has {len(first)} cells where the header has {len(header)}")
        # Strings, else the type of a column would be guessed anew in every block, and "NA" or "null" would be missing.
        strings = _datasets().Features(dict.fromkeys(chosen.values(), _datasets().Value("string")))
        options |= {"sep": DELIMITERS[suffix], "features": strings, "keep_default_na": False}
    return _load(BUILDERS[suffix], data_files=paths, split="train", **options)


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
