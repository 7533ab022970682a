"""Bytes to clean texts. Whatever is changed on the way is counted and said in a note."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from .encodings import read_decoded_lines, recognise_encoding
from .schema import NO_LABEL, Split

LONG_TEXT_WORDS = 1000
Label = TypeVar("Label")

# Control characters but tab and line ends, and lone surrogates (from JSON escapes), which no tokenizer can encode.
_UNPRINTABLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
# The tokenizer would read these as its own beginning, end and padding, in the middle of a text.
_RESERVED = re.compile(r"<s>|</s>|<pad>", re.IGNORECASE)


def read_text(path: Path, notes: list[str]) -> str:
    """The text of a release file, which is UTF-8, with its line ends as they are.

    Lines that are not valid UTF-8 are repaired with U+FFFD and counted in `notes`.

    Raises:
        FileNotFoundError: there is no such file; the message names its path.
    """
    return "".join(read_decoded_lines(path, recognise_encoding(path, notes, "utf-8"), newline=""))


def read_lines(path: Path, notes: list[str]) -> list[str]:
    """The file's lines, whichever way they end; see `read_text`."""
    # str.splitlines would also split at form feeds and Unicode separators, which occur inside sentences.
    return read_text(path, notes).replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")


def read_text_split(path: Path, notes: list[str], label: int = NO_LABEL) -> Split:
    """A split from a file with one text a line, every text with the same `label`."""
    lines = read_lines(path, notes)
    return clean_split(lines, [label] * len(lines), path.name, notes)


def clean_split(
    texts: list[str | None],
    labels: list[int],
    origin: str,
    notes: list[str],
    attributes: dict[str, list[int]] | None = None,
) -> Split:
    """Clean every text, drop the empty ones (`None` counts as empty) with their labels and attributes, and add the
    counts to `notes`.

    Raises:
        ValueError: no text is left.
    """
    kept_texts, kept = clean_texts(texts, origin, notes)
    attributes = {name: [ids[i] for i in kept] for name, ids in (attributes or {}).items()}
    return Split(kept_texts, [labels[i] for i in kept], attributes)


def clean_texts(texts: list[str | None], origin: str, notes: list[str]) -> tuple[list[str], list[int]]:
    """The texts that are not empty, cleaned, and their places in `texts`; otherwise as `clean_split`."""
    cleaner = Cleaner()
    kept_texts, kept = cleaner.clean(texts, range(len(texts)))
    if not kept_texts:
        raise ValueError(f"{origin} holds no text: it is empty, or all of its {len(texts):,} entries are")
    notes.extend(cleaner.notes(origin))
    return kept_texts, kept


def printable(text: str) -> str:
    """The text with a space for every control character and lone surrogate, as training reads it."""
    return _UNPRINTABLE.sub(" ", text)


class Cleaner:
    """Cleans texts, any number of times, and counts what it did."""

    EMPTY = "empty texts dropped"
    UNPRINTABLE = "texts with control characters or broken Unicode (taken out)"
    RESERVED = "texts with the reserved words <s>, </s> or <pad> (taken out)"
    LONG = f"texts of more than {LONG_TEXT_WORDS:,} words (cut to the tokenizer's max_length when encoded)"

    def __init__(self):
        self.counts = dict.fromkeys((self.EMPTY, self.UNPRINTABLE, self.RESERVED, self.LONG), 0)

    def clean(self, texts: Iterable[str | None], labels: Iterable[Label]) -> tuple[list[str], list[Label]]:
        """The texts that are not empty, on one line each, with their labels."""
        kept_texts, kept_labels = [], []
        for text, label in zip(texts, labels, strict=True):
            text = text or ""
            without_controls = printable(text)
            self.counts[self.UNPRINTABLE] += without_controls != text
            text = _RESERVED.sub(" ", without_controls)
            self.counts[self.RESERVED] += text != without_controls
            words = text.split()
            self.counts[self.LONG] += len(words) > LONG_TEXT_WORDS
            if words:
                kept_texts.append(" ".join(words))
                kept_labels.append(label)
            else:
                self.counts[self.EMPTY] += 1
        return kept_texts, kept_labels

    def notes(self, origin: str) -> list[str]:
        """What was done, counted, as far as anything was."""
        return [f"{origin}: {count:,} {what}" for what, count in self.counts.items() if count]
