"""The training examples as the loop reads them: one shard that is all in memory, or many shards of a stream."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from transformers import PreTrainedTokenizerBase

from ..data import Split, StreamedExamples
from ..model.text_reading import TextReader
from .batches import Examples, TokenizedSplit
from .features import FeatureCache


class Shard(NamedTuple):
    """Examples that are shuffled together.

    Args:
        number (`int`): position of the shard in the epoch, from 0.
        first_step (`int`): number of steps of the epoch before this shard.
        split (`Examples`): its examples, enough for a whole number of steps unless it is the last shard.
    """

    number: int
    first_step: int
    split: Examples


class TrainingExamples(Protocol):
    """Training examples in shards.

    Args:
        sample (`Examples`): the examples that are clustered at the start of an epoch.
        digest (`str`): changes if any example, any label or the division into shards does.
    """

    sample: Examples
    digest: str

    def __len__(self) -> int: ...

    def shards(self, first_step: int) -> Iterator[Shard]:
        """The rest of an epoch of which `first_step` steps are done, from the shard that this step lies in."""


class InMemoryExamples:
    """All examples as one shard."""

    def __init__(self, split: Examples):
        self.sample, self.digest = split, split.digest

    def __len__(self) -> int:
        return len(self.sample)

    def shards(self, first_step: int) -> Iterator[Shard]:
        yield Shard(0, 0, self.sample)


class StreamedTexts:
    """A stream of texts in shards, one of which is in memory at a time.

    To resume, nothing about the reading has to be saved: which shard a step lies in follows from the window sizes.

    Args:
        split (`StreamedExamples`): the texts.
        tokenizer (`PreTrainedTokenizerBase`): the model's.
        max_length (`int`): longer texts are cut to this number of tokens.
        step_size (`int`): number of texts in an optimiser step.
        shard_size (`int`): number of texts in a shard, rounded down to whole steps, but at least one step.
        reader ([`TextReader`], *optional*): counts what the model does not see of the sample.
        features ([`FeatureCache`], *optional*): gives the texts their vectors, for a frozen pretrained encoder.
    """

    def __init__(
        self,
        split: StreamedExamples,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int,
        step_size: int,
        shard_size: int,
        reader: TextReader | None = None,
        features: FeatureCache | None = None,
    ):
        self.split, self.tokenizer, self.max_length = split, tokenizer, max_length
        self.steps_per_shard = max(1, shard_size // step_size)
        self.shard_size = self.steps_per_shard * step_size
        self.cache = features
        self.sample = self._with_features(TokenizedSplit.from_split(split.sample, tokenizer, max_length, reader))
        # Checkpoints keep this text, so its wording decides whether an earlier run can be resumed.
        self.digest = f"{split.digest} {self.sample.digest} in parts of {self.shard_size}"

    def __len__(self) -> int:
        return len(self.split)

    def shards(self, first_step: int) -> Iterator[Shard]:
        number = first_step // self.steps_per_shard
        ends = np.cumsum(self.split.window_sizes)
        window = int(np.searchsorted(ends, number * self.shard_size, side="right"))
        surplus = number * self.shard_size - (int(ends[window - 1]) if window else 0)
        texts, labels = [], []
        for read in self.split.windows(window):
            texts += read.texts[surplus:]
            labels += read.labels[surplus:]
            surplus = 0
            while len(texts) >= self.shard_size:
                yield self._shard(number, texts[: self.shard_size], labels[: self.shard_size])
                number, texts, labels = number + 1, texts[self.shard_size :], labels[self.shard_size :]
        if texts:
            yield self._shard(number, texts, labels)

    def _shard(self, number: int, texts: list[str], labels: list[int]) -> Shard:
        split = TokenizedSplit.from_split(Split(texts, labels), self.tokenizer, self.max_length)
        return Shard(number, number * self.steps_per_shard, self._with_features(split))

    def _with_features(self, split: TokenizedSplit) -> TokenizedSplit:
        if self.cache is not None:
            split.features = self.cache.of_tokens(split.token_ids)
        return split
