"""Points of the plane in a user's file: a table with two columns of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from .data_files import DelimitedFile, LinesFile, Row, corpus_name, open_data_file, table_of_rows
from .files import USERS_LICENSE, file_and_validation_file
from .schema import Corpus, PointSplit
from .sources import InMemorySource
from .splits import hold_out
from .tables import Table, column_of, read_labels

LARGEST = float(np.finfo(np.float32).max)


@dataclass
class PointFile(InMemorySource):
    """A table with two columns of numbers, or a .txt file with two numbers a line.

    A .csv or .tsv file of two columns needs no header.

    Args:
        path (`str` or `Path`): the file.
        data_dir (`str` or `Path`, *optional*): the folder that relative paths start from.
        point_columns (`str` or `Sequence[str]`, *optional*): the names of the two columns, `"x,y"` or a sequence of
            the two. By default they are the two columns besides `label_column`, or else the only two of numbers.
        label_column (`str`, *optional*): the column of labels, strings or integers, empty where unknown.
        validation_file (`str` or `Path`, *optional*): a second file, with the validation points.
        validation_fraction (`float`, *optional*, defaults to 0.1): without `validation_file`, the fraction of the
            points that is held out for validation, the same for every class.
        missing_labels (`Sequence[str]` or `str`, *optional*): the marks that mean no label; see `LabelReader`.
        encoding (`str`, *optional*): how the characters of text files are encoded; recognised if it is not given.
        sheet (`str`, *optional*): the sheet of Excel files; by default the first.
    """

    modality: ClassVar[Literal["text", "point"]] = "point"

    path: str | Path
    data_dir: str | Path | None = None
    point_columns: str | Sequence[str] | None = None
    label_column: str | None = None
    validation_file: str | Path | None = None
    validation_fraction: float = 0.1
    missing_labels: Sequence[str] | str | None = None
    encoding: str | None = None
    sheet: str | None = None

    @classmethod
    def title(cls) -> str:
        return "files of points"

    def read(self) -> Corpus:
        notes: list[str] = []
        point_columns = _pair_of_names(self.point_columns)
        paths = file_and_validation_file(self.path, self.validation_file, self.data_dir)
        tables = [NumberedTable.read(path, notes, self.encoding, self.sheet) for path in paths]
        if point_columns is None:
            point_columns = tables[0].find_point_columns(self.label_column)
        columns = [[table.numbers(name) for name in point_columns] for table in tables]
        named = [(table.name, table.columns) for table in tables]
        labels, label_names = read_labels(
            named, self.label_column, PointSplit.unit, notes, missing_labels=self.missing_labels
        )
        splits = []
        for table, pair, ids in zip(tables, columns, labels, strict=True):
            points = np.stack(pair, axis=1)
            whole = ~np.isnan(points).any(axis=1)
            if not whole.all():
                notes.append(f"{table.name}: {np.count_nonzero(~whole):,} rows without both numbers dropped")
            if not whole.any():
                raise ValueError(
                    f"{table.name} holds no point: it is empty, or none of its {len(points):,} rows has both numbers"
                )
            splits.append(PointSplit(points[whole], np.asarray(ids, dtype=np.int64)[whole]))
        if self.validation_file is not None:
            train, validation = splits
        else:
            train, validation = hold_out(splits[0], self.validation_fraction, self.seed)
            notes.append(f"validation: {len(validation):,} points held out of {paths[0].name} with seed {self.seed}")
        return Corpus(corpus_name(paths[0]), train, validation, None, label_names, USERS_LICENSE, notes)


@dataclass
class NumberedTable:
    """A table that can say where in its file a value stands.

    Args:
        name (`str`): the file's name, for messages.
        columns (`dict[str, list]`): the values per column, `None` where a row has none.
        numbers_of_rows (`list[int]`): of each row in the file.
        place (`str`): what these numbers count, lines or rows.
    """

    name: str
    columns: Table
    numbers_of_rows: Sequence[int]
    place: str = "line"

    @classmethod
    def read(
        cls, path: Path, notes: list[str], encoding: str | None = None, sheet: str | None = None
    ) -> NumberedTable:
        """The table in a file; `notes` gets what was found out about it. Errors are those of `open_data_file`."""
        file = open_data_file(path, "line", notes, encoding=encoding, sheet=sheet)
        if isinstance(file, LinesFile):
            rows, names = _rows_of_two_numbers(file), ["x", "y"]
        else:
            if isinstance(file, DelimitedFile) and len(file.columns) == 2 and all(map(_is_number, file.columns)):
                notes.append(f"{path.name}: no header, so its first line is a point and its columns are x and y")
                file.name_columns(["x", "y"])
            rows, names = list(file.rows()), file.columns
        return cls(path.name, table_of_rows([row for _, row in rows], names), [i for i, _ in rows], file.place)

    def find_point_columns(self, label_column: str | None) -> tuple[str, str]:
        """The two columns besides the label, or else the only two that hold nothing but numbers."""
        others = [name for name in self.columns if name != label_column]
        if len(others) == 2:
            return tuple(others)
        numeric = [name for name in others if self._is_numeric(name)]
        if len(numeric) != 2:
            raise ValueError(
                f"{self.name} has {len(numeric)} columns of numbers besides the label "
                f"({', '.join(map(repr, numeric)) or 'none'}), where points need two: name them with point_columns "
                f"'x,y'; columns there are: {', '.join(map(repr, self.columns)) or 'none, it is empty'}"
            )
        return tuple(numeric)

    def numbers(self, column: str) -> np.ndarray:
        """A column as float64, NaN where a row has no value.

        Raises:
            ValueError: there is no such column, or it holds something else than finite numbers in float32's range.
        """
        values = column_of(self.columns, column, "point_columns", self.name)
        numbers = np.empty(len(values))
        for i, value in enumerate(values):
            if _is_missing(value):
                numbers[i] = np.nan
                continue
            number = float(value) if _is_number(value) else math.nan
            if not abs(number) <= LARGEST:
                raise ValueError(
                    f"{self.name}, {self.place} {self.numbers_of_rows[i]}: column {column!r} must hold finite numbers "
                    f"(of float32), found {value!r}"
                )
            numbers[i] = number
        return numbers

    def _is_numeric(self, column: str) -> bool:
        given = [value for value in self.columns[column] if not _is_missing(value)]
        return bool(given) and all(map(_is_number, given))


def _rows_of_two_numbers(file: LinesFile) -> list[tuple[int, Row]]:
    """The numbers of the lines that are not blank, and their two values."""
    rows = []
    for number, row in file.rows():
        cells = row["line"].split()
        if cells and len(cells) != 2:
            raise ValueError(f"{file.origin}, line {number}: expected two numbers, found {' '.join(cells)!r}")
        if cells:
            rows.append((number, dict(zip("xy", cells, strict=True))))
    return rows


def _pair_of_names(point_columns: str | Sequence[str] | None) -> tuple[str, str] | None:
    if point_columns is None:
        return None
    names = point_columns.split(",") if isinstance(point_columns, str) else point_columns
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        names = ()
    names = tuple(name.strip() for name in names)
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        raise ValueError(f"point_columns must name two different columns, as in 'x,y', got {point_columns!r}")
    return names


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _is_number(value: object) -> bool:
    if isinstance(value, bool):
        return False
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True
