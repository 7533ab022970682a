"""Locks that keep two runs from writing to the same place, and say which run is in the way."""

import json
import os
import socket
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from .atomic import write_text


class InUseError(OSError):
    """Another process writes to the same place."""


class WriteLock:
    """
    The right of one process to write to a place, as a context manager.

    The operating system holds the lock and lets go of it when the process ends, however it ends. Which process that is
    stands in a file beside the lock, `NAME.json`. Both files are removed when the lock is released; those that a
    killed process has left hinder nobody.

    Args:
        path (`Path`): The file of the lock, such as `outputs/mine/.lock`. Its folder is made if it does not exist.
        place (`Path`): What the lock is about, for error messages.

    Raises:
        InUseError: On entering, if another process has the lock.
    """

    def __init__(self, path: Path, place: Path):
        self.path, self.place = path, place
        self.owner = path.with_name(f"{path.name}.json")
        self._lock = FileLock(path, thread_local=False)

    def acquire(self) -> None:
        """Take the lock, or raise InUseError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise InUseError(
                f"{self.place} is in use by {self._describe_owner()}: wait until it has ended, stop it, or choose "
                "another place"
            ) from None
        now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        write_text(self.owner, json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": now}) + "\n")

    def release(self) -> None:
        """Let go of the lock, if this process has it."""
        if not self._lock.is_locked:
            return
        for file in (self.owner, self.path):  # before the release, so that no other process's files are removed
            with suppress(OSError):
                file.unlink(missing_ok=True)
        self._lock.release()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def _describe_owner(self) -> str:
        try:
            owner = json.loads(self.owner.read_text(encoding="utf-8"))
            return f"process {owner['pid']} on {owner['host']}, since {owner['since']}"
        except (OSError, ValueError, KeyError, TypeError):  # it has the lock and has not said yet who it is
            return "another process"
