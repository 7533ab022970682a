"""The folder of a run: where its files are, and what happens to those of an earlier run."""

from __future__ import annotations

import filecmp
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from transformers.utils import SAFE_WEIGHTS_NAME

from ..files.atomic import copy_file, replace_folder, restore_folder
from ..files.json_objects import read_object
from ..files.locks import WriteLock
from ..files.manifest import MANIFEST, describe_file, problem_of, read_manifest, write_manifest
from ..reports.run_record import ABOUT_THE_MODEL, CURVES, ESTIMATOR, FACTS, METRICS, SETTINGS

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CHECKPOINTS, BEST = "checkpoints", "best"
"""Folders in that of a run."""


class OutputFolder:
    """The paths of `settings.yaml`, `run.json`, `metrics.jsonl`, `curves.png`, `checkpoints/` and `best/` in a folder.

    At the end of a run the folder also holds the files of the best model, and their manifest. While a run writes to
    it, the run's main process holds `lock`.

    Args:
        path (`str` or `Path`): the folder.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.settings = self.path / SETTINGS
        self.facts = self.path / FACTS
        self.metrics = self.path / METRICS
        self.curves = self.path / CURVES
        self.checkpoints = self.path / CHECKPOINTS
        self.best = self.path / BEST
        self.lock = WriteLock(self.path / ".lock", self.path)

    def refuse_earlier_run(self) -> None:
        """Raise a ValueError if there is a model or checkpoint of an earlier run, which a new run would overwrite."""
        if self.best.exists() or any(self.checkpoints.glob("step-*")):
            raise ValueError(
                f"output_dir {str(self.path)!r} holds an earlier run: --resume latest continues it, "
                "--overwrite_output_dir true discards it, and another --output_dir keeps it"
            )

    def refuse_other_groups(self, symbol_groups: list[int] | None) -> None:
        """
        Raise a ValueError if symbols of the model in the folder were merged after its training, which going on with
        that would undo.

        Args:
            symbol_groups (`list[int]`, *optional*): Those of the run, as in `LDEBMConfig`.
        """
        config = self.path / "config.json"
        saved = (read_object(config) or {}).get("symbol_groups") if config.is_file() else None
        if saved is not None and saved != symbol_groups:
            raise ValueError(
                f"output_dir {str(self.path)!r} holds a model whose symbols were merged, and its training goes on "
                f"with the separate ones: copy {self.best / 'config.json'} over its config.json to separate them, "
                "and merge them again after the training"
            )

    def discard_earlier_run(self) -> None:
        """Remove the checkpoints, the best model, the metrics, the manifest and the estimator of an earlier run."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        shutil.rmtree(self.best, ignore_errors=True)
        for file in (self.metrics, self.path / MANIFEST, self.path / ESTIMATOR):
            file.unlink(missing_ok=True)

    def repair(self) -> None:
        """Make the folder, and undo an interrupted `save_best`."""
        self.path.mkdir(parents=True, exist_ok=True)
        restore_folder(self.best)

    def save_best(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, step: int) -> None:
        """Replace `best/` by the model of a step and its tokenizer, if it has one, with a manifest. If that fails, the
        previous one stays."""

        def write(folder: Path) -> None:
            model.save_pretrained(folder)
            if tokenizer is not None:
                tokenizer.save_pretrained(folder)
            write_manifest(folder, step=step)

        replace_folder(self.best, write)

    def problem_of_best(self, step: int) -> str | None:
        """What is wrong with `best/`, which should hold the model of a step; `None` if nothing is."""
        return _problem_of_model(self.best, step)

    def has_published(self, step: int) -> bool:
        """Whether the folder itself holds the model of a step, as it was copied from `best/`."""
        return _problem_of_model(self.path, step) is None

    def publish_best(self) -> None:
        """Copy the files of the best model into the folder itself, where `from_pretrained` finds them.

        If the folder holds another model, the scores and reports about that model are removed.

        Raises:
            OSError: The files in `best/` are not as they were written, and nothing was copied; or a copy is not.
        """
        if problem := problem_of(self.best):
            raise OSError(f"the best model cannot be copied from {self.best}: {problem}")
        old_weights, new_weights = self.path / SAFE_WEIGHTS_NAME, self.best / SAFE_WEIGHTS_NAME
        both_exist = old_weights.exists() and new_weights.exists()
        if both_exist and not filecmp.cmp(old_weights, new_weights, shallow=False):
            for pattern in ABOUT_THE_MODEL:
                for file in self.path.glob(pattern):
                    file.unlink(missing_ok=True)
        files = read_manifest(self.best)["files"]
        (self.path / MANIFEST).unlink(missing_ok=True)  # which from now on is of another model
        for name in files:
            copy_file(self.best / name, self.path / name)
        copy_file(self.best / MANIFEST, self.path / MANIFEST)
        for name, expected in files.items():
            if describe_file(self.path / name) != expected:
                raise OSError(f"{self.path / name} is not as it was written: the disk may be damaged")


def _problem_of_model(folder: Path, step: int) -> str | None:
    problem = problem_of(folder)
    if problem is None and (found := read_manifest(folder).get("step")) != step:
        problem = f"it holds the model of step {found}"
    return problem
