"""Files and folders that appear whole or not at all, whenever the process may be killed."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """Make a file by calling `write` with the name of a temporary one beside it; on an error the old one stays."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write(temporary)
        flush(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) by way of a temporary one beside it."""
    write_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def copy_file(source: Path, target: Path) -> None:
    """Copy a file by way of a temporary one beside the target."""
    write_file(target, lambda temporary: shutil.copyfile(source, temporary))


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Replace `folder` by what `write` puts into an empty one; on an error the old one stays.

    Two renames make the exchange, so a kill between them leaves only the old folder under another name:
    `restore_folder` puts it back.
    """
    new, old = folder.with_name(f".{folder.name}.tmp"), folder.with_name(f".{folder.name}.old")
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir(parents=True)
        write(new)
        flush_folder(new)
        if folder.exists():
            os.replace(folder, old)
        os.replace(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def restore_folder(folder: Path) -> None:
    """Undo a `replace_folder` that was cut short."""
    old = folder.with_name(f".{folder.name}.old")
    if old.exists() and not folder.exists():
        os.replace(old, folder)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(folder.with_name(f".{folder.name}.tmp"), ignore_errors=True)


def flush_folder(folder: Path) -> None:
    """Make sure that the files of a folder, and the folder itself, are on the disk."""
    for path in folder.iterdir():
        if path.is_file():
            flush(path)
    flush(folder)


def flush(path: Path) -> None:
    """Make sure that a file's contents, or a folder's list of names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
