"""Several processes: what they share, how long they wait for one another, and what to say when one is gone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from torch.distributed import DistError

GLOO_ERROR = "gloo/transport"  # gloo raises plain RuntimeErrors, which name the source file


class LostProcessError(RuntimeError):
    """Another process of the run has died, or its machine cannot be reached any more.

    Args:
        checkpoint (`Path`, *optional*): the last checkpoint, from which the run can go on.
    """

    def __init__(self, checkpoint: Path | None):
        self.checkpoint = checkpoint
        remedy = "no checkpoint had been written yet, so start all processes again"
        if checkpoint:
            remedy = f"the last checkpoint is {checkpoint}: start all processes again with --resume latest"
        super().__init__(
            f"another process of this run has ended or cannot be reached (its own output says why); {remedy}"
        )


@contextmanager
def lost_process_explained(last_checkpoint: Callable[[], Path | None]) -> Iterator[None]:
    """Turn the errors that a broken or silent connection causes anywhere in the block into `LostProcessError`."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, DistError) or GLOO_ERROR in str(error):
            raise LostProcessError(last_checkpoint()) from error
        raise


def process_group_options(timeout: float) -> InitProcessGroupKwargs:
    """For `Accelerator(kwargs_handlers=...)`: a process that is silent for `timeout` seconds counts as lost."""
    return InitProcessGroupKwargs(timeout=timedelta(seconds=timeout))


def average_running_statistics(model: torch.nn.Module, accelerator: Accelerator) -> None:
    """Give all processes the mean of their batch norms' running means and variances, which each took of its part."""
    if accelerator.num_processes == 1:
        return
    for name, buffer in model.named_buffers():
        if name.endswith((".running_mean", ".running_var")):
            buffer.copy_(accelerator.reduce(buffer, "mean"))
