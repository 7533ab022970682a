"""Scores of topics by their top words: coherence of each topic, and diversity of all."""

from collections.abc import Iterable, Sequence

import numpy as np


def topic_coherence(topics: Sequence[Sequence[str]], documents: Iterable[Iterable[str]]) -> np.ndarray:
    """
    Mean normalised pointwise mutual information of the pairs of a topic's words (Bouma, 2009; Lau et al., EACL 2014):

        NPMI(a, b) = log [ p(a, b) / p(a) p(b) ] / -log p(a, b),

    where p is the fraction of the documents that contain the words. It is 1 for words that only occur together, 0 for
    independent words, and -1 for a pair that no document contains, including words that no document contains.

    gensim's `c_npmi` has the same values for pairs that occur together, if its window covers whole documents. It adds
    1e-12 to p(a, b), so that the value of other pairs is above -1 and depends on p(a) and p(b).

    Args:
        topics (`Sequence[Sequence[str]]`): Top words of each topic, at least two different ones (10 is usual).
        documents (iterable of iterables of `str`): Words of each document. Held-out documents, on which no topic was
            fitted, are the most informative.

    Returns:
        `np.ndarray` of shape `(len(topics),)`.

    Raises:
        ValueError: A topic without two different words, or no documents.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    for topic in topics:
        if len(set(topic)) < 2:
            raise ValueError(f"topics must have two different words each, got {list(topic)}")
    places = {word: place for place, word in enumerate(sorted({word for topic in topics for word in topic}))}
    # (num_documents, num_words): whether a document contains a word
    present = CountVectorizer(analyzer=list, vocabulary=places, binary=True).transform(documents)
    if not present.shape[0]:
        raise ValueError("documents must contain at least one document, got none")
    together = (present.T @ present).toarray() / present.shape[0]
    return np.array([_mean_npmi(together, sorted({places[word] for word in topic})) for topic in topics])


def topic_diversity(topics: Sequence[Sequence[str]]) -> float:
    """
    Fraction of distinct words among the top words of all topics (Dieng et al., TACL 2020): 1 if no two topics share a
    word, 1/K if all K topics are the same.

    Raises:
        ValueError: There are no words.
    """
    words = [word for topic in topics for word in topic]
    if not words:
        raise ValueError(f"topics must have words, got {topics!r}")
    return len(set(words)) / len(words)


def _mean_npmi(together: np.ndarray, words: list[int]) -> float:
    frequencies = together[np.ix_(words, words)]
    first, second = np.triu_indices(len(words), k=1)
    alone, pairs = frequencies.diagonal(), frequencies[first, second]
    values = np.full(len(pairs), -1.0)
    values[pairs == 1] = 1.0  # the limit if all documents contain both
    some = (pairs > 0) & (pairs < 1)
    ratio = pairs[some] / (alone[first[some]] * alone[second[some]])
    values[some] = np.log(ratio) / -np.log(pairs[some])
    return float(values.mean())
