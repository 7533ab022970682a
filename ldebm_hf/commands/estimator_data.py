"""Texts and labels as people have them in Python: lists, arrays, columns of pandas, data sets of `datasets`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..data.labels import LabelReader
from ..files.atomic import write_text

TEXT, LABEL = "text", "label"
"""Columns of the file that [`write_texts`] writes."""


def read_texts(texts: Any, column: str = TEXT) -> list[str]:
    """
    The texts that a user gives.

    Args:
        texts: A list or another sequence of strings, a NumPy array of one dimension, a column of a pandas table or of
            a `datasets.Dataset`; or such a table or data set, of which `column` is taken.
        column (`str`, *optional*, defaults to `"text"`): The column of a table or data set.

    Raises:
        ValueError: There is no text, an entry is no string (the message has its number), or there is no such column.
    """
    values = _entries(texts, "texts", column)
    if not values:
        raise ValueError("texts must be strings, at least one, got none")
    for number, value in enumerate(values):
        if not isinstance(value, str):
            raise ValueError(
                f"texts must be strings, and entry {number} (the first is 0) is {value!r:.80} "
                f"({type(value).__name__}): leave out what has no text"
            )
    return [str(value) for value in values]  # NumPy's own kind of string becomes Python's


def read_labels(labels: Any, texts: Any, num_texts: int, missing_labels: Any = ()) -> list[Any]:
    """
    The labels that a user gives, one for each text; `None` where there is none.

    Args:
        labels: A sequence, array or column of strings or integers, in which `None`, NaN, -100 and an empty text mean
            that there is no label; or the name of a column of `texts`.
        texts: What [`read_texts`] was given.
        num_texts (`int`): Number of texts.
        missing_labels (`Sequence[str]` or `str`, *optional*): What else means that there is no label, as in
            [`~ldebm_hf.data.labels.LabelReader`]; an empty text and -100 always do.

    Raises:
        ValueError: The number of labels is another one, or a label is neither a string nor an integer.
    """
    values = _column(texts, labels, "labels") if isinstance(labels, str) else _entries(labels, "labels", LABEL)
    if len(values) != num_texts:
        raise ValueError(f"labels must be one for each of the {num_texts:,} texts, got {len(values):,}")
    reader = LabelReader(missing_labels=missing_labels)
    found = []
    for number, value in enumerate(values):
        value = getattr(value, "item", lambda value=value: value)()  # NumPy's numbers become Python's
        is_missing = value is None or type(value).__name__ in ("NAType", "NaTType") or value != value
        if not is_missing and not isinstance(value, (str, int)) and not (
            isinstance(value, float) and value.is_integer()
        ):
            raise ValueError(
                f"labels must be strings or integers, or None where there is none, and entry {number} (the first is "
                f"0) is {value!r:.80} ({type(value).__name__})"
            )
        found.append(None if is_missing or reader.read(value, "labels") is None else value)
    return found


def names_of_labels(labels: Iterable[Any], missing_labels: Any = ()) -> dict[str, Any]:
    """By the name of its class, as training reads it, every label in the form in which it was given first."""
    names: dict[str, Any] = {}
    for label in labels:
        name = LabelReader(missing_labels=missing_labels).read(label, "labels")
        if name is not None:
            names.setdefault(name, label)
    return names


def name_of_label(label: Any) -> str | None:
    """The name of a label's class, as training reads it; `None` if there is no label."""
    return LabelReader(missing_labels=[]).read(label, "labels")


def lines_of(texts: list[str], labels: list[Any] | None) -> str:
    """The content of a file of texts, one JSON object a line."""
    rows = [{TEXT: text} for text in texts]
    if labels is not None:
        rows = [row | {LABEL: label} for row, label in zip(rows, labels, strict=True)]
    return "".join(json.dumps(row) + "\n" for row in rows)


@contextmanager
def texts_written(file: Path, content: str, must_be_same: bool) -> Iterator[None]:
    """
    Write the texts of a fit. If what is done inside fails, the file is as it was, and so are its folders.

    Args:
        file (`Path`): The file.
        content (`str`): As of [`lines_of`].
        must_be_same (`bool`): Whether a fit goes on, so that the texts of the file cannot be replaced by others.

    Raises:
        ValueError: The file has other texts or labels, and they must be the same.
    """
    before = file.read_text("utf-8") if file.is_file() else None
    if must_be_same and before is not None and before != content:
        raise ValueError(
            f"output_dir {str(file.parent)!r} holds a fit of other texts or labels: give another output_dir, leave it "
            "out, or pass overwrite_output_dir=True, which discards that fit"
        )
    new_folders = [folder for folder in file.parents if not folder.exists()]  # the innermost first
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, content)
        yield
    except BaseException:
        if before is None:
            file.unlink(missing_ok=True)
        else:
            write_text(file, before)
        for folder in new_folders:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        raise


def _entries(values: Any, argument: str, column: str) -> list[Any]:
    """The entries of whatever holds texts or labels."""
    if isinstance(values, (str, bytes)):
        raise ValueError(f"{argument} must be a list of them, got a single {type(values).__name__}, {values!r:.60}")
    if _columns_of(values) is not None:
        return _column(values, column, argument)
    shape = getattr(values, "shape", None)
    if shape is not None and len(shape) != 1:
        raise ValueError(f"{argument} must have one dimension, got an array of shape {tuple(shape)}")
    if isinstance(values, dict) or not isinstance(values, Iterable) and not hasattr(values, "__getitem__"):
        raise ValueError(f"{argument} must be a list, an array or a column, got {type(values).__name__}")
    return values.tolist() if hasattr(values, "tolist") else list(values)


def _columns_of(values: Any) -> list[str] | None:
    """The columns of a pandas table or a data set; `None` of anything else."""
    columns = getattr(values, "column_names", None)  # datasets
    if columns is None and getattr(values, "ndim", None) == 2:
        columns = getattr(values, "columns", None)  # pandas
    if isinstance(columns, dict):
        raise ValueError(f"a DatasetDict has splits, and one is needed: give one of {', '.join(columns)}")
    return None if columns is None else [str(name) for name in columns]


def _column(values: Any, name: str, argument: str) -> list[Any]:
    """One column of a table or data set; the classes of a data set by their names."""
    columns = _columns_of(values)
    if columns is None:
        raise ValueError(f"{argument}={name!r} names a column, and the texts are no table or data set with columns")
    if name not in columns:
        other = ", text_column=" if argument == "texts" else ""
        raise ValueError(f"{argument} are in no column {name!r}{other}: the columns are {', '.join(columns)}")
    feature = getattr(values, "features", {}).get(name) if hasattr(values, "features") else None
    found = values[_key_of(values, name)]
    found = found.tolist() if hasattr(found, "tolist") else list(found)
    if hasattr(feature, "int2str"):
        return [None if value is None or value < 0 else feature.int2str(value) for value in found]
    return found


def _key_of(values: Any, name: str) -> Any:
    """What a column is called in a table; in pandas also by a number."""
    if hasattr(values, "column_names"):
        return name
    keys = list(values.columns)
    return name if name in keys else next(key for key in keys if str(key) == name)
