"""How well the names of symbols, made of words, say what is in the symbols."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..model.distinctive_words import log_odds, top_words, words_of_names
from ..text.words import split_words

MAX_WORDS = 30_000
"""Most frequent words among which those of a name are chosen."""
NUM_NAMING_WORDS = 50
"""Most distinctive words of a symbol; the informative ones among them make the name."""


@dataclass(frozen=True)
class NameAccuracy:
    """
    Args:
        name_accuracy (`float`): Fraction of the texts whose symbol is guessed from the names alone, 0 to 1.
        name_accuracy_chance (`float`): The expected fraction if the same symbols were dealt out to the texts at
            random.
    """

    name_accuracy: float
    name_accuracy_chance: float


def name_by_words(texts: Sequence[str], symbols: np.ndarray, num_words: int = 3) -> dict[int, list[str]]:
    """
    The words of a name for every symbol, chosen as for the names that [`~LDEBMModel.explain`] suggests: the most
    distinctive ones by log-odds, without stop words. Names that would be equal have more words.

    Args:
        texts (`Sequence[str]`): Texts; their words are those of [`split_words`], in lower case.
        symbols (`np.ndarray` of shape `(n,)`): The symbol of each text, by id.
        num_words (`int`, *optional*, defaults to 3): Words of a name.

    Returns:
        `dict[int, list[str]]`: By symbol, of the symbols that some text has. Nothing distinguishes a single symbol,
        whose name has no words.

    Raises:
        ValueError: There is not one symbol per text.
    """
    symbols = _checked(texts, symbols)
    of_texts = [split_words(text.lower()) for text in texts]
    frequent = Counter(word for words in of_texts for word in words).most_common(MAX_WORDS)
    columns = {word: column for column, (word, _) in enumerate(frequent)}
    ids, rows = np.unique(symbols, return_inverse=True)
    counts = np.zeros((len(ids), len(columns)))
    for row, words in zip(rows, of_texts, strict=True):
        for word in words:
            if word in columns:
                counts[row, columns[word]] += 1
    chosen = top_words(log_odds(counts), counts, NUM_NAMING_WORDS)
    words = [[frequent[column][0] for column in of_symbol] for of_symbol in chosen]
    return dict(zip(ids.tolist(), words_of_names(words, num_words), strict=True))


def name_accuracy(names: Mapping[int, Sequence[str]], texts: Sequence[str], symbols: np.ndarray) -> NameAccuracy:
    """
    How often the symbol of a text can be guessed from the names of the symbols: the guess is the symbol whose name has
    most words in common with the text. If several have equally many, such as none, one of them is guessed at random;
    the expected fraction of right guesses is computed, not drawn.

    Args:
        names (`Mapping[int, Sequence[str]]`): The words of the symbols' names, in lower case, such as
            [`name_by_words`] of other texts.
        texts (`Sequence[str]`): At least one text; words as in [`name_by_words`].
        symbols (`np.ndarray` of shape `(n,)`): The symbol of each text, by id. One without a name is never guessed.

    Raises:
        ValueError: There are no texts or no names, or there is not one symbol per text.
    """
    symbols = _checked(texts, symbols)
    if not len(symbols) or not names:
        raise ValueError(f"texts and names must be at least one, got {len(symbols)} texts and {len(names)} names")
    ids = list(names)
    places: dict[str, list[int]] = {}
    for place, words in enumerate(names.values()):
        for word in set(words):
            places.setdefault(word, []).append(place)
    frequencies = np.array([(symbols == symbol).mean() for symbol in ids])
    right, by_chance = np.zeros(len(symbols)), np.zeros(len(symbols))
    for row, text in enumerate(texts):
        shared = np.zeros(len(ids))
        for word in set(split_words(text.lower())):
            shared[places.get(word, [])] += 1
        guessed = np.flatnonzero(shared == shared.max())
        right[row] = sum(ids[place] == symbols[row] for place in guessed) / len(guessed)
        by_chance[row] = frequencies[guessed].mean()
    return NameAccuracy(float(right.mean()), float(by_chance.mean()))


def _checked(texts: Sequence[str], symbols: np.ndarray) -> np.ndarray:
    symbols = np.asarray(symbols)
    if symbols.shape != (len(texts),):
        raise ValueError(f"symbols must be one per text, {len(texts)}, got shape {symbols.shape}")
    return symbols
