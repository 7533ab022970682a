"""The folder of a run: what lies where, and which of it belongs to an earlier run."""

import filecmp
import shutil
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import SAFE_WEIGHTS_NAME

from ..files.atomic import copy_file, replace_folder, restore_folder
from ..reports.run_record import ABOUT_THE_MODEL, CURVES, FACTS, METRICS, SETTINGS


class OutputFolder:
    """Paths of `settings.yaml`, `run.json`, `metrics.jsonl`, `curves.png`, `checkpoints/` and `best/` below `path`.

    At the end of a run `path` holds the best model itself too.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.settings = self.path / SETTINGS
        self.facts = self.path / FACTS
        self.metrics = self.path / METRICS
        self.curves = self.path / CURVES
        self.checkpoints = self.path / "checkpoints"
        self.best = self.path / "best"

    def refuse_earlier_run(self) -> None:
        """Raise ValueError if an earlier run left a model or a checkpoint, which a new run would overwrite."""
        if self.best.exists() or any(self.checkpoints.glob("step-*")):
            raise ValueError(
                f"output_dir {str(self.path)!r} holds an earlier run: --resume latest goes on with it, "
                "--overwrite_output_dir true discards it, another --output_dir leaves it alone"
            )

    def discard_earlier_run(self) -> None:
        """Remove an earlier run's checkpoints, best model and metrics."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        shutil.rmtree(self.best, ignore_errors=True)
        self.metrics.unlink(missing_ok=True)

    def repair(self) -> None:
        """Make the folder, and put right what an interrupted `save_best` left."""
        self.path.mkdir(parents=True, exist_ok=True)
        restore_folder(self.best)

    def save_best(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None) -> None:
        """Replace `best/` by this model, with its tokenizer if it has one; if that fails, the one before stays."""

        def write(folder: Path) -> None:
            model.save_pretrained(folder)
            if tokenizer is not None:
                tokenizer.save_pretrained(folder)

        replace_folder(self.best, write)

    def publish_best(self) -> None:
        """Copy the best model's files into the folder itself, so that `from_pretrained` finds them there.

        What scripts found out about another model that was there goes.
        """
        weights = [folder / SAFE_WEIGHTS_NAME for folder in (self.path, self.best)]
        if all(file.exists() for file in weights) and not filecmp.cmp(*weights, shallow=False):
            for file in (file for pattern in ABOUT_THE_MODEL for file in self.path.glob(pattern)):
                file.unlink(missing_ok=True)
        for file in self.best.iterdir():
            copy_file(file, self.path / file.name)
