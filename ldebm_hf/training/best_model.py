"""The best model of a run: saved whenever a validation's score is the best so far, and published at the end."""

import logging
from collections.abc import Callable
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import gather_object
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..reports.run_record import greater_is_better
from .checkpoints import WRITE_ERRORS
from .output_folder import OutputFolder
from .progress import Progress
from .training_settings import TrainingSettings

logger = logging.getLogger(__name__)


class BestModel:
    """Keeps `best/` of the output folder and what the run's [`Progress`] says of it in agreement.

    Every process must call each method.

    Args:
        model (`PreTrainedModel`), tokenizer (`PreTrainedTokenizerBase`, *optional*): what is trained.
        folder ([`OutputFolder`]), progress ([`Progress`]), training ([`TrainingSettings`]), accelerator
            (`Accelerator`): the run's. The settings name the metric.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase | None,
        folder: OutputFolder,
        progress: Progress,
        training: TrainingSettings,
        accelerator: Accelerator,
    ):
        self.model, self.tokenizer = model, tokenizer
        self.folder, self.progress, self.training, self.accelerator = folder, progress, training, accelerator
        self.metric = training.metric_for_best_model
        self.greater_is_better = greater_is_better(self.metric, None)

    def offer(self, score: float) -> None:
        """Save the model as it is now if its score is better than that of the saved one, and note the validation."""
        progress = self.progress
        was_saved = progress.is_best(score, self.greater_is_better) and self._save()
        progress.record_validation(
            score,
            was_saved=was_saved,
            greater_is_better=self.greater_is_better,
            patience=self.training.early_stopping_patience,
        )

    def _save(self) -> bool:
        """Save the model as the best so far; returns on all processes whether that succeeded."""
        saved = True
        if self.accelerator.is_main_process:
            try:
                self.folder.save_best(self.model, self.tokenizer, self.progress.step)
            except WRITE_ERRORS as error:
                logger.warning("could not save the best model so far, the previous one stays: %s", error)
                saved = False
        return gather_object([saved])[0]

    def check(self, checkpoint: Path, is_over: bool, say: Callable[[str], None]) -> None:
        """
        Find out whether `best/` holds the model that a checkpoint says. If not, the model of the next validation takes
        its place.

        Args:
            checkpoint (`Path`): the checkpoint that was loaded.
            is_over (`bool`): whether the run has come to its end.
            say (callable): prints a line.

        Raises:
            OSError: the run is over, so that there is no next validation, and the output folder does not hold the
                model either.
        """
        progress, problem, is_published = self.progress, None, False
        if progress.best_step is None:
            return
        if self.accelerator.is_main_process:
            problem = self.folder.problem_of_best(progress.best_step)
            is_published = self.folder.has_published(progress.best_step)
        problem, is_published = gather_object([(problem, is_published)])[0]
        if problem is None or (is_over and is_published):
            return
        lost = f"the best model, of step {progress.best_step}, is not in {self.folder.best} ({problem})"
        if is_over:
            raise OSError(
                f"{lost}, and the run is over: the model of its last step is in {checkpoint}, and larger "
                "--num_train_epochs or --max_steps go on from there"
            )
        say(f"note: {lost}; the model of the next validation takes its place")
        progress.forget_best(self.greater_is_better)

    def publish(self) -> None:
        """
        Put the best model into the output folder. If no validation's model could be saved, it is the model as it is
        now. A better one that could not be saved or kept is named in a warning.

        Raises:
            OSError: the model could not be written, or is not as it was saved.
        """
        if not self.accelerator.is_main_process:
            return
        progress, folder = self.progress, self.folder
        if progress.best_step is None:
            folder.save_best(self.model, self.tokenizer, progress.step)
        is_kept = progress.best_step is not None and folder.has_published(progress.best_step)
        if not is_kept or folder.problem_of_best(progress.best_step) is None:
            folder.publish_best()
        if progress.lost_step is not None:
            logger.warning(
                "the model of step %s had a better %s (%.4g) than the one in %s, but it could not be saved or kept",
                *(progress.lost_step, self.metric, progress.lost_metric, folder.path),
            )
