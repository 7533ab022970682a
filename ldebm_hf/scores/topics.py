"""Topics by their top words: whether the words of one belong together, and whether topics differ."""

from collections.abc import Iterable, Sequence

import numpy as np


def topic_coherence(topics: Sequence[Sequence[str]], documents: Iterable[Iterable[str]]) -> np.ndarray:
    """
    Mean normalised pointwise mutual information of the pairs of a topic's words (Bouma, 2009; Lau et al., EACL 2014):

        NPMI(a, b) = log [ p(a, b) / p(a) p(b) ] / -log p(a, b),

    where p is the share of documents that have the words. 1 for words that are only ever together, 0 for independent
    ones, -1 for a pair that no document has, which includes words that no document has.

    Args:
        topics (`Sequence[Sequence[str]]`): Top words of each topic, at least two different ones (10 is usual).
        documents (iterable of iterables of `str`): Words of each document; those that no topic was fitted on tell
            most.

    Returns:
        `np.ndarray` of shape `(len(topics),)`.

    Raises:
        ValueError: A topic without a pair of words, or no documents.
    """
    for topic in topics:
        if len(set(topic)) < 2:
            raise ValueError(f"topics must have two different words each, got {list(topic)}")
    places = {word: place for place, word in enumerate(sorted({word for topic in topics for word in topic}))}
    together, num_documents = np.zeros((len(places), len(places))), 0
    for words in documents:
        present = sorted({places[word] for word in words if word in places})
        together[np.ix_(present, present)] += 1
        num_documents += 1
    if not num_documents:
        raise ValueError("documents must be at least one, got none")
    together /= num_documents
    return np.array([_mean_npmi(together, sorted({places[word] for word in topic})) for topic in topics])


def topic_diversity(topics: Sequence[Sequence[str]]) -> float:
    """
    Share of different words among the top words of all topics (Dieng et al., TACL 2020): 1 if no two topics share one,
    1/K if all K are the same.

    Raises:
        ValueError: No words.
    """
    words = [word for topic in topics for word in topic]
    if not words:
        raise ValueError(f"topics must have words, got {topics!r}")
    return len(set(words)) / len(words)


def _mean_npmi(together: np.ndarray, words: list[int]) -> float:
    of_words = together[np.ix_(words, words)]
    first, second = np.triu_indices(len(words), k=1)
    alone, pairs = of_words.diagonal(), of_words[first, second]
    values = np.full(len(pairs), -1.0)
    values[pairs == 1] = 1.0  # the limit where all documents have both
    some = (pairs > 0) & (pairs < 1)
    ratio = pairs[some] / (alone[first[some]] * alone[second[some]])
    values[some] = np.log(ratio) / -np.log(pairs[some])
    return float(values.mean())
