"""Checkpoints that are either complete or not there.

Each is written to a temporary folder, gets a manifest of its files, and is then moved into place.
"""

import json
import logging
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import extract_model_from_parallel, gather_object
from safetensors import SafetensorError
from torch import nn

from ..files.atomic import flush, flush_folder, replace

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
WRITE_ERRORS = (OSError, SafetensorError, RuntimeError)  # what Python, safetensors and torch.save raise on a full disk


class CheckpointStore:
    """The checkpoints `step-00000500`, … of one run.

    Args:
        accelerator (`Accelerator`): has the model, optimiser, schedule and registered objects that are saved.
        folder (`Path`): where the checkpoints are.
        limit (`int`): number of checkpoints to keep.
        fingerprint (`dict`): values by name that must be the same for a run to be resumed.
    """

    def __init__(self, accelerator: Accelerator, folder: Path, limit: int, fingerprint: dict[str, Any]):
        self.accelerator, self.folder, self.limit = accelerator, folder, limit
        self.fingerprint = json.loads(json.dumps(fingerprint))
        self.last_good: Path | None = None
        accelerator.register_save_state_pre_hook(_leave_out_base_models)

    def prepare(self) -> None:
        """Make the folder, and remove what an interrupted save or removal has left."""
        if self.accelerator.is_main_process:
            self.folder.mkdir(parents=True, exist_ok=True)
            for leftover in self.folder.glob(".*.tmp"):
                shutil.rmtree(leftover)
        self.accelerator.wait_for_everyone()

    def save(self, step: int) -> Path:
        """Write the checkpoint of a step, and remove the oldest ones beyond the limit. Call it on every process.

        Raises:
            OSError: on every process, if any of them could not write. Older checkpoints stay, and nothing of the new
                one is left.
        """
        final = self.folder / f"step-{step:08d}"
        temporary = self.folder / f".{final.name}.tmp"
        self._on_main_process(lambda: shutil.rmtree(temporary, ignore_errors=True))
        problem = self._attempt(lambda: self.accelerator.save_state(str(temporary)))
        problem = problem or self._attempt(lambda: self._on_main_process(lambda: self._finish(step, temporary, final)))
        if problem:
            self._on_main_process(lambda: shutil.rmtree(temporary, ignore_errors=True))
            raise OSError(f"could not write checkpoint {final}: {problem}")
        self.last_good = final
        return final

    def latest(self) -> Path | None:
        """The newest complete checkpoint, or `None`; warns of each newer one that is damaged."""
        for path in reversed(self.paths()):
            problem = problem_of(path)
            if problem is None:
                return path
            if self.accelerator.is_main_process:
                logger.warning("skipping checkpoint %s: %s", path, problem)
        return None

    def load(self, path: Path) -> None:
        """Restore the run from a checkpoint.

        Raises:
            FileNotFoundError: there is no complete checkpoint at `path`.
            ValueError: the data or the settings differ from those of the run that wrote it.
        """
        problem = problem_of(path)
        if problem is not None:
            raise FileNotFoundError(f"cannot resume from {path}: {problem}")
        saved = json.loads((path / MANIFEST).read_text(encoding="utf-8"))["fingerprint"]
        differences = [
            f"{name} was {saved.get(name)!r} and is now {self.fingerprint.get(name)!r}"
            for name in sorted(saved.keys() | self.fingerprint.keys())
            if saved.get(name) != self.fingerprint.get(name)
        ]
        if differences:
            raise ValueError(f"cannot resume from {path}, which is of another run: {'; '.join(differences)}")
        # Weights of base models are not in the file, and the fingerprint says that they are the same.
        self.accelerator.load_state(str(path), strict=False)
        self.last_good = path

    def paths(self) -> list[Path]:
        """All checkpoints, complete or damaged, oldest first."""
        return sorted(self.folder.glob("step-[0-9]*"))

    def _finish(self, step: int, temporary: Path, final: Path) -> None:
        """Write the manifest, move the checkpoint into place and remove those beyond the limit."""
        files = {file.name: _describe(file) for file in sorted(temporary.iterdir())}
        manifest = {"step": step, "fingerprint": self.fingerprint, "files": files}
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        flush_folder(temporary)
        if final.exists():  # of a run that was resumed from before this step
            shutil.rmtree(final)
        replace(temporary, final)
        flush(self.folder)
        self.last_good = final  # here already, because another process may be lost before it has answered
        up_to_this = [path for path in self.paths() if path.name <= final.name]
        for path in up_to_this[: -self.limit]:
            removed = self.folder / f".{path.name}.tmp"
            replace(path, removed)
            shutil.rmtree(removed, ignore_errors=True)

    def _on_main_process(self, action: Callable[[], None]) -> None:
        if self.accelerator.is_main_process:
            action()

    def _attempt(self, write: Callable[[], Any]) -> str | None:
        """Call `write`, and return on all processes what went wrong on any of them, so that they stay together."""
        self.accelerator.wait_for_everyone()
        problem = None
        try:
            write()
        except WRITE_ERRORS as error:
            problem = str(error)
        return next(filter(None, gather_object([problem])), None)


def _leave_out_base_models(models: list[nn.Module], weights: list[dict[str, Any]], folder: str) -> None:
    """Remove the frozen weights of pretrained encoders and decoders, which never change, from what is saved."""
    for model, state in zip(models, weights, strict=True):
        names = extract_model_from_parallel(model).frozen_base_names()
        for name in [name for name in state if name.removeprefix("module.") in names]:
            del state[name]


def problem_of(path: Path) -> str | None:
    """What is wrong with a checkpoint; `None` if every file has the size and checksum that the manifest says."""
    if not (path / MANIFEST).is_file():
        return "it has no manifest" if path.is_dir() else "there is no such folder"
    try:
        files = json.loads((path / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (ValueError, KeyError):
        return "its manifest cannot be read"
    for name, expected in files.items():
        if not (path / name).is_file():
            return f"{name} is missing"
        if _describe(path / name) != expected:
            return f"{name} is not as it was written"
    return None


def _describe(path: Path) -> dict[str, int]:
    """Size and checksum of a file."""
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return {"size": path.stat().st_size, "crc32": checksum}
