"""The batches that a process reads in each optimiser step of an epoch."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from accelerate import Accelerator

from ..pseudo_labels.geometric_clustering import balanced_order
from .batches import Batch, Step, plan_epoch
from .labelled_stream import LabelledStream
from .progress import Progress
from .randomness import Purpose, generator
from .settings import Settings
from .shards import Shard
from .symbols import SymbolAssigner, symbols_of


class StepBatches(NamedTuple):
    """What one process reads in one optimiser step.

    Args:
        micro_batches (`list[Batch]`): the batch of each forward pass.
        weights (`list[float]`): the weights of their losses, as in [`Step`].
        targets (`torch.LongTensor` of shape `(n,)`): for each example of the shard, what its inferred symbol is
            compared with in the log; on the device.
        labelled (`Batch`, *optional*): the step's batch of the labelled stream, if there is such a stream.
    """

    micro_batches: list[Batch]
    weights: list[float]
    targets: torch.Tensor
    labelled: Batch | None = None


class StepPlanner:
    """Orders the examples of an epoch and divides them into the batches of each step.

    Args:
        symbols (`SymbolAssigner`), labelled_stream (`LabelledStream`), settings (`Settings`), progress (`Progress`),
            accelerator (`Accelerator`): the run's.
        some_labels_known (`bool`): whether some training example has a label. Inferred symbols are then compared with
            labels in the log, and otherwise with clusters.
    """

    def __init__(
        self,
        symbols: SymbolAssigner,
        labelled_stream: LabelledStream,
        settings: Settings,
        progress: Progress,
        accelerator: Accelerator,
        some_labels_known: bool,
    ):
        self.symbols, self.labelled_stream, self.settings = symbols, labelled_stream, settings
        self.progress, self.accelerator, self.some_labels_known = progress, accelerator, some_labels_known

    def batches_of(self, shard: Shard, total_steps: int) -> Iterator[StepBatches]:
        """The batches of each remaining step of a shard, or of the run, which has `total_steps` steps.

        What they need is prepared before this returns; that can put the model into evaluation mode.
        """
        progress = self.progress
        steps_done = progress.step_in_epoch - shard.first_step
        if steps_done == 0:
            progress.shard_assignments = self.symbols.assign(shard.split)
        labels = shard.split.labels
        symbols = symbols_of(labels, progress.shard_assignments)
        targets = torch.from_numpy(labels if self.some_labels_known else symbols).to(self.accelerator.device)
        steps = self.plan(symbols, shard.number)[steps_done:]
        steps = steps[: total_steps - progress.step]
        index_lists = [indices for step in steps for indices in step.micro_batches]
        num_workers = self.settings.training.dataloader_num_workers
        if num_workers is None:
            num_workers = 2 if self.accelerator.device.type == "cuda" else 0
        trained_on = self.labelled_stream.symbols_of_other_batches(labels, symbols)
        batches = iter(shard.split.batches(index_lists, trained_on, num_workers))
        labelled = iter(self.labelled_stream.batches(shard.split, progress.step, len(steps)))
        return (
            StepBatches([next(batches) for _ in step.micro_batches], step.weights, targets, next(labelled, None))
            for step in steps
        )

    def plan(self, symbols: np.ndarray, shard_number: int = 0) -> list[Step]:
        """This process's share of each step of a shard whose examples have these symbols, `(n,)`."""
        training = self.settings.training
        rng = generator(training.seed, Purpose.EPOCH_ORDER, self.progress.epoch, shard_number)
        has_clusters = len(self.progress.assignments) > 0
        if has_clusters and self.settings.clustering.balanced_resampling:
            order = balanced_order(symbols, rng)
        else:
            order = rng.permutation(len(symbols))
        return plan_epoch(
            order,
            training.per_device_train_batch_size,
            num_micro_batches=training.gradient_accumulation_steps,
            num_processes=self.accelerator.num_processes,
            process=self.accelerator.process_index,
        )
