"""A file that is made chunk by chunk: resumable after a kill at any moment, and there only when it is whole.

While it is under way, the folder `.NAME.parts` beside the file holds `request.json`, which says what was asked for,
and one part per finished chunk, each renamed into place when it is whole. A chunk's noise comes from the seed and the
chunk's number alone, so it does not matter which run makes it.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from .atomic import flush, write_text


class ResumableFile:
    """
    The parts of a file, from the request's first chunk to the finished file.

    Args:
        path (`Path`): The file.
        num_chunks (`int`): How many parts it is made of.
        suffix (`str`, *optional*, defaults to `".jsonl"`): Of the parts.
    """

    def __init__(self, path: Path, num_chunks: int, suffix: str = ".jsonl"):
        self.path, self.num_chunks, self.suffix = path, num_chunks, suffix
        self.folder = path.with_name(f".{path.name}.parts")
        self.request = self.folder / "request.json"

    def __getitem__(self, chunk: int) -> Path:
        return self.folder / f"part-{chunk:08d}{self.suffix}"

    @property
    def missing(self) -> list[int]:
        """Chunks that are not finished."""
        return [chunk for chunk in range(self.num_chunks) if not self[chunk].exists()]

    def begin(self, request: dict[str, Any], overwrite: bool = False) -> None:
        """
        Make the folder, or find it as an earlier run of the same request left it.

        Raises:
            ValueError: If a different request with a finished chunk is under way there, and not to be overwritten.
            FileExistsError: If the file exists and is not to be overwritten.
        """
        if self.request.exists():
            earlier = json.loads(self.request.read_text(encoding="utf-8"))
            changes = differences(earlier, json.loads(json.dumps(request)))
            if not changes:
                return
            if not overwrite and any(self.folder.glob(f"part-*{self.suffix}")):
                raise ValueError(
                    f"{self.folder} holds a different request that is not finished: {'; '.join(changes)}. The earlier "
                    "request goes on with it, overwriting discards it, another file leaves it alone"
                )
        shutil.rmtree(self.folder, ignore_errors=True)  # of another request, or what `finish` did not get to remove
        if self.path.exists() and not overwrite:
            raise FileExistsError(f"{self.path} exists already: overwrite it, or choose another file")
        self.folder.mkdir(parents=True)
        write_text(self.request, json.dumps(request, ensure_ascii=False, indent=1))

    def add(self, chunk: int, text: str) -> None:
        """Write a chunk's part."""
        self.attempt(lambda: write_text(self[chunk], text))

    def finish(self, join: Callable[[], Path]) -> None:
        """Make the file of what `join` makes of the parts, a file in their folder, and remove them."""
        self.attempt(lambda: self._put_in_place(join()))
        self.request.unlink()  # first of all, so that a kill leaves no request with holes
        shutil.rmtree(self.folder)

    def attempt(self, write: Callable[[], None]) -> None:
        """Call `write`, and say of an OSError what is finished."""
        try:
            write()
        except OSError as error:
            finished = self.num_chunks - len(self.missing)
            raise OSError(
                f"{self.path} could not be written: {error.strerror}. {finished} of {self.num_chunks} chunks are "
                f"finished and stay in {self.folder}; the same request goes on from there"
            ) from error

    def _put_in_place(self, joined: Path) -> None:
        flush(joined)
        os.replace(joined, self.path)
        flush(self.path.parent)


def chunk_generator(seed: int, chunk: int) -> torch.Generator:
    """A CPU generator of the numbers that belong to a seed and a chunk, both at least 0."""
    (state,) = np.random.SeedSequence([seed, chunk]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state))


def model_digest(model: PreTrainedModel) -> str:
    """A digest of all that is saved with a model and decides what it computes."""
    settings = [config.to_diff_dict() for config in (model.config, model.generation_config)]
    for values in settings:
        values.pop("transformers_version", None)
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def differences(earlier: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """One phrase for each name that does not have the same value in both."""
    names = [*earlier, *(name for name in now if name not in earlier)]
    return [
        f"{name} was {earlier.get(name)!r} and is now {now.get(name)!r}"
        for name in names
        if earlier.get(name) != now.get(name)
    ]
