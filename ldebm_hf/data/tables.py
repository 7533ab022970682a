"""From the columns of a table to splits: picks the text, label and attribute columns, turns values into class ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .cleaning import clean_split
from .labels import LabelReader, sorted_names
from .schema import NO_LABEL, Split

Table = Mapping[str, Sequence]
"""The values of each column by its name, one per row; `None` where a row has none."""


def build_splits(
    tables: list[tuple[str, Table]],
    text_column: str,
    label_column: str | None,
    notes: list[str],
    *,
    attribute_columns: str | Sequence[str] | None = None,
    class_names: Mapping[str, list[str]] | None = None,
    missing_labels: Sequence[str] | str | None = None,
) -> tuple[list[Split], list[str], dict[str, list[str]]]:
    """One clean split per table, the names of the classes, and those of each attribute.

    Args:
        tables (`list[tuple[str, Table]]`): each with its name for messages. The first is the training table; the
            others may lack the label and attribute columns.
        text_column (`str`): column of strings; `None` counts as an empty text.
        label_column (`str`, *optional*): column of strings or integers, read by a `LabelReader`.
        notes (`list[str]`): gets the counts of what was cleaned.
        attribute_columns (`str` or `Sequence[str]`, *optional*): columns like the label's, `"a,b"` or a sequence of
            names, that become attributes.
        class_names (`Mapping[str, list[str]]`, *optional*): by column the order of its classes, where the source
            defines one; otherwise they are sorted, as numbers if all are integers.
        missing_labels (`Sequence[str]` or `str`, *optional*): the marks that mean no label; see `LabelReader`.

    Raises:
        ValueError: a column is not there, a text is not a string, a label neither string nor integer or it may mean
            that there is none, there is no label at all, or attribute_columns has a name twice or that of the text
            column.
    """
    class_names = class_names or {}
    for origin, table in tables:
        column_of(table, text_column, "text_column", origin)
    labels, label_names = read_labels(
        tables, label_column, Split.unit, notes, class_names.get(label_column), missing_labels=missing_labels
    )
    attributes: list[dict[str, list[int]]] = [{} for _ in tables]
    attribute_names = {}
    for column in names_of_attributes(attribute_columns, text_column):
        ids_of_tables, attribute_names[column] = read_labels(
            tables,
            column,
            Split.unit,
            notes,
            class_names.get(column),
            argument="attribute_columns",
            missing_labels=missing_labels,
        )
        for of_table, ids in zip(attributes, ids_of_tables, strict=True):
            of_table[column] = ids
    splits = []
    for (origin, table), ids, of_table in zip(tables, labels, attributes, strict=True):
        texts = [require_text(text, text_column, origin) for text in table[text_column]]
        splits.append(clean_split(texts, ids, origin, notes, of_table))
    return splits, label_names, attribute_names


def names_of_attributes(attribute_columns: str | Sequence[str] | None, text_column: str) -> list[str]:
    """The names in `attribute_columns`. Raises ValueError if one is empty, there twice, or that of the text column."""
    if attribute_columns is None:
        return []
    names = attribute_columns.split(",") if isinstance(attribute_columns, str) else attribute_columns
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"attribute_columns must be names of columns, got {attribute_columns!r:.80}")
    names = [name.strip() for name in names]
    if not all(names) or len(set(names)) < len(names) or text_column in names:
        raise ValueError(
            f"attribute_columns must name different columns, and none that of the texts ({text_column!r}), "
            f"got {attribute_columns!r}"
        )
    return names


def read_labels(
    tables: list[tuple[str, Table]],
    label_column: str | None,
    unit: str,
    notes: list[str],
    label_names: list[str] | None = None,
    argument: str = "label_column",
    missing_labels: Sequence[str] | str | None = None,
) -> tuple[list[list[int]], list[str]]:
    """The class ids of every table's rows and the names of the classes.

    `unit` is what a row is called in notes, `argument` the setting that names the column; `label_names` is the order
    of the classes, if the source defines them: then every name is one. The other arguments and the errors are those of
    `build_splits`.
    """
    reader = LabelReader(missing_labels if label_names is None else [])
    values = []
    for origin, table in tables:
        size = len(next(iter(table.values()), ()))
        if label_column is None:
            values.append([None] * size)
        elif values and label_column not in table:
            notes.append(f"{origin}: no column {label_column!r}, so its {size:,} {unit}s are unlabelled")
            values.append([None] * size)
        else:
            values.append([reader.read(v, origin) for v in column_of(table, label_column, argument, origin)])
    if label_column is not None:
        reader.check(label_column, tables[0][0], argument)
        notes += reader.notes(label_column)
    if label_names is None:
        label_names = sorted_names(set(reader.names))
    ids = {name: i for i, name in enumerate(label_names)} | {None: NO_LABEL}
    return [[ids[name] for name in names] for names in values], label_names


def column_of(table: Table, column: str, argument: str, origin: str) -> Sequence:
    """A column of a table; `argument` is the setting that names it. Raises ValueError if there is none."""
    if not isinstance(column, str):
        raise ValueError(f"{argument} must be the name of a column of {origin}, got {column!r:.80}")
    if column not in table:
        there = ", ".join(map(repr, table)) or "none, it is empty"
        raise ValueError(f"{origin} has no column {column!r} ({argument}); columns there are: {there}")
    return table[column]


def require_text(value: object, column: str, origin: str) -> str | None:
    """`value`, if it is a string or `None`."""
    if value is not None and not isinstance(value, str):
        raise ValueError(f"column {column!r} of {origin} must hold strings, found {value!r} ({type(value).__name__})")
    return value
