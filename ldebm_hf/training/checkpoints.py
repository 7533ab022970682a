"""Checkpoints that are either complete or not there.

Each is written to a temporary folder, gets a manifest of its files, and is then moved into place.
"""

import json
import logging
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from accelerate import Accelerator
from accelerate.utils import DistributedType, gather_object
from accelerate.utils import load as load_tensors
from safetensors import SafetensorError
from torch import nn

from ..files.atomic import flush, flush_folder, replace
from ..files.manifest import problem_of, read_manifest, write_manifest
from .fingerprint import NOT_IN_EARLIER_RUNS
from .progress import Progress

logger = logging.getLogger(__name__)

PICKLED_STATE = "custom_checkpoint_*.pkl"
"""Files that Accelerate's `load_state` reads without `weights_only`, so that they can run any code."""
READ_BY_OTHERS = (DistributedType.DEEPSPEED, DistributedType.FSDP, DistributedType.MEGATRON_LM)
"""Ways of training whose checkpoints Accelerate leaves to other libraries."""
WEIGHTS, RANDOM_STATES = "model.safetensors", "random_states_*.pkl"
WRITE_ERRORS = (OSError, SafetensorError, RuntimeError)  # what Python, safetensors and torch.save raise on a full disk


class CheckpointStore:
    """The checkpoints `step-00000500`, … of one run.

    Nothing in a checkpoint can run code when it is loaded: weights and progress are safetensors and JSON. What
    Accelerate writes of the optimiser, the schedule, the loss scale and the random numbers is read as tensors and
    plain values only (`weights_only` of `torch.load`).

    Args:
        accelerator (`Accelerator`): has the model, optimiser and schedule that are saved. No object may be registered
            with it for checkpointing.
        folder (`Path`): where the checkpoints are.
        limit (`int`): number of checkpoints to keep.
        fingerprint (`dict`): values by name that must be the same for a run to be resumed.
        progress ([`Progress`]): the run's, saved and loaded too.
        left_out (iterable of `str`, *optional*): tensors of the model that are not saved, because they never change:
            the frozen weights of pretrained encoders and decoders.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        folder: Path,
        limit: int,
        fingerprint: dict[str, Any],
        progress: Progress,
        left_out: Iterable[str] = (),
    ):
        self.accelerator, self.folder, self.limit, self.progress = accelerator, folder, limit, progress
        self.fingerprint = json.loads(json.dumps(fingerprint))
        self.last_good: Path | None = None
        self.left_out = frozenset(left_out)
        accelerator.register_save_state_pre_hook(self._leave_out)

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
            ValueError: the data or the settings differ from those of the run that wrote it, or a file holds something
                other than tensors and plain values.
        """
        problem = problem_of(path)
        if problem is not None:
            raise FileNotFoundError(f"cannot resume from {path}: {problem}")
        refuse_pickles(path)
        if self.accelerator.distributed_type in READ_BY_OTHERS:
            raise ValueError(
                f"cannot resume from {path} with {self.accelerator.distributed_type.value}, whose own reader of "
                "checkpoints can run code: use plain processes in `accelerate config`"
            )
        saved = read_manifest(path).get("fingerprint")
        if not isinstance(saved, dict):
            raise ValueError(f"cannot resume from {path}: its manifest does not say which run it is of")
        differences = [
            f"{name} was {saved.get(name)!r} and is now {self.fingerprint.get(name)!r}"
            for name in sorted(saved.keys() | self.fingerprint.keys())
            if (name in saved or name not in NOT_IN_EARLIER_RUNS)
            and saved.get(name) != self.fingerprint.get(name)
        ]
        if differences:
            raise ValueError(f"cannot resume from {path}, which is of another run: {'; '.join(differences)}")
        try:
            for file in path.glob(RANDOM_STATES):  # here, because Accelerate goes on without those it cannot read
                load_tensors(file)
            self.accelerator.load_state(str(path), strict=not self.left_out)
        except UnpicklingError as error:
            raise ValueError(
                f"cannot resume from {path}: a file of it holds something other than tensors and plain values, which "
                "is not read because it could run any code"
            ) from error
        self.progress.load(path)
        self.last_good = path

    def _leave_out(self, models: list[nn.Module], weights: list[dict[str, Any]], folder: str) -> None:
        """Remove what is left out from the state dicts that Accelerate is about to save."""
        for state in weights:
            for name in [name for name in state if name.removeprefix("module.") in self.left_out]:
                del state[name]

    def paths(self) -> list[Path]:
        """All checkpoints, complete or damaged, oldest first."""
        return sorted(self.folder.glob("step-[0-9]*"))

    def _finish(self, step: int, temporary: Path, final: Path) -> None:
        """Write the progress and the manifest, move the checkpoint into place and remove those beyond the limit."""
        self.progress.save(temporary)
        write_manifest(temporary, step=step, fingerprint=self.fingerprint)
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


def refuse_pickles(path: Path) -> None:
    """Raise a ValueError if loading a checkpoint would read a pickle that could run code, or pickled weights."""
    for file in sorted(path.glob(PICKLED_STATE)):
        raise ValueError(
            f"cannot resume from {path}: {file.name} is a pickle, as earlier versions wrote it, which is not read "
            "because it could run any code; start the run again with --overwrite_output_dir true"
        )
    if not (path / WEIGHTS).is_file():
        raise ValueError(f"cannot resume from {path}: it has no {WEIGHTS}, and other files of weights are not read")
