"""Words of a text by Unicode's rules (UAX 29), for counts of words in any language."""

import unicodedata
from collections.abc import Callable

import regex

from .conventions import UNSPACED_SCRIPTS

UNSPACED_CHARACTER = rf"[{UNSPACED_SCRIPTS}]\p{{M}}*"
WORDS = regex.compile(
    rf"(?P<unspaced>(?:{UNSPACED_CHARACTER})+)|[\p{{L}}\p{{M}}\p{{N}}_\u200c\u200d--[{UNSPACED_SCRIPTS}]]+", regex.V1
)
CHARACTERS = regex.compile(UNSPACED_CHARACTER)


def pairs_of_characters(run: str) -> list[str]:
    """All pairs of neighbouring characters, each with its combining marks; a single one by itself."""
    characters = CHARACTERS.findall(run)
    return [first + second for first, second in zip(characters, characters[1:], strict=False)] or characters


def split_words(text: str, split_unspaced: Callable[[str], list[str]] = pairs_of_characters) -> list[str]:
    """
    The words of a text: runs of letters with their combining marks, digits and `_`. Unlike in UAX 29, an apostrophe or
    a full stop inside ends a word, as in the published bags of words.

    Chinese, Japanese kana but katakana, Thai, Lao, Khmer and Burmese have no spaces between words; their words are all
    pairs of neighbouring characters, as is usual in retrieval (Nie and Ren, 1999): "北京大学" is 北京, 京大, 大学.

    Args:
        text (`str`): Its words are in Unicode's composed form (NFC).
        split_unspaced (`Callable`, *optional*): Another way to find the words in a run of such characters.
    """
    words = []
    for match in WORDS.finditer(unicodedata.normalize("NFC", text)):
        words += [match[0]] if match["unspaced"] is None else split_unspaced(match[0])
    return words
