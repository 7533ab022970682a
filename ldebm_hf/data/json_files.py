"""JSON files: one object a line, or an array of objects; read object by object."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .data_files import DataFile, Row
from .encodings import read_decoded_lines


@dataclass
class JsonFile(DataFile):
    """A file with one JSON object a line (blank lines are skipped), or with an array of objects.

    Args:
        encoding (`str`): the encoding of the file.
    """

    encoding: str

    def __post_init__(self):
        first = next((line for line in self._lines() if line.strip()), "")
        self.is_array = first.lstrip().startswith("[")
        self.place = "object" if self.is_array else "line"

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[tuple[int, Row]]:
        if self.is_array:
            yield from self._objects_of_array()
            return
        for number, line in enumerate(self._lines(), start=1):
            if line.strip():
                yield number, parse_json(line, f"{self.path}, line {number}")

    def _objects_of_array(self) -> Iterator[tuple[int, Row]]:
        """The objects one by one; memory holds one of them and the line or block that it ends in."""
        decoder, number = json.JSONDecoder(), 0
        text, is_finished = "", False
        for line in self._lines():
            text += line
            if number == 0 and text.lstrip().startswith("["):
                text, number = text.lstrip()[1:], 1
            while True:
                text = text.lstrip().removeprefix(",").lstrip()
                if is_finished and text:
                    raise ValueError(f"{self.path}: there is more after the end of the array, {text[:40]!r}")
                if text.startswith("]"):
                    text, is_finished = text[1:], True
                    continue
                try:
                    value, end = decoder.raw_decode(text)
                except json.JSONDecodeError:
                    break  # it goes on in the next line
                if not isinstance(value, dict):
                    kind = type(value).__name__
                    raise ValueError(f"{self.path}, object {number}: expected a JSON object, found {kind}")
                yield number, value
                text, number = text[end:], number + 1
        if not is_finished:
            raise ValueError(f"{self.path}, object {number}: not valid JSON, {text[:40]!r}")

    def _lines(self) -> Iterator[str]:
        return read_decoded_lines(self.path, self.encoding)


def parse_json(line: str, origin: str) -> dict:
    """The JSON object in a line; `origin` is for messages."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{origin}: not valid JSON ({error})") from error
    if not isinstance(row, dict):
        raise ValueError(f"{origin}: expected a JSON object, found {type(row).__name__}")
    return row
