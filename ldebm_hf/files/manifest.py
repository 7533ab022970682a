"""The manifest of a folder: size and checksum of every file, written last, and checked before the files are used."""

import json
import zlib
from pathlib import Path
from typing import Any

from .json_objects import read_object

MANIFEST = "manifest.json"


def describe_file(path: Path) -> dict[str, int]:
    """Size in bytes and checksum of a file."""
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return {"size": path.stat().st_size, "crc32": checksum}


def write_manifest(folder: Path, **facts: Any) -> None:
    """
    Write the manifest of a folder that is complete otherwise.

    Args:
        folder (`Path`): The folder. All its files are listed, but no folders in it.
        facts: What the manifest says besides, as values that JSON can hold.
    """
    files = {file.name: describe_file(file) for file in sorted(folder.iterdir()) if file.is_file()}
    files.pop(MANIFEST, None)
    (folder / MANIFEST).write_text(json.dumps({**facts, "files": files}, indent=1), encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any]:
    """
    Read the manifest of a folder, whose `files` are described by their names.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is not what [`write_manifest`] writes.
    """
    manifest = read_object(folder / MANIFEST) or {}
    files = manifest.get("files")
    # A name with a folder in it would make the check read another place.
    if not isinstance(files, dict) or any(Path(name).name != name for name in files):
        raise ValueError(f"{folder / MANIFEST} must hold an object with the files of its folder")
    return manifest


def problem_of(folder: Path) -> str | None:
    """What is wrong with a folder; `None` if every file has the size and checksum that its manifest says."""
    try:
        files = read_manifest(folder)["files"]
    except FileNotFoundError:
        return "it has no manifest" if folder.is_dir() else "there is no such folder"
    except ValueError:
        return "its manifest cannot be read"
    for name, expected in files.items():
        if not (folder / name).is_file():
            return f"{name} is missing"
        if describe_file(folder / name) != expected:
            return f"{name} is not as it was written"
    return None
