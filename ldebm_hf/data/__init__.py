"""Data sets in one form: `load_corpus` and `load_points` read a source, `check_corpus` refuses what is unfit."""

from .corpus import KNOWN_SOURCES, known_source, load_corpus, load_points, option_names
from .dialogues import Dialogue, Turn
from .point_distributions import POINT_DISTRIBUTIONS, GaussianGrid, Pinwheel
from .schema import NO_LABEL, Corpus, PointSplit, Split, StreamedExamples, check_corpus

__all__ = [
    "KNOWN_SOURCES",
    "NO_LABEL",
    "POINT_DISTRIBUTIONS",
    "Corpus",
    "Dialogue",
    "GaussianGrid",
    "Pinwheel",
    "PointSplit",
    "Split",
    "StreamedExamples",
    "Turn",
    "check_corpus",
    "known_source",
    "load_corpus",
    "load_points",
    "option_names",
]
