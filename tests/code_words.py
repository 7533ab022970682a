"""Corpora of made-up words of a few classes, the same ones rendered in different scripts."""

import random
import unicodedata

# Consonants and vowel signs, so that words have combining marks where the script has them.
SCRIPTS = {
    "latin": ("bdfgklmnprstvz", "aeiou"),
    "devanagari": ("कखगचजटडतदनपबमरलवसह", "ािीुूेैोौ"),
    "tamil": ("கசடதநபமயரலவழளறன", "ாிீுூெேைொோௌ"),
    "thai": ("กขคงจชดตถทนบปพมยรลวสห", "ะาิีุูแ"),
    "vietnamese": ("bcdghklmnpqrstvx", [unicodedata.normalize("NFD", v) for v in "ầếộữăơịọẫỉ"]),
    "chinese": (None, None),
    "japanese": ("あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめも", None),
}
WITHOUT_SPACES = {"thai", "chinese", "japanese"}


def render(number: int, script: str) -> str:
    """A word for a number; different ones for different numbers."""
    rng = random.Random(f"{script} {number}")
    consonants, vowels = SCRIPTS[script]
    if script == "chinese":
        return "".join(chr(rng.randrange(0x4E00, 0x4E00 + 3000)) for _ in range(2))
    if script == "japanese":
        return "".join(rng.choice(consonants) for _ in range(3))
    return "".join(rng.choice(consonants) + rng.choice(vowels) for _ in range(3))


def code_corpus(script: str, num_texts: int = 300, num_classes: int = 3, seed: int = 0) -> list[tuple[str, str]]:
    """Texts of six words, half of them of their class's twelve and half of twenty that all classes share, and the
    names of their classes; the same choice of words in every script."""
    rng = random.Random(seed)
    space = "" if script in WITHOUT_SPACES else " "
    rows = []
    for index in range(num_texts):
        label = index % num_classes
        numbers = [1000 * (label + 1) + rng.randrange(12) for _ in range(3)] + [rng.randrange(20) for _ in range(3)]
        rng.shuffle(numbers)
        rows.append((space.join(render(number, script) for number in numbers), f"class {label}"))
    return rows
