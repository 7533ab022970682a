"""Whether text that was decoded by a guessed encoding looks like words: of its script, or of one Latin alphabet."""

from __future__ import annotations

import re
import unicodedata

SCRIPT_ENCODINGS = {
    "cp1251": "CYRILLIC",
    "koi8_r": "CYRILLIC",
    "cp866": "CYRILLIC",
    "iso8859_5": "CYRILLIC",
    "cp1253": "GREEK",
    "cp1255": "HEBREW",
    "cp1256": "ARABIC",
    "cp874": "THAI",
    "cp949": "KOREAN",
    "gb18030": "CHINESE",
    "big5": "CHINESE",
    "cp932": "JAPANESE",
    "euc_jp": "JAPANESE",
}
WESTERN = (
    "äöüß", "àâæçèéêëîïôœùûüÿ", "áéíñóúü", "àèéìíòóùú", "åäöé", "æøåéòô", "ëïéèöüáó", "äöåšž", "àçèéíïòóúü",
)  # fmt: skip
CENTRAL = ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţ", "čćđšž", "çë")
SHARED = "áâäéëíîóôöúüýçß"
"""Letters that cp1252 and cp1250 have in the same place, so that a loan word with one decides nothing."""
PORTUGUESE = "ãáâàçéêíóôõú"
LATIN_ALPHABETS = [
    *(("cp1252", alphabet) for alphabet in WESTERN),
    *(("cp1250", alphabet) for alphabet in CENTRAL),
    ("cp1252", PORTUGUESE),  # after Hungarian, all of whose letters are the Portuguese ones when it is misread
    ("cp1254", "çğıöşü"),
    *(("cp1257", alphabet) for alphabet in ("ąčęėįšųūž", "āčēģīķļņšūž", "äõöüšž")),
    *(("iso8859_2", alphabet) for alphabet in CENTRAL),
    *((encoding, alphabet) for encoding in ("mac_roman", "cp850") for alphabet in (*WESTERN, PORTUGUESE)),
    *(("cp852", alphabet) for alphabet in CENTRAL),
]
"""Encodings, the frequent ones first, each with the letters besides a to z of a language that was written in it."""
PUNCTUATION = set("‘’‚“”„«»‹›–—…•€£¥©®™°§¿¡·½¼¾²³×ºª№\xa0\xad")
FREQUENT_CYRILLIC = set("оеаинтсрвл")
INSIDE_WORDS = set("’–—…·\xa0\xad")


def latin_score(text: str, alphabet: str) -> float:
    """The fraction of the characters besides ASCII that fit to a language.

    A character fits if it is a letter of its alphabet and no capital inside a word, or if it is punctuation and not
    inside a word. Words without any letter of ASCII do not fit.

    Args:
        text (`str`): the text.
        alphabet (`str`): the small letters of the language besides a to z.
    """
    places = [i for i, character in enumerate(text) if not character.isascii()]
    strange = {i for word in re.finditer(r"\w{2,}", text) if _has_no_ascii(word[0]) for i in range(*word.span())}
    fitting = 0
    for i in places:
        is_known = text[i] in PUNCTUATION or text[i].lower()[0] in alphabet or text[i] == "İ"
        fitting += is_known and i not in strange and not _is_misplaced(text, i)
    return fitting / len(places) if places else 0.0


def script_score(text: str, encoding: str) -> float:
    """The fraction of the characters besides ASCII that are frequent characters of an encoding's script; 0 if most
    are punctuation, or if the text lacks what every text of the script has."""
    script = SCRIPT_ENCODINGS[encoding]
    characters = [character for character in text if not character.isascii() and not character.isspace()]
    fitting = sum(_is_frequent(character, script, encoding) for character in characters)
    punctuation = sum(_is_punctuation(character) for character in characters)
    if fitting < len(characters) / 2:
        return 0.0
    if script == "JAPANESE":
        kana = sum(_kind_of(character) in ("HIRAGANA", "KATAKANA") for character in characters)
        return (fitting + punctuation) / len(characters) if kana > len(characters) / 8 else 0.0
    places = [i for i, character in enumerate(text) if not character.isascii() and character.isalpha()]
    neighbours = [[_is_ascii_letter(text[i - 1 : i]), _is_ascii_letter(text[i + 1 : i + 2])] for i in places]
    if script in ("CHINESE", "KOREAN"):
        return (fitting + punctuation - sum(map(all, neighbours))) / len(characters)
    capitals = sum(_is_misplaced(text, i) for i in places)
    return (fitting + punctuation - sum(map(any, neighbours)) - capitals) / len(characters)


def cyrillic_frequency(text: str) -> float:
    """The fraction of the letters besides ASCII that are the most frequent ones of Slavic languages."""
    letters = [character for character in text.lower() if not character.isascii() and character.isalpha()]
    return sum(letter in FREQUENT_CYRILLIC for letter in letters) / max(1, len(letters))


def _is_frequent(character: str, script: str, encoding: str) -> bool:
    """Whether it belongs to the script, and if that is Chinese or Japanese, to the frequent part of it."""
    if script == "KOREAN":
        return _kind_of(character) == "HANGUL" and _lead_byte(character, "euc_kr") > 0
    if script == "CHINESE":
        national, last = ("gb2312", 0xD7) if encoding == "gb18030" else ("big5", 0xC6)
        first = 0xB0 if encoding == "gb18030" else 0xA4
        return _kind_of(character) == "CJK" and first <= _lead_byte(character, national) <= last
    if script == "JAPANESE":
        if _kind_of(character) in ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"):
            return True
        return _kind_of(character) == "CJK" and 0x88 <= _lead_byte(character, "shift_jis") <= 0x98
    return _kind_of(character) == script


def _is_punctuation(character: str) -> bool:
    return character in PUNCTUATION or _kind_of(character) in ("FULLWIDTH", "IDEOGRAPHIC")


def _is_misplaced(text: str, i: int) -> bool:
    """Whether the character is a capital after a small letter, or punctuation between letters."""
    before, after = text[i - 1 : i], text[i + 1 : i + 2]
    if text[i] in PUNCTUATION - INSIDE_WORDS:
        return before.isalpha() and after.isalpha()
    return text[i].isupper() and before.islower()


def _has_no_ascii(word: str) -> bool:
    return not any(character.isascii() for character in word)


def _is_ascii_letter(character: str) -> bool:
    return character.isascii() and character.isalpha()


def _kind_of(character: str) -> str:
    """The first word of its name in Unicode, which is mostly the script."""
    return unicodedata.name(character, "NONE").split(" ")[0]


def _lead_byte(character: str, encoding: str) -> int:
    """The first byte of a character in a national standard; 0 if it is not in there."""
    try:
        return character.encode(encoding)[0]
    except UnicodeEncodeError:
        return 0
