"""How the characters of a text file are encoded, and the file opened accordingly."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import TextIO


def recognise_encoding(path: Path, notes: list[str]) -> str:
    """The encoding of a text file, which is read once for it. Lines that are not valid are counted in `notes`.

    Raises:
        FileNotFoundError: there is no such file; the message names its path.
        ValueError: the file is UTF-16.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no such file: looked for {path.absolute()}")
    num_bad_lines = 0
    with open(path, "rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise ValueError(f"{path} is UTF-16: save it as UTF-8")
        file.seek(0)
        for line in file:
            num_bad_lines += not _is_utf8(line)
    if num_bad_lines:
        notes.append(f"{path.name}: {num_bad_lines:,} lines with bytes that are not UTF-8 (they became U+FFFD)")
    return "utf-8-sig"


def open_text(path: Path, encoding: str, newline: str | None = None) -> TextIO:
    """The file as text; invalid bytes become U+FFFD."""
    return open(path, encoding=encoding, errors="replace", newline=newline)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
