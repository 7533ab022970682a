"""Excel's .xlsx files, through openpyxl."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from .data_files import CellsFile, is_empty


@dataclass
class ExcelFile(CellsFile):
    """A sheet of an Excel file, whose first row that is not blank is the header. Cells are read as text.

    Args:
        sheet (`str`, *optional*): the name of the sheet; by default the first.
        notes (`list[str]`): gets the name of the sheet if there are several.

    Raises:
        ImportError: openpyxl is not installed.
        ValueError: no .xlsx file, or no such sheet.
    """

    place: ClassVar[str] = "row"

    sheet: str | None
    notes: list[str]

    def __post_init__(self):
        workbook = _open(self.path)
        names = [sheet.title for sheet in workbook.worksheets]
        workbook.close()
        if not names:
            raise ValueError(f"{self.path} has no sheet with cells")
        if self.sheet is not None and self.sheet not in names:
            there = ", ".join(map(repr, names))
            raise ValueError(f"{self.path} has no sheet {self.sheet!r} (sheet); sheets there are: {there}")
        if self.sheet is None:
            self.sheet = names[0]
            if len(names) > 1:
                others = ", ".join(map(repr, names[1:]))
                self.notes.append(f"{self.path.name}: its first sheet, {self.sheet!r}, is read; others are {others}")
        super().__post_init__()

    def described(self) -> str:
        return f"{self.origin} (sheet {self.sheet!r})"

    def cells(self) -> Iterator[tuple[int, list]]:
        workbook = _open(self.path)
        try:
            has_begun = False
            for number, cells in enumerate(self._rows_of(workbook), start=1):
                has_begun = has_begun or not all(map(is_empty, cells))
                if has_begun:
                    yield number, cells
        finally:
            workbook.close()

    def _rows_of(self, workbook) -> Iterator[list[str | None]]:
        """The cells of each row as text."""
        try:
            sheet = workbook[self.sheet]
            sheet.reset_dimensions()  # some programs write wrong ones
            for row in sheet.iter_rows(values_only=True):
                yield [_text(value) for value in row]
        except Exception as error:  # many kinds, as in `_open`: sheets are only read here
            raise ValueError(f"{self.path} is not a readable .xlsx file: {error}") from error


def _open(path: Path):
    """The workbook, opened for reading."""
    try:
        import openpyxl
    except ImportError as error:
        raise ImportError(f"reading {path} needs openpyxl: pip install 'ldebm_hf[excel]'") from error
    try:
        return openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # many kinds: of the archive, its XML and openpyxl itself
        raise ValueError(f"{path} is not a readable .xlsx file: {error}") from error


def _text(value: object) -> str | None:
    """A cell as a .csv file would have it."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    return None if value is None else str(value)
