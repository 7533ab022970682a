"""The one reader of data files, row by row, for corpora in memory and for streams."""

from __future__ import annotations

import csv
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import ClassVar

from .encodings import open_text, recognise_encoding
from .tables import Table

Row = dict[str, object]
FILE_TYPES = (".csv", ".tsv", ".jsonl", ".txt", ".parquet")
SEPARATORS = {".csv": ",", ".tsv": "\t"}
LARGEST_CELL = 10_000_000
"""Characters. A longer cell is refused, so that a quote that is never closed cannot fill the memory."""


def is_data_file(source: str | Path) -> bool:
    """Whether a path ends like a file that `open_data_file` reads."""
    return Path(source).suffix.lower() in FILE_TYPES


def open_data_file(path: Path, text_column: str, notes: list[str]) -> DataFile:
    """The reader of a file, by the end of its name.

    Args:
        path (`Path`): the file.
        text_column (`str`): the name of the only column of a .txt file.
        notes (`list[str]`): gets what was found out or repaired, with counts.

    Raises:
        FileNotFoundError: there is no such file; the message names its path.
        ValueError: another type of file.
    """
    suffix = path.suffix.lower()
    if suffix not in FILE_TYPES:
        raise ValueError(f"cannot read {path}: a data file must end in one of {', '.join(FILE_TYPES)}")
    if not path.is_file():
        raise FileNotFoundError(f"no such file: looked for {path.absolute()}")
    if suffix == ".parquet":
        return ParquetFile(path)
    encoding = recognise_encoding(path, notes)
    if suffix == ".txt":
        return LinesFile(path, encoding, [text_column])
    if suffix == ".jsonl":
        return JsonLinesFile(path, encoding)
    return DelimitedFile(path, encoding, separator=SEPARATORS[suffix])


def read_table(path: Path, text_column: str, notes: list[str]) -> Table:
    """All values of a file by column; a value that a row lacks is `None`. Arguments are those of `open_data_file`."""
    file = open_data_file(path, text_column, notes)
    return table_of_rows([row for _, row in file.rows()], file.columns)


def table_of_rows(rows: list[Row], columns: list[str] | None) -> Table:
    """Rows as columns; without `columns` they are all that some row has."""
    if columns is None:
        columns = list(dict.fromkeys(name for row in rows for name in row))
    return {name: [row.get(name) for row in rows] for name in columns}


@dataclass
class DataFile(ABC):
    """A file whose rows can be read any number of times; memory holds a few of them at a time.

    Args:
        path (`Path`): the file.

    Attributes:
        columns (`list[str]`, *optional*): the names of the columns; `None` where every row names its own.
        place (`str`): what the numbers of rows count: lines of the file or rows.
    """

    path: Path
    columns: list[str] | None = field(default=None, init=False)
    place: ClassVar[str] = "line"

    @property
    def origin(self) -> str:
        """The name of the file, for messages."""
        return self.path.name

    @abstractmethod
    def rows(self, columns: Sequence[str] | None = None) -> Iterator[tuple[int, Row]]:
        """The number of each row and its values by column; a value that it lacks may be left out.

        Args:
            columns (`Sequence[str]`, *optional*): the columns that are needed, which a reader may keep to.

        Raises:
            ValueError: two columns of the same name, or a malformed row (with its number).
        """


@dataclass
class LinesFile(DataFile):
    """A text file with one text a line, whichever way the lines end.

    Args:
        encoding (`str`): the encoding of the file.
        names (`list[str]`): the name of the one column.
    """

    encoding: str
    names: list[str]

    def __post_init__(self):
        self.columns = self.names

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[tuple[int, Row]]:
        [name] = self.names
        with open_text(self.path, self.encoding) as file:
            for number, line in enumerate(file, start=1):
                yield number, {name: line.removesuffix("\n")}


@dataclass
class JsonLinesFile(DataFile):
    """A file with one JSON object a line; blank lines are skipped.

    Args:
        encoding (`str`): the encoding of the file.
    """

    encoding: str

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[tuple[int, Row]]:
        with open_text(self.path, self.encoding) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, parse_json(line, f"{self.path}, line {number}")


@dataclass
class DelimitedFile(DataFile):
    """A table with one row a line, whose cells are divided by a separator and may be quoted.

    Args:
        encoding (`str`): the encoding of the file.
        separator (`str`): the character between two cells.
        names (`list[str]`, *optional*): the names of the columns, if the first line is a row and not a header.
    """

    encoding: str
    separator: str
    names: list[str] | None = None

    def __post_init__(self):
        if self.names is not None:
            self.columns = self.names
            return
        self.columns = [name.strip() for name in self._header()]

    def name_columns(self, names: list[str]) -> None:
        """Take the first line for a row, and these for the names of the columns."""
        self.names = self.columns = names

    def _header(self) -> list[str]:
        _, cells = next(self._cells(), (1, []))
        return cells

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[tuple[int, Row]]:
        if len(set(self.columns)) < len(self.columns):
            there = ", ".join(map(repr, self.columns))
            raise ValueError(f"{self.path} has two columns of the same name: {there}")
        numbered = self._cells()
        if self.names is None:
            next(numbered, None)
        for number, cells in numbered:
            if len(cells) > len(self.columns):
                raise ValueError(
                    f"{self.path}, line {number}: {len(cells)} cells where the header has {len(self.columns)} "
                    f"(a cell that contains {self.separator!r} must be quoted{self._other_separator()})"
                )
            yield number, dict(zip(self.columns, cells, strict=False))

    def _cells(self) -> Iterator[tuple[int, list[str]]]:
        """The number of the last line of each row, and the row's cells."""
        with open_text(self.path, self.encoding, newline="") as file:
            # Strict, since a stray quote would otherwise swallow the rows up to the next quote without a word.
            reader = csv.reader(file, delimiter=self.separator, strict=True)
            while block := self._read_block(reader):
                yield from block

    def _read_block(self, reader) -> list[tuple[int, list[str]]]:
        limit = csv.field_size_limit(LARGEST_CELL)  # one limit for the whole process: put back before others read
        try:
            return [(reader.line_num, cells) for cells in islice(reader, 1000)]
        except csv.Error as error:
            raise ValueError(
                f"{self.path}, line {reader.line_num}: {error} (a cell that contains quotes must be quoted, its "
                "quotes doubled)"
            ) from error
        finally:
            csv.field_size_limit(limit)

    def _other_separator(self) -> str:
        """A hint, where the header seems to be divided by something else."""
        for other in ",;\t|":
            if other != self.separator and any(other in name for name in self.columns):
                return f"; the header has {other!r}, and cells must be separated by {self.separator!r}"
        return ""


@dataclass
class ParquetFile(DataFile):
    """A parquet file."""

    place: ClassVar[str] = "row"

    def __post_init__(self):
        self.columns = self._open().schema_arrow.names

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[tuple[int, Row]]:
        wanted = None if columns is None else [name for name in columns if name in self.columns]
        number = 0
        for batch in self._open().iter_batches(batch_size=1000, columns=wanted):
            for row in batch.to_pylist():
                number += 1
                yield number, row

    def _open(self):
        import pyarrow
        import pyarrow.parquet

        try:
            return pyarrow.parquet.ParquetFile(self.path)
        except pyarrow.ArrowInvalid as error:
            raise ValueError(f"{self.path} is not a readable parquet file: {error}") from error


def parse_json(line: str, origin: str) -> dict:
    """The JSON object in a line; `origin` is for messages."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{origin}: not valid JSON ({error})") from error
    if not isinstance(row, dict):
        raise ValueError(f"{origin}: expected a JSON object, found {type(row).__name__}")
    return row
