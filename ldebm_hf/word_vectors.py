"""Vectors of words, trained in-domain or read from a file, and texts as their averages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

WORDS = re.compile(r"\w+")


@dataclass(eq=False)
class WordVectors:
    """
    Args:
        places (`dict[str, int]`): Row of each word.
        vectors (`np.ndarray` of shape `(num_words, size)`): float32.
    """

    places: dict[str, int]
    vectors: np.ndarray

    def average(self, texts: Sequence[str]) -> np.ndarray:
        """Mean vector of each text's known words, `(len(texts), size)`; 0 for a text without any."""
        means = np.zeros((len(texts), self.vectors.shape[1]), dtype=np.float32)
        for row, text in enumerate(texts):
            known = [self.places[word] for word in WORDS.findall(text.lower()) if word in self.places]
            if known:
                means[row] = self.vectors[known].mean(0)
        return means

    def coverage(self, texts: Iterable[str]) -> float:
        """Share of the words of the texts that have a vector. State it with any score."""
        words = [word for text in texts for word in WORDS.findall(text.lower())]
        return sum(word in self.places for word in words) / max(1, len(words))


def read_word_vectors(path: str | Path, words: Iterable[str] | None = None) -> WordVectors:
    """
    Read vectors in GloVe's format: a word and its numbers a line, apart by spaces.

    Args:
        path (`str` or `Path`): The file. A first line of two integers, as word2vec writes it, is passed over.
        words (iterable of `str`, *optional*): Keep only these.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A line that is not a word and as many numbers as the first one has (with its number); no word kept.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: looked for {path.absolute()}")
    wanted = None if words is None else set(words)
    places: dict[str, int] = {}
    rows: list[np.ndarray] = []
    size = 0
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            word, *values = line.rstrip("\n ").split(" ")
            if number == 1 and len(values) == 1 and word.isdigit() and values[0].isdigit():
                continue
            size = size or len(values)
            # Some words of the released files hold spaces: the numbers are the last ones.
            word, values = " ".join([word, *values[: len(values) - size]]), values[len(values) - size :]
            if (wanted is not None and word not in wanted) or word in places:
                continue
            try:
                row = np.array(values, dtype=np.float32)
            except ValueError:
                row = np.empty(0)
            if len(row) != size or not size:
                expected = f"a word and {size or 'its'} numbers"
                raise ValueError(f"{path}, line {number}: expected {expected}, got {line[:60]!r}")
            places[word] = len(rows)
            rows.append(row)
    if not rows:
        raise ValueError(f"{path} holds none of the words wanted" if wanted else f"{path} holds no vectors")
    return WordVectors(places, np.stack(rows))


def train_word_vectors(
    texts: Sequence[str], size: int = 300, *, min_count: int = 5, max_words: int = 30_000, seed: int = 0
) -> WordVectors:
    """
    Vectors from which words share texts: the singular vectors of their positive pointwise mutual information, scaled
    by the square roots of the singular values (Levy et al., TACL 2015). Stop words have none.

    Args:
        texts (`Sequence[str]`): Short ones, as a whole text is a word's context.
        size (`int`, *optional*, defaults to 300): Numbers per vector; fewer than words.
        min_count (`int`, *optional*, defaults to 5): Texts that must have a word.
        max_words (`int`, *optional*, defaults to 30000): The most frequent ones are kept.
        seed (`int`, *optional*, defaults to 0): Of the randomised decomposition.

    Raises:
        ValueError: Fewer than `size` + 1 words that are frequent enough.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.utils.extmath import randomized_svd

    options = {"token_pattern": WORDS.pattern, "stop_words": "english", "binary": True}
    vectorizer = CountVectorizer(min_df=min_count, max_features=max_words, **options)
    try:
        presence = vectorizer.fit_transform(texts).astype(np.float32)
    except ValueError as error:
        raise ValueError(f"texts hold no word that {min_count} of them have (min_count)") from error
    if presence.shape[1] <= size:
        raise ValueError(f"size must be less than the number of words, {presence.shape[1]}, got {size}")
    information = positive_information(presence)
    left, strengths, _ = randomized_svd(information, size, n_iter=2, random_state=seed)
    vectors = left * np.sqrt(strengths)
    return WordVectors(dict(vectorizer.vocabulary_), vectors.astype(np.float32))


def positive_information(presence):
    """
    max(0, log p(a, b) / (p(a) p(b))) of pairs of different words, sparse `(num_words, num_words)`, where p counts
    pairs of words that share a text.

    Args:
        presence (sparse matrix of shape `(num_texts, num_words)`): 1 where a text has a word.
    """
    from scipy.sparse import csr_array

    pairs = (presence.T @ presence).tocoo()
    different = pairs.row != pairs.col
    rows, columns, counts = pairs.row[different], pairs.col[different], pairs.data[different].astype(np.float64)
    of_word = np.bincount(rows, weights=counts, minlength=presence.shape[1])
    information = np.log(counts * of_word.sum() / (of_word[rows] * of_word[columns]))
    positive = information > 0
    values = information[positive].astype(np.float32)
    return csr_array((values, (rows[positive], columns[positive])), shape=pairs.shape)
