"""Tables of text for the terminal and for Markdown documents."""

from collections.abc import Mapping, Sequence

from tabulate import tabulate


def text_table(columns: Mapping[str, Sequence[str]]) -> str:
    """
    A table for the terminal, with left-aligned columns below their names.

    Args:
        columns (`Mapping[str, Sequence[str]]`): The cells of each column, by the column's name.

    Raises:
        ValueError: Columns of different lengths.
    """
    rows = list(zip(*columns.values(), strict=True))
    return tabulate(rows, headers=list(columns), tablefmt="simple", disable_numparse=True)


def markdown_table(columns: Mapping[str, Sequence[str]]) -> str:
    """
    The same table in Markdown. The first column is aligned to the left and the others to the right.

    Args:
        columns (`Mapping[str, Sequence[str]]`): The cells of each column, by the column's name. A cell must not
            contain a `|`.

    Raises:
        ValueError: Columns of different lengths.
    """
    rows = list(zip(*columns.values(), strict=True))
    alignment = ["left"] + ["right"] * (len(columns) - 1)
    return tabulate(rows, headers=list(columns), tablefmt="pipe", disable_numparse=True, colalign=alignment)
