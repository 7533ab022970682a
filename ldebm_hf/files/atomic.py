"""Writing files and folders so that they are complete or not there, even if the process is killed."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file by calling `write` with a temporary file beside it, which then takes its place.

    If `write` fails, the old file stays.

    Args:
        path (`Path`): The file to write.
        write (`Callable`): Writes the contents to the path that it is given.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write(temporary)
        flush(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, as [`write_file`] does."""
    write_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, as [`write_file`] writes one."""
    write_file(target, lambda temporary: shutil.copyfile(source, temporary))


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Replace a folder by a new one that `write` fills. If `write` fails, the old folder stays.

    The exchange takes two renames. If the process is killed between them, only the old folder is left, under another
    name, and [`restore_folder`] puts it back.

    Args:
        folder (`Path`): The folder to replace; it need not exist.
        write (`Callable`): Writes files into the empty folder that it is given.
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
    """Undo a [`replace_folder`] that was interrupted."""
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
