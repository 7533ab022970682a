"""Data sets in one form: `load_corpus` and `load_points` read a source, `check_corpus` refuses what is unfit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .dialogues import Dialogue, Turn
from .files import FILE_TYPES, load_file
from .hub import load_hub
from .point_distributions import POINT_DISTRIBUTIONS, GaussianGrid, Pinwheel
from .points import load_points
from .releases.agnews import load_agnews
from .releases.daily_dialog import HUB_ID as DAILY_DIALOG_ID
from .releases.daily_dialog import load_daily_dialog, read_daily_dialog
from .releases.jericho import load_jericho
from .releases.ptb import load_ptb
from .releases.smd import load_smd, read_smd
from .releases.yelp import load_yelp
from .schema import NO_LABEL, Corpus, PointSplit, Split, check_corpus, unseen_classes
from .splits import drop_short_texts, limit_training
from .streaming import StreamedSplit, load_stream
from .synthetic import load_synthetic

__all__ = [
    "NO_LABEL",
    "POINT_DISTRIBUTIONS",
    "PUBLISHED_MARKERS",
    "TOKENISED_SOURCES",
    "Corpus",
    "Dialogue",
    "GaussianGrid",
    "Pinwheel",
    "PointSplit",
    "Split",
    "StreamedSplit",
    "Turn",
    "check_corpus",
    "load_agnews",
    "load_corpus",
    "load_daily_dialog",
    "load_jericho",
    "load_points",
    "load_smd",
    "read_daily_dialog",
    "read_smd",
]

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
RELEASES = {
    "ptb": (load_ptb, "ptb.train.txt and ptb.valid.txt"),
    "yelp": (load_yelp, "sentiment.{train,dev}.{0,1}"),
    "daily_dialog": (load_daily_dialog, None),  # from the Hub, if there is no folder
    "smd": (load_smd, "kvret_{train,dev}_public.json"),
    "agnews": (load_agnews, None),  # likewise, with titles
    "jericho": (load_jericho, "rooms.train.jsonl"),
}
PUBLISHED_MARKERS = {"daily_dialog": "none", "smd": "all"}
"""Of dialogues with contexts, which turns their speakers' markers stood before in the published experiments."""
OF_DIALOGUES = set(PUBLISHED_MARKERS)
TOKENISED_SOURCES = {"synthetic", "ptb", "yelp"}
"""Sources whose words are already lower-case and apart from punctuation."""


def load_corpus(
    source: str | Path = "synthetic",
    *,
    data_dir: str | Path | None = None,
    text_column: str = "text",
    label_column: str | None = None,
    attribute_columns: str | Sequence[str] | None = None,
    validation_file: str | Path | None = None,
    validation_fraction: float = 0.1,
    label_fraction: float = 1.0,
    label_count: int | None = None,
    label_seed: int | None = None,
    titles: bool = False,
    min_words: int = 0,
    max_train_examples: int | None = None,
    streaming: bool = False,
    validation_size: int = 2000,
    reservoir_size: int = 100_000,
    keep_repeated: bool = True,
    context_turns: int = 0,
    speaker_markers: str | None = None,
    seed: int = 0,
) -> Corpus:
    """Read a data set and clean it; `corpus.notes` says, with counts, what was cleaned and what looks doubtful.

    Args:
        source (`str` or `Path`, *optional*, defaults to `"synthetic"`): `"synthetic"` (built in), `"ptb"`, `"yelp"`,
            `"daily_dialog"`, `"smd"`, `"jericho"`, `"agnews"`, a path (.csv, .tsv, .jsonl, .txt or .parquet), or the
            id of a Hub data set (`"owner/name"`).
        data_dir (`str` or `Path`, *optional*): the folder of the release files (without it `"daily_dialog"` and
            `"agnews"` come from the Hub), or the one that relative paths start from.
        text_column (`str`, *optional*, defaults to `"text"`): where a file or Hub data set has its texts.
        label_column (`str`, *optional*): where it has its labels, strings or integers, empty where unknown. Of
            `"daily_dialog"` (act, emotion), `"smd"` (intent, speaker) and `"jericho"` (game): the attribute to take as
            labels; without it they have none.
        attribute_columns (`str` or `Sequence[str]`, *optional*): further columns like that, `"a,b"` or a sequence of
            names. They become attributes, which symbols are scored against and no training reads.
        validation_file (`str` or `Path`, *optional*): a second file, for validation.
        validation_fraction (`float`, *optional*, defaults to 0.1): a source without a validation split of its own
            gives up this share of its training texts.
        label_fraction (`float`, *optional*, defaults to 1.0): keep only this share of the training labels.
        label_count (`int`, *optional*): keep only so many, equally many of each class.
        label_seed (`int`, *optional*): decides which labels are kept, and nothing else; defaults to `seed`.
        titles (`bool`, *optional*, defaults to `False`): of `"agnews"`: texts are titles and descriptions, not
            descriptions alone.
        min_words (`int`, *optional*, defaults to 0): leave out texts of fewer words, in every split; words are what a
            bag of words counts (`count_content_words`).
        max_train_examples (`int`, *optional*): train on a random subset of at most this size.
        streaming (`bool`, *optional*, defaults to `False`): leave the training texts of files (a glob pattern names
            several) or a Hub data set where they are, and read them window by window; see `load_stream`.
        validation_size (`int`, *optional*, defaults to 2000): texts that a stream without validation texts of its own
            gives up, from its beginning, in place of `validation_fraction`.
        reservoir_size (`int`, *optional*, defaults to 100000): texts of the sample that is kept of a stream.
        keep_repeated (`bool`, *optional*, defaults to `True`): keep the held-out dialogues of `"daily_dialog"` and
            `"smd"` that also stand in train.
        context_turns (`int`, *optional*, defaults to 0): of these two: texts come with so many turns before them
            (published: 5), the begin marker counted as one, as `Split.contexts`.
        speaker_markers (`str`, *optional*): and `<usr>` or `<sys>` stands before the turns of a `"context"`, `"all"`
            turns, texts included, or `"none"`; default as published: for `"smd"` all, for `"daily_dialog"` none.
        seed (`int`, *optional*, defaults to 0): decides the built-in corpus and every random choice above.

    Raises:
        FileNotFoundError: naming the path that was looked for.
        ConnectionError: a Hub data set that cannot be loaded.
        ValueError: an unknown source or column, malformed content, a setting out of range.
    """
    source = "daily_dialog" if source == DAILY_DIALOG_ID else source
    if not keep_repeated and source not in OF_DIALOGUES:
        raise ValueError(f"keep_repeated=False is about dialogues ('daily_dialog', 'smd'), not about {str(source)!r}")
    if (context_turns or speaker_markers) and source not in OF_DIALOGUES:
        name = "context_turns" if context_turns else "speaker_markers"
        raise ValueError(f"{name} is about dialogues ('daily_dialog', 'smd'), not about {str(source)!r}")
    if titles and source != "agnews":
        raise ValueError(f"titles=True is about 'agnews', not about {str(source)!r}")
    if streaming:
        choices = {"label_fraction": label_fraction != 1, "label_count": label_count is not None}
        choices |= {"max_train_examples": max_train_examples is not None, "min_words": min_words > 0}
        for name in (name for name, is_made in choices.items() if is_made):
            raise ValueError(f"{name} chooses among all training texts and cannot be used with streaming")
        if attribute_columns is not None:
            raise ValueError(f"attribute_columns={attribute_columns!r} cannot be used with streaming")
        if source in ("synthetic", *RELEASES):
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
    options = {
        "text_column": text_column,
        "label_column": label_column,
        "attribute_columns": attribute_columns,
        "validation_fraction": validation_fraction,
    }
    if Path(source).suffix.lower() in FILE_TYPES:
        corpus = load_file(source, data_dir=data_dir, validation_file=validation_file, seed=seed, **options)
    elif validation_file is not None:
        raise ValueError(f"validation_file goes with a file as source, not with {str(source)!r}")
    elif source in ("synthetic", *RELEASES):
        if attribute_columns is not None:
            raise ValueError(f"attribute_columns goes with a file or Hub data set as source, not with {source!r}")
        own = {}
        if source in OF_DIALOGUES:
            markers = speaker_markers or (PUBLISHED_MARKERS[source] if context_turns else "none")
            own = {"keep_repeated": keep_repeated, "context_turns": context_turns, "speaker_markers": markers}
        own |= {"titles": titles, "seed": seed} if source == "agnews" else {}
        own |= {"validation_fraction": validation_fraction, "seed": seed} if source == "jericho" else {}
        corpus = load_synthetic(seed=seed) if source == "synthetic" else _load_release(source, data_dir, **own)
        if label_column is not None:
            corpus = corpus.labelled_by(label_column)
    elif Path(source).is_dir() or (HUB_ID.fullmatch(str(source)) and not Path(source).is_file()):
        corpus = load_hub(str(source), data_dir=data_dir, seed=seed, **options)
    else:
        if source in POINT_DISTRIBUTIONS:
            raise ValueError(f"source {source!r} is of points, not of texts: load_points reads it (modality=point)")
        raise ValueError(
            f"unknown source {str(source)!r}: use 'synthetic', {', '.join(map(repr, RELEASES))}, a path that ends in "
            f"one of {', '.join(FILE_TYPES)}, or a Hub id 'owner/name'"
        )
    drop_short_texts(corpus, min_words)
    corpus.train = limit_training(
        corpus.train, max_train_examples, label_fraction, seed, label_count=label_count, label_seed=label_seed
    )
    corpus.notes += _doubts(corpus)
    return corpus


def _load_release(source: str, data_dir: str | Path | None, **options: Any) -> Corpus:
    load, files = RELEASES[source]
    if data_dir is None and files is not None:
        raise ValueError(f"source {source!r} needs data_dir, the folder with {files}")
    return load(data_dir, **options)


def _doubts(corpus: Corpus) -> list[str]:
    """What a reader of the results should know about the splits, counted."""
    doubts = []
    train_texts = set(corpus.train.texts)
    for name, split in corpus.splits.items():
        repeated = sum(text in train_texts for text in split.texts)
        if repeated and name != "train":
            doubts.append(f"{name}: {repeated:,} of {len(split):,} texts also stand in train (kept)")
    return doubts + unseen_classes(corpus)
