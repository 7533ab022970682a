"""A user's own texts, labelled, partly labelled or not: .csv, .tsv, .jsonl, .parquet or .txt (one text a line)."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from .cleaning import read_lines, read_text
from .schema import Corpus
from .splits import hold_out
from .tables import build_splits

FILE_TYPES = (".csv", ".tsv", ".jsonl", ".txt", ".parquet")


def load_file(
    path: str | Path,
    *,
    data_dir: str | Path | None = None,
    text_column: str = "text",
    label_column: str | None = None,
    attribute_columns: str | Sequence[str] | None = None,
    validation_file: str | Path | None = None,
    validation_fraction: float = 0.1,
    seed: int = 0,
) -> Corpus:
    """Read one file, and a second one for validation or else a stratified share of the first.

    Relative paths are taken from `data_dir`, if that is given. A table needs a header with `text_column`; in a .txt
    file every line is a text and `text_column` is ignored.

    Raises:
        FileNotFoundError: naming the path that was looked for.
        ValueError: an unknown file type, a column that is not there (with those that are), or a malformed row (with
            its line number).
    """
    notes: list[str] = []
    paths = [Path(data_dir or "", name) for name in (path, validation_file) if name is not None]
    if len(paths) == 2 and paths[0].resolve() == paths[1].resolve():
        raise ValueError(f"validation_file is the training file itself: {paths[0]}")
    tables = [(path.name, read_table(path, text_column, notes)) for path in paths]
    splits, label_names, attribute_names = build_splits(
        tables, text_column, label_column, notes, attribute_columns=attribute_columns
    )
    if validation_file is not None:
        train, validation = splits
    else:
        train, validation = hold_out(splits[0], validation_fraction, seed)
        notes.append(f"validation: {len(validation):,} texts held out of {paths[0].name} with seed {seed}")
    return Corpus(paths[0].stem, train, validation, None, label_names, "the user's own data", notes, attribute_names)


def read_table(path: Path, text_column: str, notes: list[str]) -> dict[str, list]:
    """Values per column; a value that a row lacks is `None`."""
    match path.suffix.lower():
        case ".txt":
            return {text_column: read_lines(path, notes)}
        case ".jsonl":
            return _read_jsonl(path, notes)
        case ".csv":
            return _read_delimited(path, ",", notes)
        case ".tsv":
            return _read_delimited(path, "\t", notes)
        case ".parquet":
            return _read_parquet(path)
    raise ValueError(f"cannot read {path}: a data file must end in one of {', '.join(FILE_TYPES)}")


def _read_delimited(path: Path, delimiter: str, notes: list[str]) -> dict[str, list]:
    header, rows, _ = read_rows(path, delimiter, notes)
    return columns_of_rows(header, rows, path)


def read_rows(path: Path, delimiter: str, notes: list[str]) -> tuple[list[str], list[list], list[int]]:
    """The cells of the first line, those of each row below it (`None` where it is short), the rows' line numbers."""
    # Strict, since a stray quote would otherwise swallow the rows up to the next quote without a word.
    reader = csv.reader(io.StringIO(read_text(path, notes), newline=""), delimiter=delimiter, strict=True)
    limit = csv.field_size_limit(sys.maxsize)
    try:
        header = [name.strip() for name in next(reader, [])]
        rows, line_numbers = [], []
        for row in reader:
            if len(row) > len(header):
                raise ValueError(
                    f"{path}, line {reader.line_num}: {len(row)} cells where the header has {len(header)} "
                    f"(a cell that contains {delimiter!r} must be quoted{_other_delimiter(header, delimiter)})"
                )
            rows.append(row + [None] * (len(header) - len(row)))
            line_numbers.append(reader.line_num)
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num}: {error} (a cell that contains quotes must be quoted, its quotes doubled)"
        ) from error
    finally:
        csv.field_size_limit(limit)
    return header, rows, line_numbers


def _other_delimiter(header: list[str], delimiter: str) -> str:
    """A hint, where the header seems to be divided by something else."""
    others = [other for other in ",;\t|" if other != delimiter and any(other in name for name in header)]
    return f"; the header has {others[0]!r}, and cells must be separated by {delimiter!r}" if others else ""


def columns_of_rows(header: list[str], rows: list[list], path: Path) -> dict[str, list]:
    """Rows as columns. Raises ValueError if two have the same name."""
    if len(set(header)) < len(header):
        raise ValueError(f"{path} has two columns of the same name: {', '.join(map(repr, header))}")
    return {name: [row[i] for row in rows] for i, name in enumerate(header)}


def _read_jsonl(path: Path, notes: list[str]) -> dict[str, list]:
    rows = []
    for number, line in enumerate(read_lines(path, notes), start=1):
        if not line.strip():
            continue
        rows.append(parse_json(line, f"{path}, line {number}"))
    return columns_of(rows)


def parse_json(line: str, origin: str) -> dict:
    """The JSON object in a line; `origin` is for messages."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{origin}: not valid JSON ({error})") from error
    if not isinstance(row, dict):
        raise ValueError(f"{origin}: expected a JSON object, found {type(row).__name__}")
    return row


def columns_of(rows: list[dict]) -> dict[str, list]:
    """Rows as columns; a value that a row lacks is `None`."""
    columns = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in columns}


def _read_parquet(path: Path) -> dict[str, list]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(f"reading {path} needs pyarrow: pip install pyarrow") from error
    if not path.is_file():
        raise FileNotFoundError(f"no such file: looked for {path.absolute()}")
    try:
        return pyarrow.parquet.read_table(path).to_pydict()
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{path} is not a readable parquet file: {error}") from error
