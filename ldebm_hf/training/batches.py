"""Batches of examples as tensors, and which examples each process has in each optimiser step."""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader

from ..model.text_reading import TextReader

Batch = dict[str, torch.Tensor | list[int]]


class Examples(Protocol):
    """A split in the form in which the model reads it.

    Args:
        labels (`np.ndarray` of shape `(n,)`, int64): true class ids, -100 where unknown.
        unread (`str`): what the model does not see of the examples, with counts; empty if that is nothing.
    """

    labels: np.ndarray
    unread: str

    def __len__(self) -> int: ...

    @property
    def digest(self) -> str:
        """A text that changes if any example or label does."""

    def batches(
        self, index_lists: Iterable[np.ndarray], class_labels: np.ndarray | None = None, num_workers: int = 0
    ) -> Iterable[Batch]:
        """The examples of each index list as one batch: the model's inputs, `class_labels` and `indices`."""

    def batches_by_length(self, batch_size: int) -> list[np.ndarray]:
        """The indices of all examples in batches, for encoding all of them. The same batches at every call."""


@dataclass
class TokenizedSplit:
    """The token ids of all texts of a split, with their labels.

    Args:
        token_ids (`list[list[int]]`): ids of each text, with special tokens and without padding.
        labels (`np.ndarray` of shape `(n,)`, int64): true class ids, -100 where unknown.
        pad_token_id (`int`): the token that batches are padded with.
        unread (`str`, *optional*): what the model does not see of the texts, with counts.
        features (`np.ndarray` of shape `(n, size)`, *optional*): vectors of the texts from a frozen encoder.
    """

    token_ids: list[list[int]]
    labels: np.ndarray
    pad_token_id: int
    unread: str = field(default="", kw_only=True)
    features: np.ndarray | None = field(default=None, kw_only=True)

    @classmethod
    def from_split(cls, split, tokenizer, max_length: int, reader: TextReader | None = None) -> "TokenizedSplit":
        """Tokenize the texts of a [`~data.Split`], each cut to `max_length` tokens.

        Args:
            reader ([`TextReader`], *optional*): counts what the model does not see of them, for `unread`.
        """
        batch = tokenizer(split.texts, truncation=True, max_length=max_length)
        examples = cls(batch["input_ids"], np.asarray(split.labels, dtype=np.int64), tokenizer.pad_token_id)
        if reader is not None:
            reader.count(split.texts, batch)
            examples.unread = reader.message
        return examples

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
        """The examples of each index list as one padded batch, with the longest text first.

        Args:
            index_lists: for each batch, the indices of its examples.
            class_labels (`np.ndarray` of shape `(n,)`, *optional*): symbols; defaults to `self.labels`.
            num_workers (`int`, *optional*, defaults to 0): number of processes that prepare batches in advance.

        Yields:
            dicts of `input_ids` and `attention_mask`, `(batch, longest text)`, `class_labels` and `indices`, both
            `(batch,)`, all int64 on the CPU and in page-locked memory if there is a GPU; `lengths`, the numbers of
            tokens of the texts as a list; and `encoder_features`, float32 `(batch, size)`, if there are `features`.
        """
        return DataLoader(
            range(len(self)),
            batch_sampler=[list(i) for i in index_lists],
            collate_fn=partial(self.batch, labels=self.labels if class_labels is None else class_labels),
            num_workers=num_workers,
            pin_memory=torch.cuda.is_available(),
        )

    def batch(self, indices: list[int], labels: np.ndarray) -> Batch:
        """One batch as [`batches`] yields it; `labels` are the labels of all examples, `(n,)`."""
        indices = sorted(indices, key=lambda index: -len(self.token_ids[index]))  # packing needs the longest first
        lengths = [len(self.token_ids[index]) for index in indices]
        is_token = np.arange(lengths[0]) < np.array(lengths)[:, None]
        input_ids = np.full(is_token.shape, self.pad_token_id, dtype=np.int64)
        input_ids[is_token] = np.concatenate([self.token_ids[index] for index in indices])
        batch = {
            "input_ids": torch.from_numpy(input_ids),
            "attention_mask": torch.from_numpy(is_token.astype(np.int64)),
            "class_labels": torch.from_numpy(labels[indices]),
            "indices": torch.tensor(indices),
            "lengths": lengths,
        }
        if self.features is not None:
            batch["encoder_features"] = torch.from_numpy(np.array(self.features[indices]))
        return batch

    def batches_by_length(self, batch_size: int) -> list[np.ndarray]:
        """All indices, in batches of texts of similar length, which need the least padding."""
        return _split_into_batches(np.argsort(self.lengths, kind="stable"), batch_size)


@dataclass
class PointExamples:
    """All points of a split, with their labels.

    Args:
        points (`np.ndarray` of shape `(n, point_size)`, float32).
        labels (`np.ndarray` of shape `(n,)`, int64): true class ids, -100 where unknown.
    """

    points: np.ndarray
    labels: np.ndarray
    unread: ClassVar[str] = ""

    @classmethod
    def from_split(cls, split) -> "PointExamples":
        """The points of a [`~data.PointSplit`]."""
        return cls(np.ascontiguousarray(split.points, dtype=np.float32), np.asarray(split.labels, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.points)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.points.tobytes() + self.labels.tobytes()).hexdigest()[:16]

    def batches(
        self, index_lists: Iterable[np.ndarray], class_labels: np.ndarray | None = None, num_workers: int = 0
    ) -> Iterable[Batch]:
        """The points of each index list as one batch, in the order of the list.

        Args:
            index_lists: for each batch, the indices of its examples.
            class_labels (`np.ndarray` of shape `(n,)`, *optional*): symbols; defaults to `self.labels`.
            num_workers (`int`, *optional*): not used, because a batch takes only microseconds.

        Yields:
            dicts of `points`, float32 `(batch, point_size)`, `class_labels` and `indices`, int64 `(batch,)`, on the
            CPU.
        """
        points = torch.from_numpy(self.points)
        labels = torch.from_numpy(self.labels if class_labels is None else class_labels)
        for indices in index_lists:
            rows = torch.as_tensor(indices)
            yield {"points": points[rows], "class_labels": labels[rows], "indices": rows}

    def batches_by_length(self, batch_size: int) -> list[np.ndarray]:
        """All indices in order, in batches."""
        return _split_into_batches(np.arange(len(self)), batch_size)


def _split_into_batches(order: np.ndarray, batch_size: int) -> list[np.ndarray]:
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def model_inputs(batch: Batch) -> Batch:
    """The entries of a batch that are arguments of the model, its `encode` and its `infer_symbols`."""
    return {name: value for name, value in batch.items() if name not in ("class_labels", "indices")}


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with its tensors on `device`. From page-locked memory they are copied without waiting for it."""
    return {
        name: value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value
        for name, value in batch.items()
    }


@dataclass(frozen=True)
class Step:
    """The share of one process in one optimiser step.

    Args:
        micro_batches (`list[np.ndarray]`): example indices of each of its forward passes.
        weights (`list[float]`): the weight of each micro-batch's mean loss. The weighted sum, averaged over the
            processes, is the mean loss over all examples of the step.
    """

    micro_batches: list[np.ndarray]
    weights: list[float]


def plan_epoch(
    order: np.ndarray, batch_size: int, *, num_micro_batches: int = 1, num_processes: int = 1, process: int = 0
) -> list[Step]:
    """Divide the examples of an epoch, or of a shard of it, into optimiser steps.

    Every process has the same number of forward passes in a step. The last step has the examples that are left.

    Args:
        order (`np.ndarray` of shape `(n,)`): example indices, the same on every process.
        batch_size (`int`): number of examples in a forward pass of one process.
        num_micro_batches (`int`, *optional*, defaults to 1): number of forward passes in a step.
        num_processes (`int`, *optional*, defaults to 1): number of processes.
        process (`int`, *optional*, defaults to 0): the process that the steps are for.
    """
    step_size = batch_size * num_micro_batches * num_processes
    steps = []
    for start in range(0, len(order), step_size):
        examples = order[start : start + step_size]
        if len(examples) < num_processes:  # no process may be without an example
            examples = np.resize(np.concatenate([examples, order]), num_processes)
        num_passes = min(math.ceil(len(examples) / (batch_size * num_processes)), len(examples) // num_processes)
        micro_batches = np.array_split(examples, num_passes * num_processes)[process::num_processes]
        steps.append(Step(micro_batches, [len(m) * num_processes / len(examples) for m in micro_batches]))
    return steps
