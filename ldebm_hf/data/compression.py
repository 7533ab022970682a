"""Files opened as bytes, decompressed by the end of their name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")
DAMAGED = (
    EOFError,
    OSError,
    lzma.LZMAError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,  # a compression that zipfile does not know
    RuntimeError,  # an archive with a password
)
"""What the libraries raise for a file that is cut off or not compressed as its name says."""


def inner_name(path: Path) -> str:
    """The name of a file without the ending of its compression; of a .zip archive the name of the file in it.

    Raises:
        ValueError: a .zip archive that is damaged or does not hold exactly one file.
    """
    suffix = path.suffix.lower()
    if suffix == ".zip" and path.is_file():
        return Path(_only_member(path)).name
    return path.name[: -len(suffix)] if suffix in COMPRESSED else path.name


def open_binary(path: Path) -> BinaryIO:
    """The bytes of a file, decompressed."""
    match path.suffix.lower():
        case ".gz":
            return gzip.open(path)
        case ".bz2":
            return bz2.open(path)
        case ".xz":
            return lzma.open(path)
        case ".zst":
            import pyarrow

            return io.BufferedReader(pyarrow.input_stream(str(path), compression="zstd"))
        case ".zip":
            return zipfile.ZipFile(path).open(_only_member(path))
    return open(path, "rb")


def _only_member(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (*DAMAGED, ValueError) as error:  # a name in it may be no text
        raise ValueError(f"{path} is damaged or no .zip archive: {error}") from error
    names = [name for name in names if not name.endswith("/") and not name.startswith("__MACOSX/")]
    if len(names) != 1:
        found = ", ".join(map(repr, names)) or "none"
        raise ValueError(f"{path} must hold one file, found {found}: unpack it and give the path of one")
    return names[0]
