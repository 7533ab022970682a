"""Words of a text by Unicode's rules (UAX 29), for counts of words in any language."""

import regex

from .conventions import UNSPACED_SCRIPTS

UNSPACED_CHARACTER = rf"[{UNSPACED_SCRIPTS}]\p{{M}}*"
WORDS = regex.compile(
    rf"(?P<unspaced>(?:{UNSPACED_CHARACTER})+)|[\p{{L}}\p{{M}}\p{{N}}_\u200c\u200d--[{UNSPACED_SCRIPTS}]]+", regex.V1
)
CHARACTERS = regex.compile(UNSPACED_CHARACTER)


def split_words(text: str) -> list[str]:
    """
    The words of a text: runs of letters with their combining marks, digits and `_`. Unlike in UAX 29, an apostrophe or
    a full stop inside ends a word, as in the published bags of words.

    Chinese, Japanese kana but katakana, Thai, Lao, Khmer and Burmese have no spaces between words; their words are all
    pairs of neighbouring characters, as is usual in retrieval (Nie and Ren, 1999): "北京大学" is 北京, 京大, 大学.
    """
    words = []
    for match in WORDS.finditer(text):
        if match["unspaced"] is None:
            words.append(match[0])
            continue
        characters = CHARACTERS.findall(match[0])
        pairs = [first + second for first, second in zip(characters, characters[1:], strict=False)]
        words += pairs or characters
    return words
