"""Points of the plane as a corpus: drawn from a toy distribution, or a user's table with two columns of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .cleaning import read_lines
from .files import FILE_TYPES, columns_of, columns_of_rows, parse_json, read_rows, read_table
from .point_distributions import POINT_DISTRIBUTIONS, GaussianGrid, Pinwheel
from .schema import Corpus, PointSplit, unseen_classes
from .splits import check_validation_fraction, hold_out, limit_training
from .tables import Table, column_of, read_labels

LARGEST = float(np.finfo(np.float32).max)


def load_points(
    source: str | Path = "gaussians",
    *,
    num_points: int = 100_000,
    point_columns: str | Sequence[str] | None = None,
    label_column: str | None = None,
    validation_file: str | Path | None = None,
    validation_fraction: float = 0.1,
    label_fraction: float = 1.0,
    label_count: int | None = None,
    label_seed: int | None = None,
    max_train_examples: int | None = None,
    data_dir: str | Path | None = None,
    seed: int = 0,
) -> Corpus:
    """Draw points from a built-in distribution or read them from a file; `corpus.notes` says what was done, counted.

    Args:
        source (`str` or `Path`, *optional*, defaults to `"gaussians"`): `"gaussians"`, `"pinwheel"`, or the path of a
            .csv, .tsv, .jsonl or .parquet table or a .txt file with two numbers a line. A .csv or .tsv file of two
            columns needs no header.
        num_points (`int`, *optional*, defaults to 100000): training points of a built-in distribution;
            `validation_fraction` times as many are drawn besides, independently. No matter for files.
        point_columns (`str`, *optional*): the names of a table's two columns, `"x,y"`, or a sequence of the two. By
            default the two columns there are besides `label_column`, or else the only two that hold numbers.
        label_column (`str`, *optional*): where a table has its labels, strings or integers, empty where unknown. The
            labels of a built-in distribution are the modes.
        validation_file (`str` or `Path`, *optional*): a second file, for validation.
        validation_fraction (`float`, *optional*, defaults to 0.1): a file without `validation_file` gives up this
            share of its points.
        label_fraction (`float`, *optional*, defaults to 1.0): keep only this share of the training labels; 0 trains
            without any, and validation still has its own for the scores.
        label_count (`int`, *optional*): keep only so many, equally many of each class.
        label_seed (`int`, *optional*): decides which labels are kept, and nothing else; defaults to `seed`.
        max_train_examples (`int`, *optional*): train on a random subset of at most this size.
        data_dir (`str` or `Path`, *optional*): the folder that relative paths start from.
        seed (`int`, *optional*, defaults to 0): decides the drawn points and every random choice above.

    Returns:
        `Corpus`, whose splits are `PointSplit`s.

    Raises:
        FileNotFoundError: naming the path that was looked for.
        ValueError: an unknown source or column, what is no finite number (with its line), a setting out of range.
    """
    if source in POINT_DISTRIBUTIONS:
        options = {"point_columns": point_columns, "label_column": label_column, "validation_file": validation_file}
        for argument, value in options.items():
            if value is not None:
                raise ValueError(f"{argument} goes with a file as source, not with {str(source)!r}")
        corpus = _draw(POINT_DISTRIBUTIONS[source], num_points, validation_fraction, seed)
    elif Path(source).suffix.lower() in FILE_TYPES:
        paths = [Path(data_dir or "", name) for name in (source, validation_file) if name is not None]
        corpus = _load_files(paths, _pair_of_names(point_columns), label_column, validation_fraction, seed)
    else:
        raise ValueError(
            f"unknown source of points {str(source)!r}: use {', '.join(map(repr, POINT_DISTRIBUTIONS))}, or a path "
            f"that ends in one of {', '.join(FILE_TYPES)}"
        )
    corpus.train = limit_training(
        corpus.train, max_train_examples, label_fraction, seed, label_count=label_count, label_seed=label_seed
    )
    corpus.notes += unseen_classes(corpus)
    return corpus


def _draw(distribution: GaussianGrid | Pinwheel, num_points: int, validation_fraction: float, seed: int) -> Corpus:
    check_validation_fraction(validation_fraction)
    if num_points < 1:
        raise ValueError(f"num_points must be at least 1, got {num_points}")
    num_validation = max(1, round(validation_fraction * num_points))
    # Numpy takes [seed, 0] for the same seed as `seed` alone, which a caller may use for points of their own.
    train = PointSplit(*distribution.sample(num_points, [seed, 1]))
    validation = PointSplit(*distribution.sample(num_validation, [seed, 2]))
    return Corpus(
        name=distribution.name,
        train=train,
        validation=validation,
        label_names=[f"mode {mode}" for mode in range(distribution.num_modes)],
        license="apache-2.0",
        notes=[
            f"{num_points:,} training and {num_validation:,} validation points drawn from the distribution "
            f"{distribution.name!r} with seed {seed}"
        ],
    )


def _load_files(
    paths: list[Path],
    point_columns: tuple[str, str] | None,
    label_column: str | None,
    validation_fraction: float,
    seed: int,
) -> Corpus:
    if len(paths) == 2 and paths[0].resolve() == paths[1].resolve():
        raise ValueError(f"validation_file is the training file itself: {paths[0]}")
    notes: list[str] = []
    tables = [NumberedTable.read(path, notes) for path in paths]
    if point_columns is None:
        point_columns = tables[0].find_point_columns(label_column)
    columns = [[table.numbers(name) for name in point_columns] for table in tables]
    named = [(table.name, table.columns) for table in tables]
    labels, label_names = read_labels(named, label_column, PointSplit.unit, notes)
    splits = []
    for table, pair, ids in zip(tables, columns, labels, strict=True):
        points = np.stack(pair, axis=1)
        whole = ~np.isnan(points).any(axis=1)
        if not whole.all():
            notes.append(f"{table.name}: {np.count_nonzero(~whole):,} rows without both numbers dropped")
        if not whole.any():
            raise ValueError(f"{table.name} holds no point: it is empty, or none of its {len(points):,} rows has both")
        splits.append(PointSplit(points[whole], np.asarray(ids, dtype=np.int64)[whole]))
    if len(paths) == 2:
        train, validation = splits
    else:
        train, validation = hold_out(splits[0], validation_fraction, seed)
        notes.append(f"validation: {len(validation):,} points held out of {paths[0].name} with seed {seed}")
    return Corpus(paths[0].stem, train, validation, None, label_names, "the user's own data", notes)


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
    def read(cls, path: Path, notes: list[str]) -> NumberedTable:
        match path.suffix.lower():
            case ".txt":
                lines = [(i, line.split()) for i, line in enumerate(read_lines(path, notes), start=1)]
                lines = [(i, cells) for i, cells in lines if cells]
                for i, cells in lines:
                    if len(cells) != 2:
                        raise ValueError(f"{path.name}, line {i}: expected two numbers, found {' '.join(cells)!r}")
                columns = {name: [cells[i] for _, cells in lines] for i, name in enumerate("xy")}
                return cls(path.name, columns, [i for i, _ in lines])
            case ".jsonl":
                lines = [(i, line) for i, line in enumerate(read_lines(path, notes), start=1) if line.strip()]
                rows = [parse_json(line, f"{path}, line {i}") for i, line in lines]
                return cls(path.name, columns_of(rows), [i for i, _ in lines])
            case ".csv" | ".tsv" as suffix:
                header, rows, line_numbers = read_rows(path, "," if suffix == ".csv" else "\t", notes)
                if len(header) == 2 and all(_is_number(cell) for cell in header):
                    notes.append(f"{path.name}: no header, so its first line is a point and its columns are x and y")
                    header, rows, line_numbers = ["x", "y"], [header, *rows], [1, *line_numbers]
                return cls(path.name, columns_of_rows(header, rows, path), line_numbers)
        # A parquet file, or no type that can be read, which `read_table` says.
        columns = read_table(path, "", notes)
        return cls(path.name, columns, range(1, 1 + len(next(iter(columns.values()), ()))), place="row")

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


def _pair_of_names(point_columns: str | Sequence[str] | None) -> tuple[str, str] | None:
    if point_columns is None:
        return None
    names = point_columns.split(",") if isinstance(point_columns, str) else point_columns
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
