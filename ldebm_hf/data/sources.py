"""What a source of data is: a dataclass whose fields are the options it has, and whose `load` returns the corpus."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

from .schema import Corpus, unseen_classes
from .splits import drop_short_texts, limit_training, take_subset

OWN_LICENSE = "apache-2.0"


@dataclass(frozen=True)
class Origin:
    """What a model card says of a data set that the package knows.

    Args:
        title (`str`): what the data set is called.
        description (`str`): what it consists of, as one clause.
        license (`str`): its terms, as the licence's id on the Hub where it has one.
        bias (`str`): a sentence on what a model of it takes over from it.
        language (`str`, *optional*, defaults to `"en"`): ISO 639-1; `None` for points.
        hub_id (`str`, *optional*): where it is on the Hub.
    """

    title: str
    description: str
    license: str
    bias: str
    language: str | None = "en"
    hub_id: str | None = None


@dataclass(kw_only=True)
class Source(ABC):
    """A place that a corpus comes from. A subclass declares its options as fields that all have a default.

    A new source is one file with a subclass and one line in `corpus.KNOWN_SOURCES`.

    Args:
        seed (`int`, *optional*, defaults to 0): decides every random choice.

    Class attributes:
        name (`str`): what it is called in `load_corpus(name)` and in messages.
        modality (`str`): `"text"` or `"point"`.
        is_tokenised (`bool`): whether its words are lower-case already and separated from punctuation by spaces.
        published_markers (`str`): the turns of a dialogue that started with their speaker's marker in the published
            experiments (`"none"`, `"context"` or `"all"`).
        origin (`Origin`, *optional*): what a model card says of it; `None` for a user's own data.
        aliases (`tuple[str, ...]`): other names that it is found by.
    """

    name: ClassVar[str]
    modality: ClassVar[Literal["text", "point"]] = "text"
    is_tokenised: ClassVar[bool] = False
    published_markers: ClassVar[Literal["none", "context", "all"]] = "none"
    origin: ClassVar[Origin | None] = None
    aliases: ClassVar[tuple[str, ...]] = ()

    seed: int = 0

    @abstractmethod
    def load(self) -> Corpus:
        """Read the corpus.

        Raises:
            FileNotFoundError: a file is not there; the message names its path.
            ConnectionError: a data set of the Hub cannot be loaded.
            ValueError: malformed content, or an option that is out of range.
        """

    @classmethod
    def options(cls) -> dict[str, Any]:
        """The options that the source has, with their defaults."""
        return {field.name: field.default for field in fields(cls) if field.default is not MISSING}

    @classmethod
    def title(cls) -> str:
        """The source in a message about options."""
        return repr(cls.name)


@dataclass(kw_only=True)
class InMemorySource(Source):
    """A source whose examples are all in memory, so that some of them, or of their labels, can be chosen.

    Args:
        max_train_examples (`int`, *optional*): train on a random subset of at most this many examples.
        max_validation_examples (`int`, *optional*): validate on a random subset of at most this many examples.
        label_fraction (`float`, *optional*, defaults to 1.0): the fraction of the training labels that is kept. With
            0 the training is unsupervised; the validation examples keep their labels for the scores.
        label_count (`int`, *optional*): keep this many training labels, the same number for each class.
        label_seed (`int`, *optional*): decides which labels are kept, and nothing else; defaults to `seed`.
    """

    max_train_examples: int | None = None
    max_validation_examples: int | None = None
    label_fraction: float = 1.0
    label_count: int | None = None
    label_seed: int | None = None

    @abstractmethod
    def read(self) -> Corpus:
        """Read the whole corpus, before any training example or label is left out. Errors are those of `load`."""

    def load(self) -> Corpus:
        corpus = self.read()
        self._choose_examples(corpus)
        corpus.notes += unseen_classes(corpus)
        return corpus

    def _choose_examples(self, corpus: Corpus) -> None:
        if self.max_validation_examples is not None:
            corpus.validation = take_subset(
                corpus.validation, self.max_validation_examples, self.seed, "max_validation_examples"
            )
        corpus.train = limit_training(
            corpus.train,
            self.max_train_examples,
            self.label_fraction,
            self.seed,
            label_count=self.label_count,
            label_seed=self.label_seed,
        )


@dataclass(kw_only=True)
class TextSource(InMemorySource):
    """A source of texts in memory.

    Args:
        min_words (`int`, *optional*, defaults to 0): leave out texts with fewer words than this from every split.
            Words are counted as in a bag of words (`count_content_words`).
    """

    min_words: int = 0

    def load(self) -> Corpus:
        corpus = self.read()
        drop_short_texts(corpus, self.min_words)
        self._choose_examples(corpus)
        corpus.notes += repeated_texts(corpus) + unseen_classes(corpus)
        return corpus


@dataclass(kw_only=True)
class ReleaseSource(TextSource):
    """A published data set, read from the files of its release.

    Args:
        data_dir (`str` or `Path`, *optional*): the folder of the release files.

    Class attributes:
        files (`str`): the files that must be in the folder, for messages.
    """

    files: ClassVar[str]

    data_dir: str | Path | None = None

    @property
    def folder(self) -> Path:
        """The folder of the release files. Raises ValueError if none is given."""
        if self.data_dir is None:
            raise ValueError(f"source {self.name!r} needs data_dir, the folder with {self.files}")
        return Path(self.data_dir)


def repeated_texts(corpus: Corpus) -> list[str]:
    """A note for each split that shares texts with the training texts."""
    train_texts = set(corpus.train.texts)
    notes = []
    for name, split in corpus.splits.items():
        repeated = sum(text in train_texts for text in split.texts)
        if repeated and name != "train":
            notes.append(f"{name}: {repeated:,} of {len(split):,} texts also stand in train (kept)")
    return notes
