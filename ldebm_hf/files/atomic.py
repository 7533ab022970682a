"""Writing files and folders so that they are complete or not there, even if the process is killed."""

import errno
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

WAITS = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds to wait before a rename is tried again: virus scanners and indexing services hold a new file for moments."""
LASTING = {errno.ENOENT, errno.ENOSPC, errno.EROFS, errno.EXDEV, errno.ENAMETOOLONG}
"""Errors that do not go away by waiting."""


class RenameError(OSError):
    """A file or folder could not be renamed. Both the old and the new one are still there."""


def replace(source: Path, target: Path) -> None:
    """
    Rename a file or folder, as `os.replace` does. If that fails, for instance because another program has it open, it
    is tried again a few times within two seconds.

    Args:
        source (`Path`): The file or folder.
        target (`Path`): Its new path. A file that is there is replaced.

    Raises:
        RenameError: It failed every time; the message names both paths.
    """
    for wait in (*WAITS, None):
        try:
            os.replace(source, target)
            return
        except OSError as error:
            if wait is None or error.errno in LASTING:
                raise RenameError(
                    f"{source} could not be renamed to {target}: {error.strerror or error}. Both are as they "
                    "were; if another program has one of them open, close it there and try again"
                ) from error
        time.sleep(wait)


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file by calling `write` with a temporary file beside it, which then takes its place.

    If `write` fails, the old file stays. If the last step fails, the renaming, both files stay.

    Args:
        path (`Path`): The file to write.
        write (`Callable`): Writes the contents to the path that it is given.

    Raises:
        RenameError: The temporary file could not take the file's place.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write(temporary)
        flush(temporary)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    replace(temporary, path)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, as [`write_file`] does."""
    write_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, as [`write_file`] writes one."""
    write_file(target, lambda temporary: shutil.copyfile(source, temporary))


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Replace a folder by a new one that `write` fills. If `write` fails, the old folder stays. If the renaming fails,
    the old folder stays in its place, and the new one beside it.

    The exchange takes two renames. If the process is killed between them, only the old folder is left, under another
    name, and [`restore_folder`] puts it back.

    Args:
        folder (`Path`): The folder to replace; it need not exist.
        write (`Callable`): Writes files into the empty folder that it is given.

    Raises:
        RenameError: The new folder could not take the old one's place.
    """
    new, old = folder.with_name(f".{folder.name}.tmp"), folder.with_name(f".{folder.name}.old")
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir(parents=True)
        write(new)
        flush_folder(new)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        replace(folder, old)
    try:
        replace(new, folder)
    except RenameError:
        if old.exists():
            replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def restore_folder(folder: Path) -> None:
    """Undo a [`replace_folder`] that was interrupted."""
    old = folder.with_name(f".{folder.name}.old")
    if old.exists() and not folder.exists():
        replace(old, folder)
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
