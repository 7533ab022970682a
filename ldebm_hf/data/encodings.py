"""How the characters of a text file are encoded: recognised from its bytes, said in a note, refused when unsure."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path

from .compression import COMPRESSED, DAMAGED, open_binary
from .encoding_plausibility import (
    LATIN_ALPHABETS,
    SCRIPT_ENCODINGS,
    SHARED,
    cyrillic_frequency,
    latin_score,
    script_score,
)

BLOCK_SIZE = 1 << 20
SAMPLE_SIZE = 50_000
DAMAGED_FRACTION = 0.1
"""Up to this fraction of the lines with other characters than ASCII may be invalid in a file that is called UTF-8."""
MIN_SCORE = 0.9
MIN_LETTERS, MIN_CHARACTERS = 15, 6
"""The numbers of different letters, or characters of Chinese, Japanese and Korean, that are needed for a guess."""


@dataclass
class FoundBytes:
    """What one reading of a file tells about its bytes, in bounded memory.

    Attributes:
        start (`bytes`): its beginning.
        other_lines (`int`): the number of lines that have other characters than ASCII.
        bad_lines (`int`): how many of these are not valid UTF-8.
        bad_sample (`bytearray`): the first of the latter.
    """

    start: bytes = b""
    other_lines: int = 0
    bad_lines: int = 0
    bad_sample: bytearray = field(default_factory=bytearray)

    @classmethod
    def read_from(cls, path: Path) -> FoundBytes:
        """Read a file. Raises ValueError if it is compressed and damaged."""
        found = cls()
        try:
            with open_binary(path) as file:
                rest = b""
                while block := file.read(BLOCK_SIZE):
                    block = rest + block + file.readline(BLOCK_SIZE)
                    found.start = found.start or block[:SAMPLE_SIZE]
                    end = _end_of_whole_characters(block)
                    block, rest = block[:end], block[end:]
                    found._count_lines(block)
                found._count_lines(rest)
        except DAMAGED as error:
            raise _damaged(path, error) from error
        return found

    def _count_lines(self, block: bytes) -> None:
        if block.isascii():
            return
        for line in block.replace(b"\r", b"\n").split(b"\n"):
            if line.isascii():
                continue
            self.other_lines += 1
            if _is_utf8(line):
                continue
            self.bad_lines += 1
            if len(self.bad_sample) < SAMPLE_SIZE:
                self.bad_sample += line[:SAMPLE_SIZE] + b"\n"


def recognise_encoding(path: Path, notes: list[str], encoding: str | None = None) -> str:
    """The encoding of a text file, which is read once for it. `notes` gets what is not plain UTF-8.

    A byte order mark, valid UTF-8 and the zero bytes of UTF-16 leave no doubt. Otherwise charset-normalizer ranks the
    encodings of other scripts than Latin, and the first is taken that yields words of its script. The encodings of
    Latin letters with accents differ too little for that ranking; the one is taken whose accented letters are those of
    a single language. What is neither is refused.

    Args:
        path (`Path`): the file, which may be compressed.
        notes (`list[str]`): gets the encoding, and the number of lines with bytes that are not valid.
        encoding (`str`, *optional*): the encoding, if it is known.

    Returns:
        `str`: the name of a codec; `"utf-8-sig"` for UTF-8, with or without a byte order mark.

    Raises:
        FileNotFoundError: there is no such file; the message names its path.
        ValueError: an encoding that is unknown or cannot be recognised, or a damaged file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no such file: looked for {path.absolute()}")
    if encoding is not None:
        try:
            name = codecs.lookup(encoding).name
            "".encode(name)  # refuses those of bytes, such as base64
        except (LookupError, ValueError, TypeError) as error:
            raise ValueError(f"encoding={encoding!r} is unknown; examples are utf-8, cp1252 and gb18030") from error
        if name not in ("utf-8", "utf-8-sig"):
            return name
    found = FoundBytes.read_from(path)
    utf16 = _utf16(found.start)
    if encoding is not None and utf16 is not None:
        raise ValueError(f"{path} is {utf16}, not UTF-8: save it as UTF-8")
    if encoding is None:
        _refuse_other_formats(found.start, path)
        if utf16 is not None:
            notes.append(f"{path.name}: read as {utf16}")
            return utf16
        if found.bad_lines > DAMAGED_FRACTION * found.other_lines:
            return _recognise_legacy_encoding(found, path, notes)
    if found.bad_lines:
        notes.append(f"{path.name}: {found.bad_lines:,} lines with bytes that are not UTF-8 (they became U+FFFD)")
    return "utf-8-sig"


def read_decoded_lines(path: Path, encoding: str, newline: str | None = None) -> Iterator[str]:
    """The lines of a text file with their ends, decompressed. Invalid bytes become U+FFFD in UTF-8 only.

    Args:
        path (`Path`): the file.
        encoding (`str`): from `recognise_encoding`.
        newline (`str`, *optional*): as for `open`; `""` leaves the ends of lines as they are.

    Raises:
        ValueError: bytes that are invalid in another encoding than UTF-8, or a damaged file.
    """
    with _decoded_file(path, encoding, newline) as file:
        yield from file


def read_decoded_blocks(path: Path, encoding: str) -> Iterator[str]:
    """The text of a file in blocks of up to 65,536 characters; otherwise as `read_decoded_lines`."""
    with _decoded_file(path, encoding) as file:
        while block := file.read(1 << 16):
            yield block


@contextmanager
def _decoded_file(path: Path, encoding: str, newline: str | None = None) -> Iterator[TextIOWrapper]:
    errors = "replace" if encoding == "utf-8-sig" else "strict"
    try:
        with open_binary(path) as binary, TextIOWrapper(binary, encoding, errors, newline) as file:
            yield file
    except UnicodeError as error:
        raise ValueError(
            f"{path} is not {encoding} throughout ({error}): save it as UTF-8, or give another encoding"
        ) from error
    except DAMAGED as error:
        raise _damaged(path, error) from error


def _end_of_whole_characters(block: bytes) -> int:
    """Where a UTF-8 character begins that may go on after the end of the block; else the block's length."""
    for back in range(1, min(4, len(block)) + 1):
        if block[-back] >= 0xC0:
            return len(block) - back
        if block[-back] < 0x80:
            break
    return len(block)


def _damaged(path: Path, error: Exception) -> Exception:
    if path.suffix.lower() not in COMPRESSED:
        return error
    return ValueError(f"{path} is cut off, or not compressed as its name says ({error})")


def _refuse_other_formats(start: bytes, path: Path) -> None:
    if start.startswith(b"version https://git-lfs.github.com/spec/"):
        raise ValueError(f"{path} is a pointer of Git LFS and not the file itself: fetch that with `git lfs pull`")
    if start.startswith(b"PK\x03\x04"):
        raise ValueError(f"{path} is an Excel file or a .zip archive: rename it so that it ends in .xlsx or .zip")
    if start.startswith(b"\xd0\xcf\x11\xe0"):
        raise ValueError(f"{path} is an old or encrypted Excel file: save it as .xlsx without a password, or as .csv")


def _utf16(start: bytes) -> str | None:
    """The name of UTF-16 or UTF-32, if the file begins with its mark or, without a mark, has its ends of lines."""
    for mark, name in (
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if start.startswith(mark):
            return name
    if b"\0" not in start:
        return None
    whole = start[: len(start) // 2 * 2]
    for name in ("utf-16-le", "utf-16-be"):
        text = whole.decode(name, errors="replace")
        # In UTF-16 nearly every byte that reads as an end of line is half of one.
        if text.count("\n") > start.count(b"\n") / 2 and text.count("\ufffd") <= 1 and "\0" not in text:
            return name
    return None


def _recognise_legacy_encoding(found: FoundBytes, path: Path, notes: list[str]) -> str:
    sample = bytes(found.bad_sample)
    name = None
    if found.bad_lines == found.other_lines:
        name = _encoding_of_a_script(sample) or _encoding_of_latin_letters(sample)
    if name is None:
        mixed = f"{found.bad_lines:,} of {found.other_lines:,} lines that are not plain ASCII are not UTF-8"
        raise ValueError(
            f"{path}: {mixed}, and their encoding cannot be recognised: save the file as UTF-8, or give encoding, for "
            "example encoding=cp1252 (Western European), cp1251 (Cyrillic), gb18030 (Chinese) or cp932 (Japanese)"
        )
    kind = SCRIPT_ENCODINGS.get(name, "LATIN").capitalize()
    notes.append(f"{path.name}: not UTF-8, recognised as {name} ({kind} letters); give encoding if that is wrong")
    return name


def _encoding_of_a_script(sample: bytes) -> str | None:
    from charset_normalizer import from_bytes

    ranked = []
    for match in from_bytes(sample, cp_isolation=list(SCRIPT_ENCODINGS), enable_fallback=False):
        ranked += [name for name in (match.encoding, *match.could_be_from_charset) if name not in ranked]
    plausible = {}
    for name in ranked:
        text = _decoded(sample, name)
        letters = {character for character in text or "" if character.isalpha() and not character.isascii()}
        needed = MIN_CHARACTERS if SCRIPT_ENCODINGS[name] in ("CHINESE", "JAPANESE", "KOREAN") else MIN_LETTERS
        if len(letters) >= needed and script_score(text, name) >= MIN_SCORE:
            plausible[name] = text
    # Japanese and Korean show in kana and Hangul, where their bytes could also be frequent characters of others.
    for script in ("JAPANESE", "KOREAN"):
        for name in plausible:
            if SCRIPT_ENCODINGS[name] == script:
                return name
    first = next(iter(plausible), None)
    if first is None or SCRIPT_ENCODINGS[first] != "CYRILLIC":
        return first
    # The Cyrillic encodings make words of one another's bytes too, but with rare letters.
    cyrillic = [name for name in plausible if SCRIPT_ENCODINGS[name] == "CYRILLIC"]
    return max(cyrillic, key=lambda name: cyrillic_frequency(plausible[name]))


def _encoding_of_latin_letters(sample: bytes) -> str | None:
    best, best_alphabet, best_score = None, "", 0.0
    for name, alphabet in LATIN_ALPHABETS:
        text = _decoded(sample, name)
        score = 0.0 if text is None else latin_score(text, alphabet)
        if score > best_score:
            best, best_alphabet, best_score = name, alphabet, score
    if best is None:
        return None
    return best if latin_score(_decoded(sample, best), best_alphabet + SHARED) >= MIN_SCORE else None


def _decoded(sample: bytes, name: str) -> str | None:
    """The sample as text, if it is valid in the encoding."""
    try:
        return sample.decode(name)
    except UnicodeDecodeError:
        return None


def _is_utf8(line: bytes) -> bool:
    return _decoded(line, "utf-8") is not None
