"""Training on several processes: the accelerator, what they share, and errors when one of them is lost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from torch.distributed import DistError

from .errors import LostProcessError
from .training_settings import TrainingSettings

GLOO_ERROR = "gloo/transport"  # gloo raises plain RuntimeErrors, whose text names its source file


@contextmanager
def lost_process_explained(last_checkpoint: Callable[[], Path | None]) -> Iterator[None]:
    """Turn errors of a broken connection, or of one that has timed out, in this block into a [`LostProcessError`]."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, DistError) or GLOO_ERROR in str(error):
            raise LostProcessError(last_checkpoint()) from error
        raise


def build_accelerator(training: TrainingSettings) -> Accelerator:
    """The accelerator of a run: precision, trackers, and how long processes wait for one another."""
    trackers = [name.strip() for name in training.report_to.split(",") if name.strip() not in ("", "none")]
    return Accelerator(
        mixed_precision=training.mixed_precision,
        step_scheduler_with_optimizer=False,
        log_with=trackers or None,
        project_dir=Path(training.output_dir),
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(seconds=training.ddp_timeout))],
    )


def average_running_statistics(model: torch.nn.Module, accelerator: Accelerator) -> None:
    """Average the running means and variances of batch norms, which each process has of its own examples."""
    if accelerator.num_processes == 1:
        return
    for name, buffer in model.named_buffers():
        if name.endswith((".running_mean", ".running_var")):
            buffer.copy_(accelerator.reduce(buffer, "mean"))
