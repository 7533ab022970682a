"""A file that is written in chunks: it can be continued after a kill at any moment, and appears when it is complete.

Until then, the folder `.NAME.parts` beside the file holds `request.json`, which says what was asked for, one file for
each finished chunk, and `checksums.jsonl` with their sizes and checksums, by which a chunk that is not as it was
written counts as missing. The random numbers of a chunk depend only on the seed and the number of the chunk, so it
does not matter which run makes it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .atomic import flush, replace, write_text
from .json_objects import read_object
from .locks import WriteLock
from .manifest import describe_file

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class ResumableFile:
    """
    A file that is written chunk by chunk. `file[chunk]` is the path of the file of one chunk. From [`begin`] to
    [`finish`] its writer holds `file.lock`.

    Args:
        path (`Path`): The file.
        num_chunks (`int`): Number of chunks.
        suffix (`str`, *optional*, defaults to `".jsonl"`): Suffix of the files of the chunks.
    """

    def __init__(self, path: Path, num_chunks: int, suffix: str = ".jsonl"):
        self.path, self.num_chunks, self.suffix = path, num_chunks, suffix
        self.folder = path.with_name(f".{path.name}.parts")
        self.request = self.folder / "request.json"
        self.checksums = self.folder / "checksums.jsonl"
        self.lock = WriteLock(path.with_name(f".{path.name}.lock"), path)

    def __getitem__(self, chunk: int) -> Path:
        return self.folder / f"part-{chunk:08d}{self.suffix}"

    @property
    def missing(self) -> list[int]:
        """The numbers of the chunks that are not finished, or not as they were written."""
        written = self._read_checksums()
        return [chunk for chunk in range(self.num_chunks) if not _is_whole(self[chunk], written)]

    def is_whole(self, path: Path) -> bool:
        """Whether a file that [`write`] has written is there, as it was written."""
        return _is_whole(path, self._read_checksums())

    def begin(self, request: dict[str, Any], overwrite: bool = False) -> None:
        """
        Make the folder for the chunks, or continue with the folder that the same request has left.

        Args:
            request (`dict`): Everything that the contents of the file depend on, as values that JSON can hold.
            overwrite (`bool`, *optional*, defaults to `False`): Replace an existing file, and discard the chunks of a
                different request.

        Raises:
            ValueError: There are finished chunks of a different request, or of one that cannot be read, and
                `overwrite` is false.
            FileExistsError: The file exists, and `overwrite` is false.
        """
        if self.request.exists():
            earlier = read_object(self.request)
            if earlier is None:
                changes = ["its request.json cannot be read"]
            else:
                changes = differences(earlier, json.loads(json.dumps(request)))
            if not changes:
                # without a line that a kill has cut short, to which the next one would be appended
                lines = [_checksum_line(*item) for item in self._read_checksums().items()]
                write_text(self.checksums, "".join(lines))
                return
            if not overwrite and any(self.folder.glob(f"part-*{self.suffix}")):
                raise ValueError(
                    f"{self.folder} holds a different request that is not finished: {'; '.join(changes)}. The earlier "
                    "request continues it, overwriting discards it, and writing to another file keeps it"
                )
        shutil.rmtree(self.folder, ignore_errors=True)  # of another request, or left by an interrupted `finish`
        if self.path.exists() and not overwrite:
            raise FileExistsError(f"{self.path} exists already: overwrite it, or choose another file")
        self.folder.mkdir(parents=True)
        write_text(self.request, json.dumps(request, ensure_ascii=False, indent=1))

    def add(self, chunk: int, text: str) -> None:
        """Write the text of a finished chunk."""
        self.write(self[chunk], text)

    def write(self, path: Path, text: str) -> None:
        """Write a text file in the folder of the chunks, with its checksum."""
        self.attempt(lambda: self._write_with_checksum(path, text))

    def finish(self, join: Callable[[], Path]) -> None:
        """Put the finished file into place and remove the chunks.

        Args:
            join (`Callable`): Joins the chunks to a file in their folder and returns its path.

        Raises:
            OSError: The file could not be written, or a chunk is not as it was written.
        """
        if damaged := self.missing:
            raise OSError(
                f"{self.path} could not be written: {len(damaged)} of {self.num_chunks} chunks in {self.folder} are "
                f"not as they were written, the first is {self[damaged[0]].name}; the same request makes them again"
            )
        self.attempt(lambda: self._put_in_place(join()))
        self.request.unlink()  # before the chunks, so that a kill leaves no request without some of them
        shutil.rmtree(self.folder)

    def attempt(self, write: Callable[[], None]) -> None:
        """Call `write`. If it raises an OSError, add to its message what is finished."""
        try:
            write()
        except OSError as error:
            finished = self.num_chunks - len(self.missing)
            reason = error.strerror or error
            raise OSError(
                f"{self.path} could not be written: {reason}. {finished} of {self.num_chunks} chunks are "
                f"finished and stay in {self.folder}; the same request continues from there"
            ) from error

    def _write_with_checksum(self, path: Path, text: str) -> None:
        write_text(path, text)
        with self.checksums.open("a", encoding="utf-8") as file:
            file.write(_checksum_line(path.name, describe_file(path)))

    def _read_checksums(self) -> dict[str, Any]:
        """Sizes and checksums by the names of files, of those lines of `checksums.jsonl` that are whole."""
        checksums: dict[str, Any] = {}
        content = self.checksums.read_bytes() if self.checksums.exists() else b""
        for line in content.splitlines():
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict):
                checksums |= found
        return checksums

    def _put_in_place(self, joined: Path) -> None:
        flush(joined)
        replace(joined, self.path)
        flush(self.path.parent)


def _checksum_line(name: str, checksum: dict[str, int]) -> str:
    return json.dumps({name: checksum}) + "\n"


def _is_whole(path: Path, checksums: dict[str, Any]) -> bool:
    return path.exists() and describe_file(path) == checksums.get(path.name)


def chunk_generator(seed: int, chunk: int) -> torch.Generator:
    """A random generator on the CPU for one chunk. `seed` and `chunk` must be at least 0."""
    (state,) = np.random.SeedSequence([seed, chunk]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state))


def model_digest(model: PreTrainedModel) -> str:
    """A digest of the configuration, generation settings and weights of a model."""
    settings = [config.to_diff_dict() for config in (model.config, model.generation_config)]
    for values in settings:
        values.pop("transformers_version", None)
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def differences(earlier: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """A phrase for each name that has different values in two requests."""
    names = [*earlier, *(name for name in now if name not in earlier)]
    return [
        f"{name} was {earlier.get(name)!r} and is now {now.get(name)!r}"
        for name in names
        if earlier.get(name) != now.get(name)
    ]
