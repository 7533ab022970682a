"""The one form in which every data set reaches the training loop: texts or points, labels, notes on what was done."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from ..text.conventions import natural_writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import datasets

NO_LABEL = -100
"""The label of an example whose class is not known (the index that torch's cross-entropy ignores)."""


class Examples:
    """A split of a corpus, in memory or not.

    Attributes:
        unit (`str`): what one example is called in messages.
        classes (`set[int]`): the class ids that occur, without `NO_LABEL`.
        num_labelled (`int`): how many examples have a label.
    """

    unit: ClassVar[str]

    def __len__(self) -> int:
        raise NotImplementedError


class InMemoryExamples(Examples):
    """Examples with all of their `labels` in memory."""

    labels: list[int] | np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def unlabelled(cls, examples: list[str] | np.ndarray) -> Self:
        return cls(examples, [NO_LABEL] * len(examples))

    @property
    def classes(self) -> set[int]:
        """The class ids that occur, without `NO_LABEL`."""
        return set(np.unique(self.labels).tolist()) - {NO_LABEL}

    @property
    def num_labelled(self) -> int:
        """How many examples have a label."""
        return int(np.count_nonzero(np.asarray(self.labels) != NO_LABEL))


@dataclass
class Split(InMemoryExamples):
    """Texts with their labels and attributes, position by position.

    Args:
        texts (`list[str]`): one text per example, on one line, never empty.
        labels (`list[int]`): class ids into `Corpus.label_names`, `NO_LABEL` where unknown.
        attributes (`dict[str, list[int]]`, *optional*): by name, class ids into `Corpus.attribute_names[name]`,
            `NO_LABEL` where unknown. Symbols are scored against them; no training reads them.
        contexts (`list[tuple[str, ...]]`, *optional*): what each text is an answer to, turn by turn, the oldest first.
    """

    unit: ClassVar[str] = "text"
    texts: list[str]
    labels: list[int]
    attributes: dict[str, list[int]] = field(default_factory=dict)
    contexts: list[tuple[str, ...]] | None = None

    def __post_init__(self):
        if len(self.texts) != len(self.labels):
            raise ValueError(f"a split of {len(self.texts)} texts needs as many labels, got {len(self.labels)}")
        if self.contexts is not None and len(self.texts) != len(self.contexts):
            raise ValueError(f"a split of {len(self.texts)} texts needs as many contexts, got {len(self.contexts)}")
        for name, ids in self.attributes.items():
            if len(self.texts) != len(ids):
                raise ValueError(
                    f"a split of {len(self.texts)} texts needs as many values of attribute {name!r}, got {len(ids)}"
                )

    def select(self, indices: Iterable[int]) -> Split:
        indices = list(indices)
        attributes = {name: [ids[i] for i in indices] for name, ids in self.attributes.items()}
        contexts = None if self.contexts is None else [self.contexts[i] for i in indices]
        return Split([self.texts[i] for i in indices], [self.labels[i] for i in indices], attributes, contexts)


@dataclass(eq=False)
class PointSplit(InMemoryExamples):
    """Points of the plane with their labels, position by position.

    Args:
        points (`np.ndarray` of shape `(n, 2)`): all finite; converted to float32.
        labels (`np.ndarray` of shape `(n,)` or `list[int]`): class ids into `Corpus.label_names`, `NO_LABEL` where
            unknown; converted to int64.
    """

    unit: ClassVar[str] = "point"
    points: np.ndarray
    labels: np.ndarray

    def __post_init__(self):
        self.points = np.asarray(self.points, dtype=np.float32)
        self.labels = np.asarray(self.labels, dtype=np.int64)
        if self.points.ndim != 2 or self.points.shape[1] != 2:
            raise ValueError(f"points must be of shape (n, 2), got {self.points.shape}")
        if self.labels.shape != (len(self.points),):
            raise ValueError(
                f"a split of {len(self.points)} points needs as many labels, got labels of shape {self.labels.shape}"
            )
        if not np.isfinite(self.points).all():
            raise ValueError("points must be finite, got NaN, infinity or what is too large for float32")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PointSplit):
            return NotImplemented
        return np.array_equal(self.points, other.points) and np.array_equal(self.labels, other.labels)

    def select(self, indices: Iterable[int]) -> PointSplit:
        indices = np.fromiter(indices, dtype=np.int64)
        return PointSplit(self.points[indices], self.labels[indices])


class StreamedExamples(Examples):
    """Training texts that do not fit into memory: they are read window by window, anew in every epoch.

    Attributes:
        sample (`Split`): a random sample of the texts, in memory.
        window_sizes (`list[int]`): the number of texts in each window.
        digest (`str`): a hash that changes if any text or label does.
    """

    unit: ClassVar[str] = "text"
    sample: Split
    window_sizes: list[int]
    digest: str

    @property
    def texts(self) -> Iterator[str]:
        """All texts, read once more."""
        return (text for window in self.windows() for text in window.texts)

    def windows(self, first: int = 0) -> Iterator[Split]:
        """The texts window by window, starting at window `first`."""
        raise NotImplementedError


@dataclass
class Corpus:
    """A data set ready for training.

    Args:
        name (`str`): what the data set is called in logs and model cards.
        train (`Split` of texts, `StreamedExamples` or `PointSplit`): not empty if it comes from `load_corpus` or
            `load_points`.
        validation (`Split` or `PointSplit`): likewise not empty.
        test (`Split` or `PointSplit`, *optional*): `None` where the source has no test split.
        label_names (`list[str]`): name of each class id; empty if the source has no labels at all.
        license (`str`): the terms of the data, for the model card.
        notes (`list[str]`): what was cleaned or looks doubtful, one counted sentence each.
        attribute_names (`dict[str, list[str]]`): by attribute of the splits, the name of each of its class ids; empty
            if the source has no attributes.
    """

    name: str
    train: Split | StreamedExamples | PointSplit
    validation: Split | PointSplit
    test: Split | PointSplit | None = None
    label_names: list[str] = field(default_factory=list)
    license: str = "unknown"
    notes: list[str] = field(default_factory=list)
    attribute_names: dict[str, list[str]] = field(default_factory=dict)

    @property
    def splits(self) -> dict[str, Split | StreamedExamples | PointSplit]:
        """The splits that exist, by name: train, validation and perhaps test."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in named.items() if split is not None}

    def labelled_by(self, attribute: str) -> Corpus:
        """The same corpus with an attribute as its labels; it stays among the attributes.

        Raises:
            ValueError: there is no such attribute (with those there are).
        """
        if attribute not in self.attribute_names:
            there = ", ".join(map(repr, self.attribute_names)) or "none"
            raise ValueError(f"corpus {self.name!r} has no attribute {attribute!r} (label_column); there are: {there}")
        splits = {name: replace(s, labels=list(s.attributes[attribute])) for name, s in self.splits.items()}
        return replace(self, **splits, label_names=list(self.attribute_names[attribute]))

    def written_naturally(self) -> Corpus:
        """
        The same corpus with tokenised texts, and the turns before them, written as people do; see
        [`~text.conventions.natural_writer`]. A corpus that is not tokenised, or that is streamed, stays as it is.
        """
        if isinstance(self.train, StreamedExamples):
            return self
        write = natural_writer(self.train.texts)
        if write is None:
            return self
        splits = {}
        for name, split in self.splits.items():
            contexts = None
            if split.contexts is not None:
                contexts = [tuple(write(turn) for turn in turns) for turns in split.contexts]
            splits[name] = replace(split, texts=[write(text) for text in split.texts], contexts=contexts)
        return replace(self, **splits, notes=[*self.notes, "all texts: tokenised texts are written as people do"])

    def to_dataset_dict(self) -> datasets.DatasetDict:
        """As `datasets.DatasetDict`: column `text`, with contexts `context` (a list of strings), or columns `x` and
        `y` (float32) of points, and, if there are classes, `label` (ClassLabel, null = unknown) and a column like it
        for each attribute.

        Raises:
            ValueError: the corpus is streamed, or an attribute is called like another column.
        """
        import datasets

        if isinstance(self.train, StreamedExamples):
            raise ValueError(f"corpus {self.name!r} is streamed: to_dataset_dict() needs load_corpus(streaming=False)")
        if isinstance(self.train, PointSplit):
            features = {"x": datasets.Value("float32"), "y": datasets.Value("float32")}
            columns = {name: dict(zip("xy", split.points.T, strict=True)) for name, split in self.splits.items()}
        else:
            features = {"text": datasets.Value("string")}
            columns = {name: {"text": split.texts} for name, split in self.splits.items()}
            if self.train.contexts is not None:
                features["context"] = datasets.List(datasets.Value("string"))
                for name, split in self.splits.items():
                    columns[name]["context"] = [list(turns) for turns in split.contexts]
        if self.label_names:
            features["label"] = datasets.ClassLabel(names=self.label_names)
            for name, split in self.splits.items():
                columns[name]["label"] = _with_nulls(split.labels)
        for attribute, class_names in self.attribute_names.items():
            if attribute in features:
                raise ValueError(f"attribute {attribute!r} must not be called like one of {', '.join(features)}")
            features[attribute] = datasets.ClassLabel(names=class_names)
            for name, split in self.splits.items():
                columns[name][attribute] = _with_nulls(split.attributes[attribute])
        return datasets.DatasetDict(
            {name: datasets.Dataset.from_dict(c, features=datasets.Features(features)) for name, c in columns.items()}
        )


def _with_nulls(ids: Iterable[int]) -> list[int | None]:
    return [None if i == NO_LABEL else i for i in ids]


def check_corpus(corpus: Corpus, num_symbols: int) -> None:
    """Refuse, before training starts, a corpus that a model of `num_symbols` symbols cannot learn from.

    Raises:
        ValueError: an empty split, fewer training examples (or texts in the sample of a stream) than symbols, more
            classes than symbols, a label or a value of an attribute without a name, splits that differ in their
            attributes, labels that are all of one class, or texts that are all the same.
    """
    unit = corpus.validation.unit
    for name in ("train", "validation"):
        if not len(corpus.splits[name]):
            raise ValueError(f"corpus {corpus.name!r} has no {name} {unit}s")
    if len(corpus.train) < num_symbols:
        raise ValueError(
            f"corpus {corpus.name!r} has {len(corpus.train)} training {unit}s, fewer than "
            f"num_symbols={num_symbols}: lower num_symbols or add {unit}s"
        )
    if isinstance(corpus.train, StreamedExamples) and len(corpus.train.sample) < num_symbols:
        raise ValueError(
            f"reservoir_size={len(corpus.train.sample)} keeps fewer texts for clustering than "
            f"num_symbols={num_symbols}: raise reservoir_size to at least {num_symbols}"
        )
    _check_variety(corpus)
    if len(corpus.label_names) > num_symbols:
        raise ValueError(
            f"corpus {corpus.name!r} has {len(corpus.label_names)} classes, more than num_symbols={num_symbols}: "
            f"raise num_symbols to at least {len(corpus.label_names)} (is label_column the right one?)"
        )
    for name, split in corpus.splits.items():
        unknown = {label for label in split.classes if not 0 <= label < len(corpus.label_names)}
        if unknown:
            raise ValueError(f"{name} labels {sorted(unknown)} have no name in label_names={corpus.label_names}")
        _check_attributes(corpus, name, split.attributes if isinstance(split, Split) else {})
    if len(corpus.train.classes) == 1:
        only = corpus.label_names[min(corpus.train.classes)]
        raise ValueError(
            f"every labelled training {unit} of corpus {corpus.name!r} is of the one class {only!r}: "
            "labels must show at least two classes, or be left out (label_column=None)"
        )


def _check_variety(corpus: Corpus) -> None:
    """Refuse training texts that are all the same, of which there is nothing to learn."""
    texts = corpus.train.sample.texts if isinstance(corpus.train, StreamedExamples) else None
    if isinstance(corpus.train, Split):
        texts = corpus.train.texts
    if texts and len(texts) > 1 and all(text == texts[0] for text in texts):
        raise ValueError(
            f"all {len(texts):,} training texts of corpus {corpus.name!r} are the same, {texts[0][:60]!r}: there is "
            "nothing to learn from them (is text_column the right one?)"
        )


def _check_attributes(corpus: Corpus, name: str, attributes: dict[str, list[int]]) -> None:
    if attributes.keys() != corpus.attribute_names.keys():
        raise ValueError(
            f"{name} has the attributes {sorted(attributes)}, attribute_names has {sorted(corpus.attribute_names)}"
        )
    for attribute, ids in attributes.items():
        names = corpus.attribute_names[attribute]
        unknown = {i for i in set(ids) - {NO_LABEL} if not 0 <= i < len(names)}
        if unknown:
            raise ValueError(f"{name}: values {sorted(unknown)} of attribute {attribute!r} have no name in {names}")


def unseen_classes(corpus: Corpus) -> list[str]:
    """A note on the classes that no labelled training example shows, if others are shown."""
    unseen = [name for i, name in enumerate(corpus.label_names) if i not in corpus.train.classes]
    if not unseen or not corpus.train.classes:
        return []
    return [f"train: no labelled {corpus.validation.unit} of the class {', '.join(map(repr, unseen))}"]
