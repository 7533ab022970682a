"""The one reader of data files, row by row, for corpora in memory and for streams."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import ClassVar

from .compression import COMPRESSED, inner_name
from .encodings import read_decoded_lines, recognise_encoding
from .tables import Table, column_of

Row = dict[str, object]
TEXT_TYPES = (".csv", ".tsv", ".json", ".jsonl", ".txt")
FILE_TYPES = (*TEXT_TYPES, ".parquet", ".xlsx")
SEPARATORS = {".csv": ",", ".tsv": "\t"}
LARGEST_CELL = 10_000_000
"""Characters. A longer cell is refused, so that a quote that is never closed cannot fill the memory."""


def is_data_file(source: str | Path) -> bool:
    """Whether a path ends like a file that `open_data_file` reads, compressed or not."""
    path = Path(source)
    if path.suffix.lower() in COMPRESSED:
        return path.suffix.lower() == ".zip" or Path(path.stem).suffix.lower() in TEXT_TYPES
    return path.suffix.lower() in FILE_TYPES


def open_data_file(
    path: Path, text_column: str, notes: list[str], *, encoding: str | None = None, sheet: str | None = None
) -> DataFile:
    """The reader of a file, by the end of its name.

    The files are .csv and .tsv tables with a header (their separator is recognised), .json and .jsonl files with an
    array of objects or one object a line, .txt files with one text a line, all of them also compressed (.gz, .bz2,
    .xz, .zst, or .zip with one file in it), .parquet files and Excel's .xlsx.

    Args:
        path (`Path`): the file.
        text_column (`str`): the name of the only column of a .txt file.
        notes (`list[str]`): gets what was recognised or repaired, with counts.
        encoding (`str`, *optional*): how the characters of a text file are encoded; recognised if it is not given.
        sheet (`str`, *optional*): the sheet of an Excel file; by default the first.

    Raises:
        FileNotFoundError: there is no such file; the message names its path.
        ValueError: another type of file, an encoding that cannot be recognised, or no such sheet.
    """
    if not is_data_file(path):
        raise ValueError(f"cannot read {path}: a data file must end in one of {', '.join(FILE_TYPES)}")
    if not path.is_file():
        raise FileNotFoundError(f"no such file: looked for {path.absolute()}")
    suffix = Path(inner_name(path)).suffix.lower()
    if sheet is not None and suffix != ".xlsx":
        raise ValueError(f"sheet={sheet!r} is for Excel files and cannot be used with {path}")
    if encoding is not None and suffix not in TEXT_TYPES:
        raise ValueError(f"encoding={encoding!r} is for text files and cannot be used with {path}")
    if suffix == ".xlsx":
        from .excel_files import ExcelFile

        return ExcelFile(path, sheet, notes)
    if suffix == ".parquet":
        return ParquetFile(path)
    if suffix not in TEXT_TYPES:
        raise ValueError(f"cannot read {inner_name(path)!r} in {path}: it must end in one of {', '.join(TEXT_TYPES)}")
    encoding = recognise_encoding(path, notes, encoding)
    if suffix == ".txt":
        return LinesFile(path, encoding, [text_column])
    if suffix in (".json", ".jsonl"):
        from .json_files import JsonFile

        return JsonFile(path, encoding)
    separator = recognise_separator(path, encoding, SEPARATORS[suffix])
    if separator != SEPARATORS[suffix]:
        notes.append(f"{path.name}: its cells are separated by {separator!r}")
    return DelimitedFile(path, encoding, separator)


def read_table(
    path: Path, text_column: str, notes: list[str], *, encoding: str | None = None, sheet: str | None = None
) -> Table:
    """All values of a file by column; a value that a row lacks is `None`. As for `open_data_file` otherwise."""
    return open_data_file(path, text_column, notes, encoding=encoding, sheet=sheet).read()


def table_of_rows(rows: list[Row], columns: list[str] | None) -> Table:
    """Rows as columns; without `columns` they are all that some row has."""
    if columns is None:
        columns = list(dict.fromkeys(name for row in rows for name in row))
    return {name: [row.get(name) for row in rows] for name in columns}


def require_columns(columns: list[str] | None, origin: str, **wanted: str | None) -> None:
    """Refuse a table without one of the `wanted` columns, each given by its argument; `None` columns are unknown."""
    for argument, column in wanted.items():
        if column is not None and not isinstance(column, str):
            raise ValueError(f"{argument} must be the name of a column of {origin}, got {column!r:.80}")
        if columns is not None and column is not None:
            column_of(dict.fromkeys(columns, ()), column, argument, origin)


def corpus_name(path: Path) -> str:
    """The name of a file without its endings."""
    name = Path(path.stem) if path.suffix.lower() in COMPRESSED else path
    return name.stem if name.suffix.lower() in FILE_TYPES else name.name


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

    def read(self) -> Table:
        """All values by column; a value that a row lacks is `None`. Errors are those of `rows`."""
        return table_of_rows([row for _, row in self.rows()], self.columns)

    def require_columns(self, **wanted: str | None) -> None:
        """Raise ValueError if the file lacks a column, given by the name of its argument, that is not `None`."""
        require_columns(self.columns, self.described(), **wanted)

    def described(self) -> str:
        """The name of the file and how it was read, for the message about a column that is not there."""
        return self.origin


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
        for number, line in enumerate(read_decoded_lines(self.path, self.encoding), start=1):
            yield number, {name: line.removesuffix("\n")}


@dataclass
class CellsFile(DataFile):
    """A file whose rows are lists of cells, the first of them the header.

    Empty cells at the end of the header are no columns, and cells below them must be empty; other columns without a
    name are called `column 1` and so on, by their place.
    """

    def __post_init__(self):
        self._name_columns()

    @abstractmethod
    def cells(self) -> Iterator[tuple[int, list]]:
        """The number of each row, the header included, and its cells."""

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[tuple[int, Row]]:
        if len(set(self.columns)) < len(self.columns):
            there = ", ".join(map(repr, self.columns))
            raise ValueError(f"{self.path} has two columns of the same name: {there}")
        width = len(self.columns)
        for number, cells in self._rows_of_cells():
            if len(cells) > width and not all(map(is_empty, cells[width:])):
                raise ValueError(
                    f"{self.path}, {self.place} {number}: {len(cells)} cells where the header has {width}{self.hint()}"
                )
            yield number, dict(zip(self.columns, cells, strict=False))

    def hint(self) -> str:
        """What may have gone wrong in a row with too many cells."""
        return ""

    def _name_columns(self) -> None:
        _, header = next(self.cells(), (1, []))
        width = max((number for number, name in enumerate(header, 1) if not is_empty(name)), default=0)
        self.columns = [
            str(name).strip() if not is_empty(name) else f"column {number}"
            for number, name in enumerate(header[:width], 1)
        ]

    def _rows_of_cells(self) -> Iterator[tuple[int, list]]:
        return islice(self.cells(), 1, None)


@dataclass
class DelimitedFile(CellsFile):
    """A table with one row a line, whose cells are divided by a separator and may be quoted.

    Args:
        encoding (`str`): the encoding of the file.
        separator (`str`): the character between two cells.
        names (`list[str]`, *optional*): the names of the columns, if the first line is a row and not a header.
    """

    encoding: str
    separator: str
    names: list[str] | None = None

    def name_columns(self, names: list[str]) -> None:
        """Take the first line for a row, and these for the names of the columns."""
        self.names = self.columns = names

    def described(self) -> str:
        return f"{self.origin} (cells separated by {self.separator!r})"

    def hint(self) -> str:
        return f" (a cell that contains {self.separator!r} must be quoted)"

    def cells(self) -> Iterator[tuple[int, list]]:
        lines, num_skipped = _table_lines(self.path, self.encoding)
        # Strict, since a stray quote would otherwise swallow the rows up to the next quote without a word.
        reader = csv.reader(lines, delimiter=self.separator, strict=True)
        last_line = num_skipped
        while True:
            limit = csv.field_size_limit(LARGEST_CELL)  # one limit for the process, put back before others read
            try:
                block = []
                for cells in islice(reader, 1000):
                    last_line = reader.line_num + num_skipped
                    block.append((last_line, cells))
            except csv.Error as error:
                raise ValueError(
                    f"{self.path}, line {reader.line_num + num_skipped}: {error}; the row begins on line "
                    f"{last_line + 1} (a cell that contains quotes must be quoted, its quotes doubled)"
                ) from error
            finally:
                csv.field_size_limit(limit)
            if not block:
                return
            yield from block

    def _name_columns(self) -> None:
        if self.names is not None:
            self.columns = self.names
        else:
            super()._name_columns()

    def _rows_of_cells(self) -> Iterator[tuple[int, list]]:
        return self.cells() if self.names is not None else super()._rows_of_cells()


@dataclass
class ParquetFile(DataFile):
    """A parquet file."""

    place: ClassVar[str] = "row"

    def __post_init__(self):
        self.columns = self._open().schema_arrow.names

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[tuple[int, Row]]:
        if len(set(self.columns)) < len(self.columns):
            there = ", ".join(map(repr, self.columns))
            raise ValueError(f"{self.path} has two columns of the same name: {there}")
        wanted = None if columns is None else [name for name in columns if name in self.columns]
        number = 0
        for rows in self._batches(wanted):
            for row in rows:
                number += 1
                yield number, row

    def _batches(self, columns: list[str] | None) -> Iterator[list[Row]]:
        with self._readable():
            batches = self._open().iter_batches(batch_size=1000, columns=columns)
        while True:
            with self._readable():
                batch = next(batches, None)
                rows = None if batch is None else batch.to_pylist()
            if rows is None:
                return
            yield rows

    def _open(self):
        import pyarrow.parquet

        with self._readable():
            return pyarrow.parquet.ParquetFile(self.path)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Turn what pyarrow raises, for bytes or for values that Python cannot hold, into an error about the file."""
        import pyarrow

        try:
            yield
        except (pyarrow.ArrowException, ValueError, OverflowError, OSError, TypeError, KeyError) as error:
            raise ValueError(f"{self.path} is not a readable parquet file: {error}") from error


def recognise_separator(path: Path, encoding: str, default: str) -> str:
    """The separator of a table: the one that gives the most of the first rows as many cells as the header.

    A separator must divide the header; `default` wins a tie. Excel's first line `sep=;` is believed.
    """
    first = next(read_decoded_lines(path, encoding, newline=""), "")
    if _is_separator_line(first):
        return first[4]
    best, best_share = default, 0.0
    for separator in dict.fromkeys((default, *",;\t|")):
        lines, _ = _table_lines(path, encoding)
        share = _share_of_fitting_rows(lines, separator)
        if share > best_share:
            best, best_share = separator, share
    return best


def _share_of_fitting_rows(lines: Iterable[str], separator: str) -> float:
    """The fraction of the first rows that have as many cells as the header; 0 if that has only one."""
    rows = []
    try:
        rows += islice(filter(None, csv.reader(islice(lines, 1000), delimiter=separator)), 200)
    except csv.Error:  # a cell without end, which the reading itself reports with its line
        return 0.0
    if not rows or len(rows[0]) == 1:
        return 0.0
    return sum(len(row) == len(rows[0]) for row in rows) / len(rows)


def _table_lines(path: Path, encoding: str) -> tuple[Iterator[str], int]:
    """The lines of a table without the line `sep=;` that Excel writes first, and how many were left out."""
    lines = read_decoded_lines(path, encoding, newline="")
    first = next(lines, "")
    if _is_separator_line(first):
        return lines, 1
    return chain([first], lines), 0


def _is_separator_line(line: str) -> bool:
    return line.startswith("sep=") and len(line.rstrip("\r\n")) == 5


def is_empty(cell: object) -> bool:
    """Whether a cell holds nothing."""
    return cell is None or (isinstance(cell, str) and not cell.strip())
