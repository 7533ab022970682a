"""Points of the plane: the two published toy distributions, and a user's own table with two columns of numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from .cleaning import read_lines
from .files import FILE_TYPES, columns_of, columns_of_rows, parse_json, read_rows, read_table
from .schema import Corpus, PointSplit, unseen_classes
from .splits import check_validation_fraction, hide_labels, hold_out, take_subset
from .tables import Table, column_of, read_labels

CHUNK_SIZE = 100_000
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class GaussianGrid:
    """The published toy data of 16 Gaussians on a 4 x 4 grid, all equally likely.

    As published, centres at 4 * {-1, -1/3, 1/3, 1} and noise of 0.5, all divided by 1.414, then multiplied by 4: the
    coordinates of the centres are +-11.3 and +-3.77, the standard deviation is 1.41. Neighbours are 5.3 standard
    deviations apart. Mode `4 * i + j` is at the i-th smallest x and the j-th smallest y.
    """

    name: ClassVar[str] = "gaussians"
    num_modes: ClassVar[int] = 16
    std: ClassVar[float] = 0.5 / 1.414 * 4

    @property
    def weights(self) -> np.ndarray:
        """The probability of each mode, `(16,)`."""
        return np.full(self.num_modes, 1 / self.num_modes)

    @property
    def centers(self) -> np.ndarray:
        """`(16, 2)`, float64."""
        axis = np.array([-1, -1 / 3, 1 / 3, 1]) * 4 / 1.414 * 4
        return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)

    def sample(self, num_points: int, seed: int | Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Draw points, `(n, 2)` float32, and the mode of each, `(n,)` int64. `seed` is that of numpy's generator."""
        rng = np.random.default_rng(seed)
        labels = rng.integers(self.num_modes, size=num_points)
        points = self.centers[labels] + self.std * rng.standard_normal((num_points, 2))
        return points.astype(np.float32), labels

    def assign(self, points: np.ndarray, num_stds: float = 4.0) -> np.ndarray:
        """The nearest mode of each point; -1 where it is farther than `num_stds` standard deviations from all.

        At the default no place between the modes is off all of them, since four neighbours meet at 3.8 standard
        deviations: -1 is the surroundings of the grid. Below 2.67 the modes' discs are apart.

        Args:
            points (`np.ndarray` of shape `(n, 2)`): NaN and infinity are off every mode.

        Returns:
            `(n,)`, int64.
        """
        return _nearest(self._squared_distances(points), num_stds)

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """The logarithm of the density at `points` `(n, 2)`: `(n,)`, float64."""
        normalizer = math.log(self.num_modes * 2 * math.pi * self.std**2)
        return np.logaddexp.reduce(-self._squared_distances(points) / 2, axis=1) - normalizer

    def _squared_distances(self, points: np.ndarray) -> np.ndarray:
        """Of each point to each centre in standard deviations, `(n, 16)`."""
        points = _require_points(points)
        return np.stack([_sum_of_squares((points - center) / self.std) for center in self.centers], axis=1)


@dataclass(frozen=True)
class Pinwheel:
    """The published toy data of 10 curved arms, all equally likely.

    As published, r = 1 + 0.3 a and t = 0.1 b with a and b standard normal; the vector (r, t) is turned clockwise by
    `2 pi k / 10 + 0.25 exp(r)` on arm k, then multiplied by 2 and by 4. The arms run into one another near the
    origin. An arm's own coordinates are (a, b): how far out and how far sideways, in standard deviations.
    """

    name: ClassVar[str] = "pinwheel"
    num_modes: ClassVar[int] = 10
    radial_std: ClassVar[float] = 0.3
    tangential_std: ClassVar[float] = 0.1
    rate: ClassVar[float] = 0.25
    scale: ClassVar[float] = 8.0

    @property
    def weights(self) -> np.ndarray:
        """The probability of each mode, `(10,)`."""
        return np.full(self.num_modes, 1 / self.num_modes)

    def sample(self, num_points: int, seed: int | Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Draw points, `(n, 2)` float32, and the arm of each, `(n,)` int64. `seed` is that of numpy's generator."""
        rng = np.random.default_rng(seed)
        labels = rng.integers(self.num_modes, size=num_points)
        normal = rng.standard_normal((num_points, 2))
        return self._place(normal, labels).astype(np.float32), labels

    def assign(self, points: np.ndarray, num_stds: float = 4.0) -> np.ndarray:
        """The arm in whose own coordinates each point is nearest to the origin; -1 beyond `num_stds` in all.

        Args:
            points (`np.ndarray` of shape `(n, 2)`): NaN and infinity are off every mode.

        Returns:
            `(n,)`, int64.
        """
        chunks = [_nearest(_sum_of_squares(normal), num_stds) for normal, _ in self._arm_coordinates(points)]
        return np.concatenate(chunks)

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """The logarithm of the density at `points` `(n, 2)`: `(n,)`, float64.

        Exact within 4 standard deviations of an arm. Farther out two places of one arm can be turned onto the same
        point, of which one is counted.
        """
        # Turning by an angle that grows by g = rate exp(r) per r changes areas by the factor 1 + g t.
        normalizer = math.log(self.num_modes * 2 * math.pi * self.radial_std * self.tangential_std * self.scale**2)
        chunks = []
        for normal, area in self._arm_coordinates(points):
            chunks.append(np.logaddexp.reduce(-_sum_of_squares(normal) / 2 - np.log(np.abs(area)), axis=1))
        return np.concatenate(chunks) - normalizer

    def _place(self, normal: np.ndarray, arms: np.ndarray) -> np.ndarray:
        radial = 1 + self.radial_std * normal[:, 0]
        tangential = self.tangential_std * normal[:, 1]
        angles = self._angles(radial, arms)
        cos, sin = np.cos(angles), np.sin(angles)
        return self.scale * np.stack([radial * cos + tangential * sin, tangential * cos - radial * sin], axis=1)

    def _angles(self, radial: np.ndarray, arms: np.ndarray) -> np.ndarray:
        return 2 * math.pi / self.num_modes * arms + self.rate * np.exp(radial)

    def _arm_coordinates(self, points: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Chunks of `(n, 10, 2)`, the points in each arm's coordinates (infinite if out of reach), and `(n, 10)`,
        the factor by which the turning changes areas there.

        Turned back by the angle that belongs to r, a point must have the radial coordinate r; Newton's method finds
        it from the point's distance to the origin, which is r up to t^2 / 2r.
        """
        points = _require_points(points)
        arms = np.arange(self.num_modes)
        for start in range(0, max(len(points), 1), CHUNK_SIZE):
            x, y = points[start : start + CHUNK_SIZE].T / self.scale
            # Beyond any arm exp(r) would overflow; such points only have to stay out of reach.
            distance = np.hypot(x, y)[:, None]
            far = ~(distance < 5)
            distance = np.where(far, 5, distance)
            direction = np.where(far, 0, np.arctan2(y, x)[:, None])
            radial = np.repeat(distance, self.num_modes, axis=1)
            for _ in range(12):
                angles = direction + self._angles(radial, arms)
                slope = 1 + self.rate * np.exp(radial) * distance * np.sin(angles)
                step = (distance * np.cos(angles) - radial) / np.where(np.abs(slope) < 0.05, 0.05, slope)
                radial = np.clip(radial + step, -distance, distance)
            angles = direction + self._angles(radial, arms)
            tangential = distance * np.sin(angles)
            reached = ~far & (np.abs(distance * np.cos(angles) - radial) < 1e-6)
            normal = np.stack([(radial - 1) / self.radial_std, tangential / self.tangential_std], axis=-1)
            area = np.where(reached, 1 + self.rate * np.exp(radial) * tangential, 1)
            yield np.where(reached[..., None], normal, np.inf), area


POINT_DISTRIBUTIONS = {distribution.name: distribution for distribution in (GaussianGrid(), Pinwheel())}
"""The built-in distributions by the name that `load_points` knows them by."""


def load_points(
    source: str | Path = "gaussians",
    *,
    num_points: int = 100_000,
    point_columns: str | Sequence[str] | None = None,
    label_column: str | None = None,
    validation_file: str | Path | None = None,
    validation_fraction: float = 0.1,
    label_fraction: float = 1.0,
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
    if max_train_examples is not None:
        corpus.train = take_subset(corpus.train, max_train_examples, seed)
    corpus.train = hide_labels(corpus.train, label_fraction, seed)
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


def _require_points(points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"points must be of shape (n, 2), got {points.shape}")
    return points


def _sum_of_squares(vectors: np.ndarray) -> np.ndarray:
    return np.square(vectors).sum(axis=-1)


def _nearest(squares: np.ndarray, num_stds: float) -> np.ndarray:
    """The mode of the smallest squared distance `(n, num_modes)`; -1 beyond `num_stds`, NaN being beyond."""
    modes = squares.argmin(axis=1)
    within = squares[np.arange(len(squares)), modes] <= num_stds**2
    return np.where(within, modes, -1)
