"""Real texts with the errors that a weak generator makes: the counterpart of real texts for a judge of acceptability.

Errors of single words follow work on artificial errors for grammatical error detection and on judging generated text
against corrupted text (Wagner, Foster and van Genabith, 2009; Felice and Yuan, 2014); texts of an n-gram model are
fluent over a few words and wrong as a whole. Some corrupted texts are acceptable by chance, as when an adjective is
dropped, so that no judge can be right about all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from .ngrams import NgramModel

FUNCTION_WORDS = (
    ("a", "an", "the", "these"),
    ("am", "is", "are", "was", "were", "be", "been", "being"),
    ("has", "have", "had", "having"),
    ("do", "does", "did", "done", "doing"),
    ("i", "me", "my", "mine"),
    ("we", "us", "our"),
    ("he", "him", "his"),
    ("they", "them", "their", "there"),
    ("it", "its", "'s"),
    ("to", "for", "of", "at", "in", "on", "with", "from", "by", "than"),
    ("that", "which", "who", "what", "because", "if", "when"),
)
"""English function words that are confused with each other."""
ENDINGS = (("", "s"), ("", "es"), ("", "d"), ("", "ed"), ("", "ing"), ("", "ly"), ("", "er"), ("", "est"),
           ("e", "ing"), ("y", "ies"), ("y", "ied"), ("y", "ily"), ("s", "ed"), ("s", "ing"),
           ("ed", "ing"))  # fmt: skip
"""English endings of two forms of one word: both forms must occur in the texts."""
MARKS = frozenset(".!?…,;:")
MAX_WORD_ERRORS = 3
"""Largest number of errors of single words that are made in one text."""
MAX_TRIES = 1000
"""Attempts to corrupt one text, of which most texts need one or two."""

Edit = Callable[[list[str], np.random.Generator], list[str] | None]


class TextCorruption:
    """
    Makes errors in texts, with words, counts and other halves from a collection of real texts.

    Words are separated by white space. A corrupted text is never one of the real texts.

    Args:
        texts (`Sequence[str]`): Real texts, at least two, in the same words as those that will be corrupted.

    Attributes:
        word_errors, text_errors (`dict[str, Callable]`): The kinds of errors by name, of single words and of a text as
            a whole: functions of a text's words and a random generator, which return the corrupted text's words or
            `None` if the text leaves no room for that error.

    Raises:
        ValueError: There are fewer than two texts with words.
    """

    def __init__(self, texts: Sequence[str]):
        self.sentences = [words for words in (text.split() for text in texts) if words]
        if len(self.sentences) < 2:
            raise ValueError(f"texts must include at least 2 with words, got {len(self.sentences)}")
        self.known = {" ".join(words) for words in self.sentences}
        counts = Counter(word for words in self.sentences for word in words)
        self.words = sorted(counts, key=lambda word: (-counts[word], word))
        self.rank = {word: rank for rank, word in enumerate(self.words)}
        frequencies = np.array([counts[word] for word in self.words])
        self.cumulative = frequencies.cumsum() / frequencies.sum()
        self.begin, self.end = len(self.words), len(self.words) + 1
        token_ids = ([self.begin, *(self.rank[word] for word in words), self.end] for words in self.sentences)
        self.ngrams = NgramModel(token_ids, len(self.words) + 2)
        self.groups = {word: group for group in FUNCTION_WORDS for word in group}
        self.word_errors: dict[str, Edit] = {
            "drop": self.drop,
            "double": self.double,
            "swap": self.swap,
            "replace": self.replace,
            "insert": self.insert,
            "confuse": self.confuse,
            "inflect": self.inflect,
            "cut": self.cut,
        }
        self.text_errors: dict[str, Edit] = {
            "join": self.join,
            "redraw": self.redraw,
            "bigrams": self.bigrams,
            "trigrams": self.trigrams,
        }

    def __call__(self, texts: Sequence[str], seed: int = 0) -> list[str]:
        """
        Corrupt each text, with equal probability by an error of the text as a whole or by one to three errors of
        single words. Kinds of errors are drawn with equal probability, too.

        Args:
            texts (`Sequence[str]`): Texts with at least one word.
            seed (`int`, *optional*, defaults to 0): Seed of all draws.

        Returns:
            `list[str]`: As many texts, none of which is a real text or the text that it was made from.

        Raises:
            ValueError: A text has no word, or every error makes a real text of it.
        """
        rng = np.random.default_rng(seed)
        return [self._corrupt(text, rng) for text in texts]

    def _corrupt(self, text: str, rng: np.random.Generator) -> str:
        words = text.split()
        if not words:
            raise ValueError(f"texts must have at least one word each, got {text!r}")
        word_errors, text_errors = list(self.word_errors.values()), list(self.text_errors.values())
        for _ in range(MAX_TRIES):
            kinds, number = text_errors, 1
            if rng.random() < 0.5:
                kinds, number = word_errors, rng.integers(1, MAX_WORD_ERRORS + 1)
            corrupted = words
            for _ in range(number):
                corrupted = kinds[rng.integers(len(kinds))](corrupted, rng) or corrupted
            if corrupted != words and " ".join(corrupted) not in self.known:
                return " ".join(corrupted)
        raise ValueError(f"every error that was tried makes a real text of {text!r}")

    def drop(self, words: list[str], rng: np.random.Generator) -> list[str] | None:
        """Leave out one word."""
        if len(words) < 2:
            return None
        place = rng.integers(len(words))
        return words[:place] + words[place + 1 :]

    def double(self, words: list[str], rng: np.random.Generator) -> list[str]:
        """Write one word twice."""
        place = rng.integers(len(words))
        return words[: place + 1] + words[place:]

    def swap(self, words: list[str], rng: np.random.Generator) -> list[str] | None:
        """Exchange two neighbouring words that differ."""
        places = [place for place in range(len(words) - 1) if words[place] != words[place + 1]]
        if not places:
            return None
        place = places[rng.integers(len(places))]
        return [*words[:place], words[place + 1], words[place], *words[place + 2 :]]

    def replace(self, words: list[str], rng: np.random.Generator) -> list[str] | None:
        """Replace one word by another of like frequency: its rank differs by at most a quarter, or by ten."""
        places = [place for place, word in enumerate(words) if word in self.rank]
        if not places or len(self.words) < 2:
            return None
        place = places[rng.integers(len(places))]
        rank = self.rank[words[place]]
        reach = max(10, rank // 4)
        others = [other for other in range(rank - reach, rank + reach + 1) if 0 <= other < len(self.words)]
        others.remove(rank)
        return [*words[:place], self.words[others[rng.integers(len(others))]], *words[place + 1 :]]

    def insert(self, words: list[str], rng: np.random.Generator) -> list[str]:
        """Insert a word, drawn by its frequency, anywhere but at the end."""
        place = rng.integers(len(words))
        drawn = self.words[np.searchsorted(self.cumulative, rng.random(), side="right")]
        return [*words[:place], drawn, *words[place:]]

    def confuse(self, words: list[str], rng: np.random.Generator) -> list[str] | None:
        """Replace a function word by another of its group that occurs in the texts (`FUNCTION_WORDS`)."""
        choices = [
            (place, other)
            for place, word in enumerate(words)
            for other in self.groups.get(word, ())
            if other != word and other in self.rank
        ]
        return self._replaced(words, choices, rng)

    def inflect(self, words: list[str], rng: np.random.Generator) -> list[str] | None:
        """Replace a word by another form of it that occurs in the texts (`ENDINGS`)."""
        choices = [(place, other) for place, word in enumerate(words) for other in self.forms(word)]
        return self._replaced(words, choices, rng)

    def cut(self, words: list[str], rng: np.random.Generator) -> list[str] | None:
        """Cut up to half of the words off the end; a mark at the end stays."""
        mark = words[-1:] if words[-1] in MARKS else []
        body = words[: len(words) - len(mark)]
        if len(body) < 2:
            return None
        return body[: len(body) - rng.integers(1, len(body) // 2 + 1)] + mark

    def join(self, words: list[str], rng: np.random.Generator) -> list[str] | None:
        """Join the first half of the text to the second half of another one."""
        other = self.sentences[rng.integers(len(self.sentences))]
        if len(words) < 2 or len(other) < 2:
            return None
        return words[: len(words) // 2] + other[len(other) // 2 :]

    def redraw(self, words: list[str], rng: np.random.Generator) -> list[str] | None:
        """Redraw one to three words in a row from bigrams: each may follow the word before it."""
        place = int(rng.integers(len(words)))
        count = min(int(rng.integers(1, 4)), len(words) - place)
        before = self.begin if place == 0 else self.rank.get(words[place - 1])
        if before is None:
            return None
        drawn = self._draw(before, count, 1, rng)
        return [*words[:place], *drawn, *words[place + count :]]

    def bigrams(self, words: list[str], rng: np.random.Generator) -> list[str] | None:
        """Write another text from bigrams, with at most twice the words."""
        return self._draw(self.begin, 2 * len(words), 1, rng)

    def trigrams(self, words: list[str], rng: np.random.Generator) -> list[str] | None:
        """Write another text from trigrams, with at most twice the words."""
        return self._draw(self.begin, 2 * len(words), 2, rng)

    def forms(self, word: str) -> list[str]:
        """Other forms of a word that occur in the texts, by its ending."""
        found = set()
        for one, other in ENDINGS:
            for old, new in ((one, other), (other, one)):
                stem = word.removesuffix(old)
                if word.endswith(old) and len(stem) >= 3 and stem + new in self.rank:
                    found.add(stem + new)
        return sorted(found - {word})

    def _draw(self, first: int, num_words: int, num_before: int, rng: np.random.Generator) -> list[str]:
        """Draw at most `num_words` words after a first one, each after the `num_before` words before it."""
        drawn = [first]
        while len(drawn) <= num_words:
            word = self.ngrams.draw_word(drawn[-num_before:], rng)
            if word == self.end:
                break
            if word != self.begin:
                drawn.append(word)
        return [self.words[word] for word in drawn[1:]]

    @staticmethod
    def _replaced(words: list[str], choices: list[tuple[int, str]], rng: np.random.Generator) -> list[str] | None:
        """Replace a word by one of the choices of place and word; `None` if there is no choice."""
        if not choices:
            return None
        place, other = choices[rng.integers(len(choices))]
        return [*words[:place], other, *words[place + 1 :]]
