"""From a split to batches: which examples make up each optimiser step, on each process, and as what tensors."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader

Batch = dict[str, torch.Tensor | list[int]]


class Examples(Protocol):
    """A split in the form in which the model reads it.

    Args:
        labels (`np.ndarray` of shape `(n,)`, int64): true class ids, -100 where unknown.
    """

    labels: np.ndarray

    def __len__(self) -> int: ...

    @property
    def digest(self) -> str:
        """Changes if any example or label does."""

    def batches(
        self, index_lists: Iterable[np.ndarray], class_labels: np.ndarray | None = None, num_workers: int = 0
    ) -> Iterable[Batch]:
        """The examples of each index list as one batch: `class_labels`, `indices`, and the model's inputs."""

    def batches_by_length(self, batch_size: int) -> list[np.ndarray]:
        """All indices, in batches for encoding everything. The same batches at every call."""


@dataclass
class TokenizedSplit:
    """Token ids of every text of a split, with its labels.

    Args:
        token_ids (`list[list[int]]`): ids per text, special tokens included, not padded.
        labels (`np.ndarray` of shape `(n,)`, int64): true class ids, -100 where unknown.
        pad_token_id (`int`): what batches are padded with.
    """

    token_ids: list[list[int]]
    labels: np.ndarray
    pad_token_id: int

    @classmethod
    def of(cls, split, tokenizer, max_length: int) -> "TokenizedSplit":
        token_ids = tokenizer(split.texts, truncation=True, max_length=max_length)["input_ids"]
        return cls(token_ids, np.asarray(split.labels, dtype=np.int64), tokenizer.pad_token_id)

    def __len__(self) -> int:
        return len(self.token_ids)

    @property
    def lengths(self) -> np.ndarray:
        """Number of tokens of each text, `(n,)`."""
        return np.array([len(ids) for ids in self.token_ids])

    @property
    def digest(self) -> str:
        content = hashlib.sha256()
        for ids in self.token_ids:
            content.update(np.asarray([len(ids), *ids], dtype=np.int32).tobytes())
        content.update(self.labels.tobytes())
        return content.hexdigest()[:16]

    def batches(
        self, index_lists: Iterable[np.ndarray], class_labels: np.ndarray | None = None, num_workers: int = 0
    ) -> DataLoader:
        """The examples of each index list as one padded batch, its texts from long to short.

        Args:
            class_labels (`np.ndarray` of shape `(n,)`, *optional*): symbols; defaults to `self.labels`.
            num_workers (`int`, *optional*, defaults to 0): processes that build batches ahead of their use.

        Yields:
            dicts of `input_ids` and `attention_mask`, `(batch, longest text)`, `class_labels` and `indices`, both
            `(batch,)`: all int64 on the CPU, page-locked where there is a GPU to send them to; and `lengths`, the
            texts' numbers of tokens as a list.
        """
        return DataLoader(
            range(len(self)),
            batch_sampler=[list(i) for i in index_lists],
            collate_fn=partial(self.batch, labels=self.labels if class_labels is None else class_labels),
            num_workers=num_workers,
            pin_memory=torch.cuda.is_available(),
        )

    def batch(self, indices: list[int], labels: np.ndarray) -> Batch:
        """Examples as one batch, with these labels of all examples; as [`batches`] yields them."""
        indices = sorted(indices, key=lambda index: -len(self.token_ids[index]))  # as packing wants them
        lengths = [len(self.token_ids[index]) for index in indices]
        is_token = np.arange(lengths[0]) < np.array(lengths)[:, None]
        input_ids = np.full(is_token.shape, self.pad_token_id, dtype=np.int64)
        input_ids[is_token] = np.concatenate([self.token_ids[index] for index in indices])
        return {
            "input_ids": torch.from_numpy(input_ids),
            "attention_mask": torch.from_numpy(is_token.astype(np.int64)),
            "class_labels": torch.from_numpy(labels[indices]),
            "indices": torch.tensor(indices),
            "lengths": lengths,
        }

    def batches_by_length(self, batch_size: int) -> list[np.ndarray]:
        """All indices, in batches of texts of like length: the least padding. The same batches at every call."""
        return _cut(np.argsort(self.lengths, kind="stable"), batch_size)


@dataclass
class PointExamples:
    """The points of a split, with their labels.

    Args:
        points (`np.ndarray` of shape `(n, point_size)`, float32).
        labels (`np.ndarray` of shape `(n,)`, int64): true class ids, -100 where unknown.
    """

    points: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, split) -> "PointExamples":
        return cls(np.ascontiguousarray(split.points, dtype=np.float32), np.asarray(split.labels, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.points)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.points.tobytes() + self.labels.tobytes()).hexdigest()[:16]

    def batches(
        self, index_lists: Iterable[np.ndarray], class_labels: np.ndarray | None = None, num_workers: int = 0
    ) -> Iterable[Batch]:
        """The points of each index list as one batch, in its order.

        Args:
            class_labels (`np.ndarray` of shape `(n,)`, *optional*): symbols; defaults to `self.labels`.
            num_workers (`int`, *optional*): without effect: a batch takes microseconds.

        Yields:
            dicts of `points`, float32 `(batch, point_size)`, `class_labels` and `indices`, int64 `(batch,)`: on the
            CPU.
        """
        points, labels = torch.from_numpy(self.points), self.labels if class_labels is None else class_labels
        labels = torch.from_numpy(labels)
        for indices in index_lists:
            rows = torch.as_tensor(indices)
            yield {"points": points[rows], "class_labels": labels[rows], "indices": rows}

    def batches_by_length(self, batch_size: int) -> list[np.ndarray]:
        """All indices in order, in batches."""
        return _cut(np.arange(len(self)), batch_size)


def _cut(order: np.ndarray, batch_size: int) -> list[np.ndarray]:
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def model_inputs(batch: Batch) -> Batch:
    """What the model, its `encode` and its `infer_symbols` read of a batch, by argument name."""
    return {name: value for name, value in batch.items() if name not in ("class_labels", "indices")}


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with its tensors on `device`; from page-locked memory they go there while the host goes on."""
    return {
        name: value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value
        for name, value in batch.items()
    }


WINDOW = 50  # groups of one length are made within so many, as in transformers' sampler: epochs stay random


def group_by_length(order: np.ndarray, lengths: np.ndarray, group_size: int, rng: np.random.Generator) -> np.ndarray:
    """An epoch's order in which every `group_size` neighbours have texts of like length.

    The order is sorted by length within windows of 50 groups, and all groups are shuffled. Examples that fill no group
    stay at the end.

    Args:
        order (`np.ndarray` of shape `(n,)`): example indices in random order, repeated ones allowed.
        lengths (`np.ndarray`): length of each example's text, by index.
    """
    whole = len(order) - len(order) % group_size
    grouped = order[:whole].copy()
    for start in range(0, whole, WINDOW * group_size):
        window = grouped[start : start + WINDOW * group_size]
        window[:] = window[np.argsort(lengths[window], kind="stable")]
    groups = grouped.reshape(-1, group_size)
    return np.concatenate([rng.permutation(groups).ravel(), order[whole:]])


@dataclass(frozen=True)
class Step:
    """One optimiser step as one process sees it.

    Args:
        micro_batches (`list[np.ndarray]`): example indices of each forward pass of this process.
        weights (`list[float]`): what to multiply each micro-batch's mean loss by, so that their sum, averaged over
            processes, is the mean over all examples of the step.
    """

    micro_batches: list[np.ndarray]
    weights: list[float]


def plan_epoch(
    order: np.ndarray, batch_size: int, *, num_micro_batches: int = 1, num_processes: int = 1, process: int = 0
) -> list[Step]:
    """Cut an epoch's order of examples into optimiser steps; every process gets the same number of forward passes.

    Args:
        order (`np.ndarray` of shape `(n,)`): example indices, the same on every process.
        batch_size (`int`): examples per forward pass of one process. The last step takes what is left.
    """
    step_size = batch_size * num_micro_batches * num_processes
    steps = []
    for start in range(0, len(order), step_size):
        examples = order[start : start + step_size]
        if len(examples) < num_processes:  # no process may be without an example
            examples = np.resize(np.concatenate([examples, order]), num_processes)
        parts = min(-(-len(examples) // (batch_size * num_processes)), len(examples) // num_processes)
        micro_batches = np.array_split(examples, parts * num_processes)[process::num_processes]
        steps.append(Step(micro_batches, [len(m) * num_processes / len(examples) for m in micro_batches]))
    return steps
