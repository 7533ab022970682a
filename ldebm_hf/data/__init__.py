"""Data sets in one form: `load_corpus` and `load_points` read a source, `check_corpus` refuses what is unfit."""

from __future__ import annotations

import re
from pathlib import Path

from .files import FILE_TYPES, load_file
from .hub import load_hub
from .point_distributions import POINT_DISTRIBUTIONS, GaussianGrid, Pinwheel
from .points import load_points
from .ptb import load_ptb
from .schema import NO_LABEL, Corpus, PointSplit, Split, check_corpus, unseen_classes
from .splits import limit_training
from .streaming import StreamedSplit, load_stream
from .synthetic import load_synthetic
from .yelp import load_yelp

__all__ = [
    "NO_LABEL",
    "POINT_DISTRIBUTIONS",
    "TOKENISED_SOURCES",
    "Corpus",
    "GaussianGrid",
    "Pinwheel",
    "PointSplit",
    "Split",
    "StreamedSplit",
    "check_corpus",
    "load_corpus",
    "load_points",
]

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
RELEASES = {
    "ptb": (load_ptb, "ptb.train.txt and ptb.valid.txt"),
    "yelp": (load_yelp, "sentiment.{train,dev}.{0,1}"),
}
TOKENISED_SOURCES = {"synthetic", *RELEASES}
"""Sources whose words are already lower-case and apart from punctuation."""


def load_corpus(
    source: str | Path = "synthetic",
    *,
    data_dir: str | Path | None = None,
    text_column: str = "text",
    label_column: str | None = None,
    validation_file: str | Path | None = None,
    validation_fraction: float = 0.1,
    label_fraction: float = 1.0,
    max_train_examples: int | None = None,
    streaming: bool = False,
    validation_size: int = 2000,
    reservoir_size: int = 100_000,
    seed: int = 0,
) -> Corpus:
    """Read a data set and clean it; `corpus.notes` says, with counts, what was cleaned and what looks doubtful.

    Args:
        source (`str` or `Path`, *optional*, defaults to `"synthetic"`): `"synthetic"` (built in), `"ptb"`, `"yelp"`,
            the path of a .csv, .tsv, .jsonl, .txt or .parquet file, or the id of a Hub data set (`"owner/name"`).
        data_dir (`str` or `Path`, *optional*): the folder of the release files (`"ptb"`, `"yelp"`), or the one that
            relative paths start from.
        text_column (`str`, *optional*, defaults to `"text"`): where a file or Hub data set has its texts.
        label_column (`str`, *optional*): where it has its labels, strings or integers, empty where unknown.
        validation_file (`str` or `Path`, *optional*): a second file, for validation.
        validation_fraction (`float`, *optional*, defaults to 0.1): a source without a validation split of its own
            gives up this share of its training texts.
        label_fraction (`float`, *optional*, defaults to 1.0): keep only this share of the training labels.
        max_train_examples (`int`, *optional*): train on a random subset of at most this size.
        streaming (`bool`, *optional*, defaults to `False`): leave the training texts of files (a glob pattern names
            several) or a Hub data set where they are, and read them window by window; see `load_stream`.
        validation_size (`int`, *optional*, defaults to 2000): texts that a stream without validation texts of its own
            gives up, from its beginning, in place of `validation_fraction`.
        reservoir_size (`int`, *optional*, defaults to 100000): texts of the sample that is kept of a stream.
        seed (`int`, *optional*, defaults to 0): decides the built-in corpus and every random choice above.

    Raises:
        FileNotFoundError: naming the path that was looked for.
        ConnectionError: a Hub data set that cannot be loaded.
        ValueError: an unknown source or column, malformed content, a setting out of range.
    """
    if streaming:
        if label_fraction != 1 or max_train_examples is not None:
            name = "label_fraction" if label_fraction != 1 else "max_train_examples"
            raise ValueError(f"{name} chooses among all training texts and cannot be used with streaming")
        if source in TOKENISED_SOURCES:
            raise ValueError(f"streaming reads files and Hub data sets, not {str(source)!r}")
        return load_stream(
            str(source),
            data_dir=data_dir,
            text_column=text_column,
            label_column=label_column,
            validation_file=validation_file,
            validation_size=validation_size,
            reservoir_size=reservoir_size,
            seed=seed,
        )
    options = {"text_column": text_column, "label_column": label_column, "validation_fraction": validation_fraction}
    if Path(source).suffix.lower() in FILE_TYPES:
        corpus = load_file(source, data_dir=data_dir, validation_file=validation_file, seed=seed, **options)
    elif validation_file is not None:
        raise ValueError(f"validation_file goes with a file as source, not with {str(source)!r}")
    elif source == "synthetic":
        corpus = load_synthetic(seed=seed)
    elif source in RELEASES:
        load, files = RELEASES[source]
        if data_dir is None:
            raise ValueError(f"source {source!r} needs data_dir, the folder with {files}")
        corpus = load(data_dir)
    elif Path(source).is_dir() or (HUB_ID.fullmatch(str(source)) and not Path(source).is_file()):
        corpus = load_hub(str(source), data_dir=data_dir, seed=seed, **options)
    else:
        if source in POINT_DISTRIBUTIONS:
            raise ValueError(f"source {source!r} is of points, not of texts: load_points reads it (modality=point)")
        raise ValueError(
            f"unknown source {str(source)!r}: use 'synthetic', 'ptb', 'yelp', a path that ends in one of "
            f"{', '.join(FILE_TYPES)}, or a Hub id 'owner/name'"
        )
    corpus.train = limit_training(corpus.train, max_train_examples, label_fraction, seed)
    corpus.notes += _doubts(corpus)
    return corpus


def _doubts(corpus: Corpus) -> list[str]:
    """What a reader of the results should know about the splits, counted."""
    doubts = []
    train_texts = set(corpus.train.texts)
    for name, split in corpus.splits.items():
        repeated = sum(text in train_texts for text in split.texts)
        if repeated and name != "train":
            doubts.append(f"{name}: {repeated:,} of {len(split):,} texts also stand in train (kept)")
    return doubts + unseen_classes(corpus)
