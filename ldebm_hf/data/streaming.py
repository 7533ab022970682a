"""Corpora larger than memory: training texts stay where they are and are read window by window, every epoch anew."""

from __future__ import annotations

import glob
import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .cleaning import Cleaner
from .data_files import DataFile, Row, corpus_name, open_data_file, require_columns
from .files import USERS_LICENSE
from .hub import VALIDATION_NAMES, load_from_disk, terms_on_card
from .labels import LabelReader, sorted_names
from .schema import NO_LABEL, Corpus, Split, StreamedExamples
from .sources import Source
from .splits import take_subset
from .tables import column_of, require_text

if TYPE_CHECKING:
    import datasets

WINDOW_SIZE = 10_000
Window = tuple[list[str], list[str | None]]
"""Texts and the names of their labels."""


@dataclass
class HubRows:
    """The rows of a streamed data set of the Hub, as `DataFile` has those of a file.

    Args:
        dataset (`datasets.IterableDataset`): it gives its rows in the same order at every reading.
        origin (`str`): for messages.
        label_column (`str`, *optional*): if this is a `ClassLabel` column, its ids are replaced by their names.
    """

    dataset: datasets.IterableDataset
    origin: str
    label_column: str | None = None

    @property
    def columns(self) -> list[str] | None:
        return None if self.dataset.features is None else list(self.dataset.features)

    def require_columns(self, **wanted: str | None) -> None:
        """As `DataFile.require_columns`."""
        require_columns(self.columns, self.origin, **wanted)

    @property
    def class_names(self) -> list[str]:
        """The names of a `ClassLabel` column, in its order; empty for other columns."""
        return getattr((self.dataset.features or {}).get(self.label_column), "names", None) or []

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[tuple[int, Row]]:
        names, number = self.class_names, 0
        for table in self.dataset.with_format("arrow").iter(batch_size=1000):
            if columns is not None:
                table = table.select([name for name in columns if name in table.column_names])
            for row in table.to_pylist():
                if names:
                    label = row[self.label_column]
                    row[self.label_column] = None if label in (None, -1) else names[label]
                number += 1
                yield number, row


@dataclass
class TextStream:
    """Texts of files or of a data set of the Hub, cleaned as all texts are, in windows of up to 10,000 rows.

    Args:
        tables (`list[DataFile | HubRows]`): where the rows come from, one after the other.
        name (`str`): for messages.
        text_column (`str`), label_column (`str`, *optional*): as in `StreamSource`.
        label_reader (`LabelReader`): reads the labels.
        class_names (`list[str]`, *optional*): the order of the classes, if the source defines one.
        skipped (`int`, *optional*, defaults to 0): rows at the beginning that are left out.

    Attributes:
        num_rows (`int`): the number of rows in the last reading.
        columns (`dict[str, None]`): the names of the columns that some row had.
    """

    tables: list[DataFile | HubRows]
    name: str
    text_column: str
    label_column: str | None = None
    label_reader: LabelReader = field(default_factory=LabelReader)
    class_names: list[str] = field(default_factory=list)
    skipped: int = 0
    cleaner: Cleaner = field(default_factory=Cleaner)
    num_rows: int = 0
    columns: dict[str, None] = field(default_factory=dict)

    def __post_init__(self):
        for table in self.tables:
            table.require_columns(text_column=self.text_column, label_column=self.label_column)

    def windows(self, first: int = 0) -> Iterator[Window]:
        """Texts and names of labels of each window from `first` on; those before are read past."""
        rows, self.num_rows = self._rows(), 0
        number = 0
        while window := list(islice(rows, WINDOW_SIZE)):
            left_out = max(0, self.skipped - self.num_rows)
            self.num_rows += len(window)
            if number >= first:
                yield self._cleaned(window[left_out:])
            number += 1

    def head(self, size: int) -> Window:
        """The texts and the names of the labels of the first `size` rows."""
        window = list(islice(self._rows(), size))
        self.num_rows = len(window)
        return self._cleaned(window)

    def require_columns(self) -> None:
        """Raise ValueError if no row of the readings so far had a column that is needed."""
        column_of(dict.fromkeys(self.columns, ()), self.text_column, "text_column", self.name)
        if self.label_column is not None:
            column_of(dict.fromkeys(self.columns, ()), self.label_column, "label_column", self.name)

    def notes(self) -> list[str]:
        """What was done to the texts, with counts."""
        return self.cleaner.notes(self.name)

    def no_text(self) -> ValueError:
        """The error if the rows have no text."""
        if self.skipped:
            return ValueError(
                f"validation_size={self.skipped} leaves no training text of {self.name}, which has "
                f"{self.num_rows:,} rows: lower it or give a validation_file"
            )
        return ValueError(f"{self.name} holds no text: it is empty, or all of its {self.num_rows:,} rows are")

    def _rows(self) -> Iterator[tuple[str, Row]]:
        """Each row with the name of where it is from."""
        wanted = [column for column in (self.text_column, self.label_column) if column is not None]
        for table in self.tables:
            self.columns.update(dict.fromkeys(table.columns or ()))
            for _, row in table.rows(wanted):
                if table.columns is None:
                    self.columns.update(dict.fromkeys(row))
                yield table.origin, row

    def _cleaned(self, rows: list[tuple[str, Row]]) -> Window:
        texts = [require_text(row.get(self.text_column), self.text_column, origin) for origin, row in rows]
        labels: list[str | None] = [None] * len(rows)
        if self.label_column is not None:
            labels = [self.label_reader.read(row.get(self.label_column), origin) for origin, row in rows]
        return self.cleaner.clean(texts, labels)


class StreamedSplit(StreamedExamples):
    """The training split of a corpus that does not fit into memory. One pass counts it and draws a sample.

    Args:
        stream (`TextStream`): the texts.
        reservoir_size (`int`): the size of the sample; every text is in it with the same probability.
        seed (`int`): decides the sample.
        label_names (`set[str]`): names of classes that are known already, from the validation split.

    Attributes:
        label_names (`list[str]`): as in `Corpus`. The other attributes are those of `StreamedExamples`.

    Raises:
        ValueError: there is no text, no label, or no column of the name.
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
        stream.require_columns()
        if not seen:
            raise stream.no_text()
        if stream.label_column is not None:
            stream.label_reader.check(stream.label_column, stream.name, "label_column")
        self.label_names = [*stream.class_names, *sorted_names((found | label_names).difference(stream.class_names))]
        self._ids = {name: i for i, name in enumerate(self.label_names)} | {None: NO_LABEL}
        self.classes = {self._ids[name] for name in found}
        self.sample = Split(texts, self.ids_of(labels))
        self.digest = content.hexdigest()[:16]

    def __len__(self) -> int:
        return sum(self.window_sizes)

    def ids_of(self, labels: list[str | None]) -> list[int]:
        """The class ids of labels, `NO_LABEL` where there is none."""
        return [self._ids[name] for name in labels]

    def windows(self, first: int = 0) -> Iterator[Split]:
        """The texts window by window, starting at window `first`."""
        for texts, labels in self.stream.windows(first):
            yield Split(texts, self.ids_of(labels))


@dataclass(kw_only=True)
class StreamSource(Source):
    """A corpus whose training texts are streamed; its `train` is a `StreamedSplit`.

    Args:
        data_dir (`str` or `Path`, *optional*): as for the same source in memory.
        text_column (`str`, *optional*, defaults to `"text"`): the column of texts.
        label_column (`str`, *optional*): the column of labels, empty where unknown.
        validation_file (`str` or `Path`, *optional*): a file with the validation texts, which are read into memory.
        validation_size (`int`, *optional*, defaults to 2000): without `validation_file`, the first `validation_size`
            rows of a Hub data set's validation split or, where there is none, of the training rows are held out.
        max_validation_examples (`int`, *optional*): validate on a random subset of at most this many of these texts.
        reservoir_size (`int`, *optional*, defaults to 100000): the number of training texts in the sample that is
            kept in memory for clustering.
        missing_labels (`Sequence[str]` or `str`, *optional*): the marks that mean no label; see `LabelReader`.
    """

    data_dir: str | Path | None = None
    text_column: str = "text"
    label_column: str | None = None
    validation_file: str | Path | None = None
    validation_size: int = 2000
    max_validation_examples: int | None = None
    reservoir_size: int = 100_000
    missing_labels: Sequence[str] | str | None = None

    @classmethod
    def title(cls) -> str:
        return "streams (streaming=True)"

    @abstractmethod
    def open(self, notes: list[str]) -> tuple[TextStream, TextStream | None]:
        """The training texts, and those of a validation split if there is one."""

    @abstractmethod
    def describe(self) -> tuple[str, str]:
        """The name and the licence of the corpus."""

    def load(self) -> Corpus:
        notes: list[str] = []
        stream, held_out = self.open(notes)
        if self.validation_file is not None:
            texts, labels = self._read_validation_file(stream.label_reader, notes)
        else:
            if held_out is None:
                place = "the training texts, which are not trained on"
                held_out = TextStream(
                    stream.tables,
                    f"{stream.name} (validation)",
                    self.text_column,
                    self.label_column,
                    stream.label_reader,
                    stream.class_names,
                )
                stream.skipped = self.validation_size
            else:
                place = "the validation split"
            notes.append(f"validation: the first {self.validation_size:,} of {place}")
            texts, labels = held_out.head(self.validation_size)
            if not texts:
                held_out.require_columns()
                raise held_out.no_text()
            notes += held_out.notes()
        train = StreamedSplit(stream, self.reservoir_size, self.seed, {name for name in labels if name is not None})
        validation = Split(texts, train.ids_of(labels))
        if self.max_validation_examples is not None:
            validation = take_subset(validation, self.max_validation_examples, self.seed, "max_validation_examples")
            notes.append(f"validation: of these {len(texts):,} texts a random {len(validation):,}")
        notes += stream.notes() + self._unseen_in_validation(train, validation)
        if self.label_column is not None:
            notes += stream.label_reader.notes(self.label_column)
        notes.append(
            f"{len(train):,} texts are streamed, {len(train.sample):,} of them make up the sample for clustering"
        )
        name, terms = self.describe()
        return Corpus(name, train, validation, label_names=train.label_names, license=terms, notes=notes)

    def read_file(self, path: Path, notes: list[str]) -> DataFile:
        """The reader of a file, with the options that the source has for it."""
        return open_data_file(path, self.text_column, notes)

    def _read_validation_file(self, label_reader: LabelReader, notes: list[str]) -> Window:
        path = Path(self.data_dir or "", self.validation_file)
        file = self.read_file(path, notes)
        file.require_columns(text_column=self.text_column)
        table = file.read()
        texts = column_of(table, self.text_column, "text_column", path.name)
        texts = [require_text(text, self.text_column, path.name) for text in texts]
        labels: list[str | None] = [None] * len(texts)
        if self.label_column in table:
            labels = [label_reader.read(value, path.name) for value in table[self.label_column]]
        elif self.label_column is not None:
            notes.append(f"{path.name}: no column {self.label_column!r}, so its {len(texts):,} texts are unlabelled")
        cleaner = Cleaner()
        texts, labels = cleaner.clean(texts, labels)
        if not texts:
            raise ValueError(f"validation_file {path} holds no text")
        notes += cleaner.notes(path.name)
        notes.append(f"validation: all texts of {path.name}")
        return texts, labels

    def _unseen_in_validation(self, train: StreamedSplit, validation: Split) -> list[str]:
        """A note on the classes of the training texts that the validation texts do not show."""
        shown = set(validation.labels)
        missing = [name for i, name in enumerate(train.label_names) if i in train.classes - shown]
        if not missing:
            return []
        return [
            f"validation: no text of {len(missing)} of {len(train.classes)} training classes "
            f"({', '.join(map(repr, missing))}); give a validation_file that has all of them"
        ]


@dataclass
class FileStream(StreamSource):
    """Files whose texts are streamed.

    Args:
        path (`str` or `Path`): a file, or a glob pattern of files of one type, which are read in alphabetical order.
        encoding (`str`, *optional*): how the characters of text files are encoded; recognised if it is not given.
        sheet (`str`, *optional*): the sheet of Excel files; by default the first.
    """

    path: str | Path
    encoding: str | None = None
    sheet: str | None = None

    def open(self, notes: list[str]) -> tuple[TextStream, None]:
        files = [self.read_file(path, notes) for path in self._paths()]
        # Notes are published with a model, and must not tell the folders of the machine.
        name, label_reader = Path(self.path).name, LabelReader(self.missing_labels)
        return TextStream(files, name, self.text_column, self.label_column, label_reader), None

    def read_file(self, path: Path, notes: list[str]) -> DataFile:
        return open_data_file(path, self.text_column, notes, encoding=self.encoding, sheet=self.sheet)

    def describe(self) -> tuple[str, str]:
        return corpus_name(Path(self.path)), USERS_LICENSE

    def _paths(self) -> list[Path]:
        pattern = str(Path(self.data_dir or "", self.path))
        paths = [Path(path) for path in sorted(glob.glob(pattern))]
        if not paths:
            raise FileNotFoundError(f"no such file: looked for {Path(pattern).absolute()}")
        if self.validation_file is not None:
            held_out = Path(self.data_dir or "", self.validation_file)
            if held_out.resolve() in (path.resolve() for path in paths):
                raise ValueError(f"validation_file is itself a training file of {self.path}: {held_out}")
        return paths


@dataclass
class HubStream(StreamSource):
    """A data set of the Hub whose training texts are streamed.

    Args:
        id (`str`): `"owner/name"`, or a local folder in the layout of a data set.
    """

    id: str

    def open(self, notes: list[str]) -> tuple[TextStream, TextStream | None]:
        splits = fetch_streamed(self.id, self.data_dir)
        held_out = next((splits[name] for name in VALIDATION_NAMES if name in splits), None)
        has_names = HubRows(splits["train"], self.id, self.label_column).class_names
        label_reader = LabelReader([] if has_names else self.missing_labels)
        if held_out is not None:
            held_out = self._stream(held_out, f"{self.id} (validation)", label_reader)
        return self._stream(splits["train"], self.id, label_reader), held_out

    def describe(self) -> tuple[str, str]:
        return self.id, terms_on_card(self.id)

    def _stream(self, dataset: datasets.IterableDataset, name: str, label_reader: LabelReader) -> TextStream:
        rows = HubRows(dataset, name, self.label_column)
        return TextStream([rows], name, self.text_column, self.label_column, label_reader, rows.class_names)


def fetch_streamed(source: str, data_dir: str | Path | None) -> dict[str, datasets.IterableDataset]:
    """`datasets.load_dataset(source, streaming=True)`, all splits.

    Raises:
        ConnectionError: the data set cannot be loaded; the message says what `datasets` said.
        ValueError: no train split.
    """
    import datasets

    saved = load_from_disk(source)
    if saved is not None:
        return {name: split.to_iterable_dataset() for name, split in saved.items()}
    try:
        splits = datasets.load_dataset(source, data_dir=None if data_dir is None else str(data_dir), streaming=True)
    except Exception as error:  # many kinds, from several libraries, with one remedy
        raise ConnectionError(
            f"cannot stream {source!r} ({type(error).__name__}: {error}). Check the id, the files and the network"
        ) from error
    if "train" not in splits:
        raise ValueError(f"data set {source!r} has no train split; splits there are: {', '.join(map(repr, splits))}")
    return splits
