"""JSON files: one object a line, or an array of objects; read object by object."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from .data_files import LARGEST_CELL, DataFile, Row
from .encodings import read_decoded_blocks, read_decoded_lines

BETWEEN_OBJECTS = re.compile(r"[\s,]*")


@dataclass
class JsonFile(DataFile):
    """A file with one JSON object a line (blank lines are skipped), or with an array of objects.

    Args:
        encoding (`str`): the encoding of the file.
    """

    encoding: str

    def __post_init__(self):
        self.is_array = next(read_decoded_blocks(self.path, self.encoding), "").lstrip().startswith("[")
        self.place = "object" if self.is_array else "line"

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[tuple[int, Row]]:
        if self.is_array:
            yield from self._objects_of_array()
            return
        for number, line in enumerate(self._lines(), start=1):
            if line.strip():
                yield number, parse_json(line, f"{self.path}, line {number}")

    def _objects_of_array(self) -> Iterator[tuple[int, Row]]:
        """The objects one by one; memory holds a block of the file or the object that it ends in."""
        decoder, number, is_finished = json.JSONDecoder(), 1, False
        text, place, size_to_try = "", 0, 0
        blocks = read_decoded_blocks(self.path, self.encoding)
        for block in chain(blocks, [""]):
            if not text and number == 1:
                block = block.lstrip()[1:]  # the bracket
            text, place = text[place:] + block, 0
            # An object that goes on over many blocks is tried again when twice as much of it is there.
            if block and len(text) < size_to_try:
                continue
            size_to_try = 0
            while not is_finished:
                place = BETWEEN_OBJECTS.match(text, place).end()
                if text[place : place + 1] == "]":
                    place, is_finished = place + 1, True
                    break
                try:
                    value, end = decoder.raw_decode(text, place)
                except json.JSONDecodeError:
                    size_to_try = 2 * (len(text) - place)
                    break  # it goes on in the next block
                except (ValueError, RecursionError) as error:  # a number of too many digits, or too deep
                    raise ValueError(f"{self.path}, object {number}: not readable JSON ({error})") from error
                if not isinstance(value, dict):
                    kind = type(value).__name__
                    raise ValueError(f"{self.path}, object {number}: expected a JSON object, found {kind}")
                yield number, value
                place, number = end, number + 1
            if is_finished and text[place:].strip():
                more = text[place:].strip()[:40]
                raise ValueError(f"{self.path}: there is more after the end of the array, {more!r}")
            if len(text) - place > LARGEST_CELL:
                break
        if not is_finished:
            begin = text[place : place + 40]
            raise ValueError(f"{self.path}, object {number}: not valid JSON, it begins with {begin!r}")

    def _lines(self) -> Iterator[str]:
        return read_decoded_lines(self.path, self.encoding)


def parse_json(line: str, origin: str) -> dict:
    """The JSON object in a line; `origin` is for messages."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{origin}: not valid JSON ({error})") from error
    if not isinstance(row, dict):
        raise ValueError(f"{origin}: expected a JSON object, found {type(row).__name__}")
    return row
