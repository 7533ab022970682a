"""Vectors of words, trained in-domain or read from a file, and texts as their averages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .words import split_words


@dataclass(frozen=True, eq=False)
class WordVectors:
    """
    Args:
        words (`dict[str, int]`): The row of each word.
        vectors (`np.ndarray` of shape `(num_words, size)`): float32.

    Of gensim's `KeyedVectors` `v`: `WordVectors(v.key_to_index, v.vectors)`.
    """

    words: dict[str, int]
    vectors: np.ndarray

    def __post_init__(self):
        if self.vectors.ndim != 2 or len(self.words) != len(self.vectors):
            expected = f"({len(self.words)}, size), a row per word"
            raise ValueError(f"vectors must have shape {expected}, got {self.vectors.shape}")

    def look_up(self, words: Iterable[str]) -> np.ndarray:
        """The vectors of the words that have one, `(n, size)`."""
        rows = [row for row in map(self.words.get, words) if row is not None]
        return self.vectors[rows]

    def average(self, texts: Sequence[str]) -> np.ndarray:
        """Mean vector of each text's known words, `(len(texts), size)`; 0 for a text without any."""
        means = np.zeros((len(texts), self.vectors.shape[1]), dtype=np.float32)
        for row, text in enumerate(texts):
            known = self.look_up(split_words(text.lower()))
            if len(known):
                means[row] = known.mean(0)
        return means

    def coverage(self, texts: Iterable[str]) -> float:
        """Share of the words of the texts that have a vector. State it with any score."""
        words = [word for text in texts for word in split_words(text.lower())]
        return sum(word in self.words for word in words) / max(1, len(words))


def content_words(text: str) -> list[str]:
    """The words of a text, at white space, without marks: those that begin with `<` or end with `>`."""
    return [word for word in text.split() if not word.startswith("<") and not word.endswith(">")]


def load_word_vectors(path: str | Path, words: Iterable[str] | None = None) -> WordVectors:
    """
    Word vectors from a text file, GloVe's (`word v1 … vn` a line) or word2vec's (the same behind a line with the two
    sizes); of a word that stands there twice the first.

    Args:
        path (`str` or `Path`): The file, UTF-8.
        words (`Iterable[str]`, *optional*): Keep these only, which saves memory.

    Raises:
        FileNotFoundError: Naming the path that was looked for.
        ValueError: For a file that is not such a text, with the line; no word kept.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no word vectors: looked for {path.absolute()}")
    wanted = None if words is None else set(words)
    rows: dict[str, int] = {}
    vectors: list[np.ndarray] = []
    size = None
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                parts = line.rstrip().split(" ")
                if number == 1 and len(parts) == 2:  # word2vec's line of sizes
                    size = int(parts[1])
                    continue
                size = len(parts) - 1 if size is None else size
                word = " ".join(parts[:-size])  # some of GloVe's words hold spaces
                if size < 1 or len(parts) <= size or not word:
                    raise ValueError(f"a word and {size} numbers expected, got {line[:40]!r}")
                if word in rows or (wanted is not None and word not in wanted):
                    continue
                vectors.append(np.array(parts[-size:], dtype=np.float32))
                rows[word] = len(rows)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be a text file of word vectors (UTF-8): {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}, line {number}: {error}") from None
    if not rows:
        raise ValueError(f"{path} holds no vector" + (" of the words asked for" if wanted else ""))
    return WordVectors(rows, np.stack(vectors))


def train_vectors_by_texts(
    texts: Sequence[str],
    size: int = 300,
    *,
    min_count: int = 5,
    max_words: int = 30_000,
    seed: int = 0,
    split: Callable[[str], list[str]] = split_words,
) -> WordVectors:
    """
    Word vectors from which words share texts, whatever their order, for topics of texts: the singular vectors of
    positive pointwise mutual information, scaled by the square roots of the singular values (Levy et al., TACL 2015).
    Stop words have none.

    Args:
        texts (`Sequence[str]`): Short ones, as a whole text is a word's context.
        size (`int`, *optional*, defaults to 300): Numbers per vector, at most one fewer than there are words.
        min_count (`int`, *optional*, defaults to 5): Texts that must have a word.
        max_words (`int`, *optional*, defaults to 30000): The most frequent ones are kept.
        seed (`int`, *optional*, defaults to 0): Of the randomised decomposition.
        split (`Callable`, *optional*, defaults to `split_words`): From a text in lower case to its words.

    Raises:
        ValueError: Fewer than two words that are frequent enough.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.utils.extmath import randomized_svd

    options = {"tokenizer": split, "token_pattern": None, "stop_words": "english", "binary": True}
    vectorizer = CountVectorizer(min_df=min_count, max_features=max_words, **options)
    try:
        presence = vectorizer.fit_transform(texts).astype(np.float32)
    except ValueError as error:
        reason = f"texts hold no word that {min_count} of them have (min_count); words must stand between spaces"
        raise ValueError(reason) from error
    if presence.shape[1] < 2:
        raise ValueError(f"texts must have two words that {min_count} of them have (min_count), got one")
    size = min(size, presence.shape[1] - 1)
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


def train_vectors_by_neighbours(
    texts: Iterable[str], *, size: int = 100, window: int = 5, min_count: int = 2, seed: int = 0
) -> WordVectors:
    """
    Word vectors from which words stand near each other, stop words among them, for scores of responses without a
    file: singular vectors of positive pointwise mutual information (Levy, Goldberg and Dagan, TACL 2015; context
    distribution smoothed by 0.75, singular values to the power ½), by scikit-learn's `TruncatedSVD`.

    Args:
        texts (`Iterable[str]`): Training texts; their words are [`content_words`].
        size (`int`, *optional*, defaults to 100): Of a vector; less than the number of words if there are few.
        window (`int`, *optional*, defaults to 5): Words before and after that make a word's context.
        min_count (`int`, *optional*, defaults to 2): Rarer words have no vector.
        seed (`int`, *optional*, defaults to 0): Of the randomised decomposition.

    Raises:
        ValueError: A number below 1, or texts with fewer than three words that are frequent enough.
    """
    from scipy.sparse import coo_array
    from sklearn.decomposition import TruncatedSVD

    for name, value in {"size": size, "window": window, "min_count": min_count}.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    documents = [content_words(text) for text in texts]
    counts = Counter(word for words in documents for word in words)
    kept = sorted((word for word, count in counts.items() if count >= min_count), key=lambda w: (-counts[w], w))
    if len(kept) < 3:
        raise ValueError(f"texts must have at least 3 words of min_count={min_count}, got {len(kept)}")
    words = {word: row for row, word in enumerate(kept)}
    first, second = [], []
    for document in documents:
        ids = np.array([words[word] for word in document if word in words], dtype=np.int64)
        for offset in range(1, min(window, len(ids) - 1) + 1):
            first += [ids[:-offset], ids[offset:]]
            second += [ids[offset:], ids[:-offset]]
    if not first:
        raise ValueError("texts must have words beside each other, got none")
    shape = (len(words), len(words))
    rows, columns = np.concatenate(first), np.concatenate(second)
    pairs = coo_array((np.ones(len(rows)), (rows, columns)), shape=shape).tocsr().tocoo()
    smoothed = pairs.sum(0) ** 0.75
    of_word, of_context = pairs.sum(1), smoothed / smoothed.sum()
    information = np.log(pairs.data / of_word[pairs.row] / of_context[pairs.col])
    positive = coo_array((np.maximum(information, 0), (pairs.row, pairs.col)), shape=shape).tocsr()
    decomposition = TruncatedSVD(min(size, len(words) - 1), random_state=seed)
    projected = decomposition.fit_transform(positive)  # U Σ
    scale = np.sqrt(np.maximum(decomposition.singular_values_, np.finfo(float).tiny))
    return WordVectors(words, (projected / scale).astype(np.float32))
