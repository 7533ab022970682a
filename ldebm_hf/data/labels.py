"""How a label column is read: which cells mean that there is no label, and what else about labels a user must know."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from .schema import NO_LABEL

NO_LABEL_MARKS = frozenset({"nan", "NaN", "<NA>", "null", "NULL", "#N/A", str(NO_LABEL)})
"""What programs write for a label that is not known, besides an empty cell, a null value and the number NaN."""
DOUBTFUL_MARKS = frozenset({"NA", "N/A", "n/a", "None", "none", "NONE", "Null", "nil", "-", "--", "?", "."})
"""What may also be the name of a class, such as NA for North America: refused until `missing_labels` decides."""
LARGEST_LABEL = 10**1000 - 1
WHOLE_NUMBER = re.compile(r"(-?\d+)\.0+", re.ASCII)


@dataclass
class LabelReader:
    """Reads the cells of one column of labels, and counts what it finds. The rule is the same for every source:

    An empty cell, a null value, NaN and the marks `NO_LABEL_MARKS` mean that a row has no label. `DOUBTFUL_MARKS` are
    refused, because they may be classes. If `missing_labels` is given, these marks alone mean that there is no label
    (besides empty cells, null values and NaN), and everything else is a class. Spaces around a label are removed, and
    a whole number that is written `1.0`, as pandas writes integers beside missing values, is the integer.

    Args:
        missing_labels (`Sequence[str]`, `set[str]` or `str`, *optional*): the marks that mean no label; a string is
            split at its commas.
    """

    missing_labels: Sequence[str] | Set[str] | str | None = None
    names: Counter[str] = field(default_factory=Counter)
    marks: Counter[str] = field(default_factory=Counter)
    num_stripped: int = 0
    num_decimal: int = 0

    def __post_init__(self):
        given = self.missing_labels
        if isinstance(given, str):
            given = [mark.strip() for mark in given.split(",")]
        is_collection = isinstance(given, (Sequence, Set))
        if given is not None and not (is_collection and all(isinstance(mark, str) for mark in given)):
            raise ValueError(f"missing_labels must be strings, got {given!r:.80}")
        self._missing = NO_LABEL_MARKS if given is None else frozenset(given)

    def read(self, value: object, origin: str) -> str | None:
        """The name of the class in a cell; `None` if it has no label.

        Raises:
            ValueError: it is neither a string nor an integer.
        """
        if value is None or value != value:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, str | int):
            kind = type(value).__name__
            raise ValueError(f"labels of {origin} must be strings or integers, found {value!r:.80} ({kind})")
        if isinstance(value, int) and abs(value) > LARGEST_LABEL:
            raise ValueError(f"labels of {origin} must have at most {len(str(LARGEST_LABEL))} digits")
        name = str(value).strip()
        if not name or name == str(NO_LABEL):
            return None
        if name in self._missing:
            self.marks[name] += 1
            return None
        self.num_stripped += name != str(value)
        if whole := WHOLE_NUMBER.fullmatch(name):
            self.num_decimal += 1
            name = whole[1]
        self.names[name] += 1
        return name

    def check(self, column: str, origin: str, argument: str) -> None:
        """Refuse a column in which there is no label, or one whose marks may mean either.

        Args:
            column (`str`): the name of the column.
            origin (`str`): where it is from.
            argument (`str`): the option that names the column.
        """
        doubtful = sorted(DOUBTFUL_MARKS & self.names.keys())
        if doubtful and self.missing_labels is None:
            counts = " and ".join(f"{mark!r} in {self.names[mark]:,} rows" for mark in doubtful)
            raise ValueError(
                f"column {column!r} of {origin} ({argument}) has {counts}, which can be a class or mean that there is "
                f"no label: give missing_labels=[] if it is a class, or missing_labels=[{', '.join(doubtful)}] if it "
                "means no label"
            )
        if not self.names:
            raise ValueError(f"column {column!r} of {origin} holds no label at all: leave it out ({argument})")

    def notes(self, column: str) -> list[str]:
        """What a user must know about the labels, with counts."""
        place = f"column {column!r}"
        notes = [f"{place}: {count:,} cells {mark!r} mean no label" for mark, count in sorted(self.marks.items())]
        for mark in sorted((DOUBTFUL_MARKS | NO_LABEL_MARKS) & self.names.keys()):
            notes.append(f"{place}: {mark!r} is a class, of {self.names[mark]:,} rows (missing_labels)")
        if self.num_stripped:
            notes.append(f"{place}: {self.num_stripped:,} labels had spaces around them (removed)")
        if self.num_decimal:
            notes.append(f"{place}: {self.num_decimal:,} labels such as '1.0' are whole numbers (read as '1')")
        broken = sum(count for name, count in self.names.items() if "\ufffd" in name)
        if broken:
            notes.append(
                f"{place}: {broken:,} labels hold U+FFFD, which stands for characters that were lost; different "
                "classes may have become one"
            )
        return notes + [f"{place}: {likeness}" for likeness in self._alike()]

    def _alike(self) -> list[str]:
        alike = defaultdict(list)
        for name in sorted(self.names):
            alike[_folded(name)].append(name)
        notes = []
        for names in alike.values():
            if len(names) > 1:
                counted = " and ".join(f"{name!r} ({self.names[name]:,})" for name in names)
                notes.append(f"the classes {counted} differ only in case, spaces or form of characters, and are kept")
        return notes


def sorted_names(names: set[str]) -> list[str]:
    """The order of classes where no other is defined: by number if all are integers."""
    return sorted(names, key=int if all(map(_is_integer, names)) else str)


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _is_integer(name: str) -> bool:
    return re.fullmatch(r"-?\d{1,1000}", name, re.ASCII) is not None  # more digits Python refuses to read
