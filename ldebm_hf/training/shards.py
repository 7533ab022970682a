"""The training examples as the loop sees them: an epoch has one part, all in memory, or many parts of a stream."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from transformers import PreTrainedTokenizerBase

from ..data import Split, StreamedExamples
from .batches import Examples, TokenizedSplit


class Part(NamedTuple):
    """Examples that are shuffled together.

    Args:
        number (`int`): which part of the epoch; first_step (`int`): the epoch's steps before it.
        split (`Examples`): its examples, for a whole number of steps unless it is the last part.
    """

    number: int
    first_step: int
    split: Examples


class TrainingExamples(Protocol):
    """Training examples in parts.

    Args:
        sample (`Examples`): what is clustered at an epoch's start.
        digest (`str`): changes if any example, label or the parts do.
    """

    sample: Examples
    digest: str

    def __len__(self) -> int: ...

    def parts(self, first_step: int) -> Iterator[Part]:
        """What is left of an epoch of which `first_step` steps are done, from the part that step lies in."""


class InMemoryExamples:
    """All examples as one part."""

    def __init__(self, split: Examples):
        self.sample, self.digest = split, split.digest

    def __len__(self) -> int:
        return len(self.sample)

    def parts(self, first_step: int) -> Iterator[Part]:
        yield Part(0, 0, self.sample)


class StreamedTexts:
    """A stream in parts of `part_size` texts (at least one step's, a whole number of steps); memory holds one of them.

    Nothing about the reading need be saved to resume: the part of a step follows from the window sizes.
    """

    def __init__(
        self,
        split: StreamedExamples,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int,
        step_size: int,
        part_size: int,
    ):
        self.split, self.tokenizer, self.max_length = split, tokenizer, max_length
        self.steps_per_part = max(1, part_size // step_size)
        self.part_size = self.steps_per_part * step_size
        self.sample = self._tokenized(split.sample)
        self.digest = f"{split.digest} {self.sample.digest} in parts of {self.part_size}"

    def __len__(self) -> int:
        return len(self.split)

    def parts(self, first_step: int) -> Iterator[Part]:
        number = first_step // self.steps_per_part
        ends = np.cumsum(self.split.window_sizes)
        window = int(np.searchsorted(ends, number * self.part_size, side="right"))
        surplus = number * self.part_size - (int(ends[window - 1]) if window else 0)
        texts, labels = [], []
        for read in self.split.windows(window):
            texts += read.texts[surplus:]
            labels += read.labels[surplus:]
            surplus = 0
            while len(texts) >= self.part_size:
                yield self._part(number, texts[: self.part_size], labels[: self.part_size])
                number, texts, labels = number + 1, texts[self.part_size :], labels[self.part_size :]
        if texts:
            yield self._part(number, texts, labels)

    def _part(self, number: int, texts: list[str], labels: list[int]) -> Part:
        return Part(number, number * self.steps_per_part, self._tokenized(Split(texts, labels)))

    def _tokenized(self, split: Split) -> TokenizedSplit:
        return TokenizedSplit.of(split, self.tokenizer, self.max_length)
