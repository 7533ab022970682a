"""The folder of a running page for what visitors upload and for the pictures of answers."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from ..files.locks import WriteLock

FOLDERS = "ldebm_page_"
"""How the names of the folders of pages begin."""
LOCK, FILES = ".lock", "files"
YOUNGEST_ABANDONED = 60.0
"""Seconds. A younger folder may be one whose page has not locked it yet."""


class VisitorFiles:
    """
    A temporary folder that is removed when the page ends, as a context manager.

    A page that is killed cannot remove its folder. The operating system frees the folder's lock then, and the next
    page that is started on the machine removes it.

    Args:
        parent (`Path`, *optional*): Where the folder is made; defaults to the environment variable `GRADIO_TEMP_DIR`,
            or the folder of the system for temporary files.
    """

    def __init__(self, parent: Path | None = None):
        self.parent = parent or Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
        self.parent.mkdir(parents=True, exist_ok=True)
        self._remove_abandoned_folders()
        self._place = Path(tempfile.mkdtemp(prefix=FOLDERS, dir=self.parent)).resolve()
        self._lock = WriteLock(self._place / LOCK, self._place)
        self._lock.acquire()
        self.folder = self._place / FILES
        self.folder.mkdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove the folder, also if an answer is writing to it."""
        self._lock.release()
        for _ in range(10):
            shutil.rmtree(self._place, ignore_errors=True)
            if not self._place.exists():
                break
            time.sleep(0.05)

    def _remove_abandoned_folders(self) -> None:
        for folder in self.parent.glob(f"{FOLDERS}*"):
            try:
                if time.time() - folder.stat().st_mtime > YOUNGEST_ABANDONED:
                    with WriteLock(folder / LOCK, folder):  # the page that made it has ended
                        shutil.rmtree(folder, ignore_errors=True)
            except OSError:  # its page is running, it belongs to another user, or another page has just removed it
                continue
