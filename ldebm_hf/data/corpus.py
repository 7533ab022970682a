"""`load_corpus` and `load_points`: from the name of a source and its options to a corpus."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal

from .data_files import FILE_TYPES, is_data_file
from .drawn_points import GaussianPoints, PinwheelPoints
from .files import FileSource
from .hub import HubSource, is_hub_id
from .point_files import PointFile
from .releases.agnews import AGNews
from .releases.daily_dialog import DailyDialog
from .releases.jericho import Jericho
from .releases.ptb import PTB
from .releases.smd import SMD
from .releases.yelp import Yelp
from .schema import Corpus
from .sources import Source
from .streaming import FileStream, HubStream
from .synthetic import Synthetic

Modality = Literal["text", "point"]
KNOWN_SOURCES: dict[str, type[Source]] = {
    source.name: source
    for source in (
        Synthetic,
        PTB,
        Yelp,
        DailyDialog,
        SMD,
        AGNews,
        Jericho,
        GaussianPoints,
        PinwheelPoints,
    )
}
"""The sources that are found by a name; all others are paths or Hub ids."""
STREAMS = {FileSource: FileStream, HubSource: HubStream}
"""The sources that can be streamed, and what streams them."""
ALL_SOURCES = (*KNOWN_SOURCES.values(), FileSource, HubSource, FileStream, HubStream, PointFile)


def load_corpus(source: str | Path = "synthetic", **options: Any) -> Corpus:
    """Read a data set and clean it; `corpus.notes` says, with counts, what was cleaned and what looks doubtful.

    Args:
        source (`str` or `Path`, *optional*, defaults to `"synthetic"`): `"synthetic"` (built in), `"ptb"`, `"yelp"`,
            `"daily_dialog"`, `"smd"`, `"jericho"`, `"agnews"`, the path of a file, or the id of a Hub data set
            (`"owner/name"`).
        options: the options of the source, which are the fields of its class: `Synthetic`, `PTB`, `Yelp`,
            `DailyDialog`, `SMD`, `Jericho`, `AGNews`, `FileSource` or `HubSource`; with `streaming=True`, for files
            and Hub data sets, `FileStream` or `HubStream`.

    Raises:
        FileNotFoundError: a file is not there; the message names its path.
        ConnectionError: a Hub data set cannot be loaded.
        TypeError: an option that no source has.
        ValueError: an unknown source or column, an option that the source does not have (with the sources that have
            it), malformed content, or an option out of its range.
    """
    return make_source(source, "text", options).load()


def load_points(source: str | Path = "gaussians", **options: Any) -> Corpus:
    """Draw points of the plane from a built-in distribution, or read them from a file.

    Args:
        source (`str` or `Path`, *optional*, defaults to `"gaussians"`): `"gaussians"`, `"pinwheel"` or the path of a
            file.
        options: the options of the source, which are the fields of its class, `GaussianPoints`, `PinwheelPoints` or
            `PointFile`.

    Returns:
        `Corpus`, whose splits are `PointSplit`s.

    Raises:
        FileNotFoundError: a file is not there; the message names its path.
        TypeError, ValueError: as for `load_corpus`, or a value that is no finite number (with its line).
    """
    return make_source(source, "point", options).load()


def make_source(source: str | Path, modality: Modality, options: dict[str, Any]) -> Source:
    """The source with its options. One that the source does not have may be given with its default value.

    Raises:
        TypeError, ValueError: as for `load_corpus`.
    """
    options = dict(options)
    streaming = options.pop("streaming", False)
    kind, place = source_class(source, modality), f"source {str(source)!r}"
    if streaming:
        if kind not in STREAMS:
            raise ValueError(_no_such_option("streaming=True", place, kind, list(STREAMS)))
        kind = STREAMS[kind]
        place += " with streaming=True"
    own = kind.options()
    for name, value in options.items():
        if name in own:
            continue
        having = [other for other in ALL_SOURCES if name in other.options()]
        if not having:
            known = sorted({option for other in ALL_SOURCES for option in other.options()})
            close = difflib.get_close_matches(name, known)
            hint = f"did you mean {' or '.join(close)}?" if close else f"options are {', '.join(known)}"
            raise TypeError(f"no source of data has an option {name!r}: {hint}")
        if value != having[0].options()[name]:
            raise ValueError(_no_such_option(f"{name}={value!r}", place, kind, having))
    given = {name: value for name, value in options.items() if name in own}
    return kind(**given) if kind in KNOWN_SOURCES.values() else kind(str(source), **given)


def source_class(source: str | Path, modality: Modality = "text") -> type[Source]:
    """The class that reads a source. Raises ValueError if the source is unknown, or is of the other modality."""
    known = known_source(source)
    if known is not None:
        if known.modality != modality:
            units = {"text": "texts", "point": "points"}
            raise ValueError(
                f"source {str(source)!r} consists of {units[known.modality]}, not of {units[modality]} "
                f"(model.modality={modality})"
            )
        return known
    if is_data_file(source):
        return PointFile if modality == "point" else FileSource
    if modality == "text" and (Path(source).is_dir() or is_hub_id(str(source))):
        return HubSource
    names = ", ".join(repr(name) for name, kind in KNOWN_SOURCES.items() if kind.modality == modality)
    hub = ", or a Hub id 'owner/name'" if modality == "text" else ""
    raise ValueError(
        f"unknown source of {modality}s {str(source)!r}: use {names}, a path that ends in one of "
        f"{', '.join(FILE_TYPES)}{hub}"
    )


def known_source(source: str | Path) -> type[Source] | None:
    """The class of a source that is found by a name; `None` for paths and Hub ids."""
    for kind in KNOWN_SOURCES.values():
        if source in (kind.name, *kind.aliases):
            return kind
    return None


def option_names() -> set[str]:
    """The names of all options that some source has."""
    return {"streaming"} | {name for kind in ALL_SOURCES for name in kind.options()}


def _no_such_option(option: str, place: str, kind: type[Source], having: list[type[Source]]) -> str:
    """The message that `place`, a source of a `kind`, does not have an option that the sources `having` have."""
    titles = list(dict.fromkeys(other.title() for other in having if other.modality == kind.modality))
    titles = titles or list(dict.fromkeys(other.title() for other in having))
    owners = titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} and {titles[-1]}"
    return f"{option} cannot be used with {place}: it is an option of {owners}"
