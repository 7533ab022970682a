"""The one form in which every data set reaches the training loop: texts, integer labels, notes on what was done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import datasets

    from .streaming import StreamedSplit

NO_LABEL = -100
"""The label of a text whose class is not known (the index that torch's cross-entropy ignores)."""


@dataclass
class Split:
    """Texts and their labels, in step.

    Args:
        texts (`list[str]`): one text per example, on one line, never empty.
        labels (`list[int]`): class ids into `Corpus.label_names`, `NO_LABEL` where unknown.
    """

    texts: list[str]
    labels: list[int]

    def __post_init__(self):
        if len(self.texts) != len(self.labels):
            raise ValueError(f"a split of {len(self.texts)} texts needs as many labels, got {len(self.labels)}")

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def unlabelled(cls, texts: list[str]) -> Split:
        return cls(texts, [NO_LABEL] * len(texts))

    def select(self, indices: Iterable[int]) -> Split:
        indices = list(indices)
        return Split([self.texts[i] for i in indices], [self.labels[i] for i in indices])

    @property
    def classes(self) -> set[int]:
        """The class ids that occur, without `NO_LABEL`."""
        return set(self.labels) - {NO_LABEL}

    @property
    def num_labelled(self) -> int:
        """How many examples have a label."""
        return sum(label != NO_LABEL for label in self.labels)


@dataclass
class Corpus:
    """A data set ready for training.

    Args:
        name (`str`): how the data set is called in logs and model cards.
        train (`Split`, or `StreamedSplit` of a streamed corpus): never empty in what `load_corpus` returns.
        validation (`Split`): never empty either.
        test (`Split`, *optional*): `None` where the source has no test split.
        label_names (`list[str]`): name of each class id; empty if the source has no labels at all.
        license (`str`): the terms of the texts, for the model card.
        notes (`list[str]`): what was cleaned or looks doubtful, one counted sentence each.
    """

    name: str
    train: Split | StreamedSplit
    validation: Split
    test: Split | None = None
    label_names: list[str] = field(default_factory=list)
    license: str = "unknown"
    notes: list[str] = field(default_factory=list)

    @property
    def splits(self) -> dict[str, Split | StreamedSplit]:
        """The splits that exist, by name: train, validation and perhaps test."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in named.items() if split is not None}

    def to_dataset_dict(self) -> datasets.DatasetDict:
        """As `datasets.DatasetDict`: column `text` and, if there are classes, `label` (ClassLabel, null = unknown).

        Raises:
            ValueError: the corpus is streamed.
        """
        import datasets

        if not isinstance(self.train, Split):
            raise ValueError(f"corpus {self.name!r} is streamed: to_dataset_dict() needs load_corpus(streaming=False)")
        features = {"text": datasets.Value("string")}
        if self.label_names:
            features["label"] = datasets.ClassLabel(names=self.label_names)
        columns = {name: {"text": split.texts} for name, split in self.splits.items()}
        if self.label_names:
            for name, split in self.splits.items():
                columns[name]["label"] = [None if label == NO_LABEL else label for label in split.labels]
        return datasets.DatasetDict(
            {name: datasets.Dataset.from_dict(c, features=datasets.Features(features)) for name, c in columns.items()}
        )


def check_corpus(corpus: Corpus, num_symbols: int) -> None:
    """Refuse, before training starts, a corpus that a model of `num_symbols` symbols cannot learn from.

    Raises:
        ValueError: an empty split, fewer training texts (or texts in the sample of a stream) than symbols, more
            classes than symbols, a label without a name, or labels that are all of one class.
    """
    for name in ("train", "validation"):
        if not len(corpus.splits[name]):
            raise ValueError(f"corpus {corpus.name!r} has no {name} texts")
    if len(corpus.train) < num_symbols:
        raise ValueError(
            f"corpus {corpus.name!r} has {len(corpus.train)} training texts, fewer than num_symbols={num_symbols}: "
            "lower num_symbols or add texts"
        )
    if not isinstance(corpus.train, Split) and len(corpus.train.sample) < num_symbols:
        raise ValueError(
            f"reservoir_size={len(corpus.train.sample)} keeps fewer texts for clustering than "
            f"num_symbols={num_symbols}: raise reservoir_size to at least {num_symbols}"
        )
    if len(corpus.label_names) > num_symbols:
        raise ValueError(
            f"corpus {corpus.name!r} has {len(corpus.label_names)} classes, more than num_symbols={num_symbols}: "
            f"raise num_symbols to at least {len(corpus.label_names)} (is label_column the right one?)"
        )
    for name, split in corpus.splits.items():
        unknown = {label for label in split.classes if not 0 <= label < len(corpus.label_names)}
        if unknown:
            raise ValueError(f"{name} labels {sorted(unknown)} have no name in label_names={corpus.label_names}")
    if len(corpus.train.classes) == 1:
        only = corpus.label_names[min(corpus.train.classes)]
        raise ValueError(
            f"every labelled training text of corpus {corpus.name!r} is of the one class {only!r}: "
            "labels must show at least two classes, or be left out (label_column=None)"
        )
