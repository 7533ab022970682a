"""Tables for terminals."""

from collections.abc import Mapping, Sequence


def text_table(columns: Mapping[str, Sequence[str]]) -> str:
    """Columns of equal length side by side, left-aligned below their names."""
    widths = [max(map(len, [name, *values])) for name, values in columns.items()]
    rows = [list(columns), ["-" * len(name) for name in columns], *zip(*columns.values(), strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
