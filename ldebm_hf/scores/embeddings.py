"""Responses and references compared by the vectors of their words: how similar they are, and how well a response tells
its own reference from others.

Word vectors are loaded from a file (`load_word_vectors`) or trained on texts (`train_vectors_by_neighbours`). Compare
only scores that are based on the same vectors, and check the coverage first. Even unrelated texts of a language have
high similarities, so compare them with their chance level; retrieval has the same chance level for every model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..text.word_vectors import WordVectors, content_words


@dataclass(frozen=True)
class EmbeddingScores:
    """
    Mean cosine similarities over the pairs, -1 to 1 (published figures are 100 times these). Each score comes with its
    chance level: mean (`_chance`) and standard deviation (`_chance_std`) when responses are assigned to references at
    random.

    Args:
        average (`float`): Cosine of the mean word vectors of both texts.
        extrema (`float`): Cosine of the vectors with the most extreme value of each dimension.
        greedy (`float`): Cosine of each word with its most similar word in the other text, averaged over both
            directions.
        coverage (`float`): Fraction of the words of responses and references that have a vector.
        num_pairs (`int`): Number of pairs that were scored; both sides must have a word with a vector.
    """

    average: float
    average_chance: float
    average_chance_std: float
    extrema: float
    extrema_chance: float
    extrema_chance_std: float
    greedy: float
    greedy_chance: float
    greedy_chance_std: float
    coverage: float
    num_pairs: int


@dataclass(frozen=True)
class ResponseRetrieval:
    """
    How well responses tell what was really said from what was said elsewhere.

    Args:
        retrieval (`float`): Probability, 0 to 1, that a response is more similar to its own reference than to that of
            another context, drawn at random; ties count half. 0.5 is chance.
        retrieval_std_error (`float`): Its standard error over the contexts, as if they were independent of each other.
        num_responses (`int`): Number of responses that were scored; their reference must have a word with a vector.
    """

    retrieval: float
    retrieval_std_error: float
    num_responses: int


def average_similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Cosine of the mean word vectors of two texts, `(num_words, size)` each (Mitchell and Lapata, 2008)."""
    return _cosine(first.mean(0), second.mean(0))


def extrema_similarity(first: np.ndarray, second: np.ndarray) -> float:
    """
    Cosine of the vectors with the most extreme value of each dimension (Forgues et al., 2014).

    That is the largest value, or the smallest one where its magnitude is at least as large.
    """
    return _cosine(_extrema(first), _extrema(second))


def greedy_similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Mean cosine of each word with its most similar word in the other text (Rus and Lintean, 2012)."""
    cosines = _unit(first) @ _unit(second).T
    return float((cosines.max(0).mean() + cosines.max(1).mean()) / 2)


TIE = 1e-9
"""Difference of cosines up to which two references count as equally similar: the same words in another order are."""
COMPARED_AT_A_TIME = 512
"""Responses whose similarities to all references are in memory together."""

SIMILARITIES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "average": average_similarity,
    "extrema": extrema_similarity,
    "greedy": greedy_similarity,
}


def embedding_scores(
    responses: Sequence[str],
    references: Sequence[str],
    vectors: WordVectors,
    *,
    num_shuffles: int = 5,
    seed: int = 0,
) -> EmbeddingScores:
    """
    Score responses against one reference each, as in the published dialogue tables (Liu et al., EMNLP 2016).

    Special tokens such as `<sys>` and words without a vector are ignored, and so are pairs of which one side has no
    word with a vector.

    Args:
        responses (`Sequence[str]`): Texts whose words are separated by white space, in the letter case of `vectors`.
        references (`Sequence[str]`): One reference per response.
        vectors ([`WordVectors`]): Word vectors.
        num_shuffles (`int`, *optional*, defaults to 5): Random assignments for the chance level.
        seed (`int`, *optional*, defaults to 0): Seed of the random assignments.

    Raises:
        ValueError: The numbers of responses and references differ or are 0, no pair has vectors on both sides, or
            `num_shuffles` is below 1.
    """
    _check_pairs(responses, references)
    if num_shuffles < 1:
        raise ValueError(f"num_shuffles must be at least 1, got {num_shuffles}")
    words = [content_words(text) for text in (*responses, *references)]
    known = [vectors.look_up(own) for own in words]
    pairs = list(zip(known[: len(responses)], known[len(responses) :], strict=True))
    pairs = [(response, reference) for response, reference in pairs if len(response) and len(reference)]
    if not pairs:
        raise ValueError(f"vectors must cover words of both sides of a pair, got none in {len(responses)} pairs")
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(len(pairs)) for _ in range(num_shuffles)]
    scores = {}
    for name, similarity in SIMILARITIES.items():
        scores[name] = float(np.mean([similarity(*pair) for pair in pairs]))
        by_chance = [
            np.mean([similarity(pairs[other][0], pair[1]) for other, pair in zip(order, pairs, strict=True)])
            for order in orders
        ]
        scores[f"{name}_chance"], scores[f"{name}_chance_std"] = float(np.mean(by_chance)), float(np.std(by_chance))
    coverage = sum(map(len, known)) / max(sum(map(len, words)), 1)
    return EmbeddingScores(**scores, coverage=coverage, num_pairs=len(pairs))


def response_retrieval(
    responses: Sequence[str], references: Sequence[str], vectors: WordVectors
) -> ResponseRetrieval:
    """
    How often a response is more similar to what was really said than to what was said in another context.

    This is recall at 1 of 2 candidates, one of the measures by which Lowe et al. (SIGDIAL 2015) score the selection of
    a response, here with the written response as the query. It is averaged over all other references instead of over
    drawn ones, so that it has no noise of drawing and is the mean rank of the true reference. Similarity is the cosine
    of the mean word vectors after the mean vector of all references is subtracted; without that, a direction that all
    texts share dominates every cosine (Mu and Viswanath, ICLR 2018).

    Responses that ignore their context score 0.5 whatever their words are: one safe answer to everything exactly, and
    others on average over their assignments to contexts. The standard error is that of a U-statistic (Hoeffding,
    1948): a reference is compared with every response, so the comparisons are not independent. That turns of one
    dialogue are alike is not taken into account.

    Special tokens and words without a vector are ignored. A response without any word that is left is as similar to
    every reference; a reference without one is left out, with its response.

    Args:
        responses (`Sequence[str]`): Texts whose words are separated by white space, in the letter case of `vectors`.
        references (`Sequence[str]`): One reference per response.
        vectors ([`WordVectors`]): Word vectors.

    Raises:
        ValueError: The numbers of responses and references differ or are 0, or `vectors` cover words of fewer than two
            references.
    """
    _check_pairs(responses, references)
    means, known = _mean_vectors(references, vectors)
    count = int(known.sum())
    if count < 2:
        raise ValueError(f"vectors must cover words of at least two references, got {count} of {len(references)}")
    centre = means[known].mean(0)
    means = _unit(means[known] - centre)
    asked = [response for response, is_known in zip(responses, known, strict=True) if is_known]
    queries, has_words = _mean_vectors(asked, vectors)
    queries = _unit(np.where(has_words[:, None], queries - centre, 0.0))
    # By response the fraction of other references that are less similar than its own, and by reference the fraction of
    # other responses that are closer to their own.
    of_responses, of_references = np.zeros(count), np.zeros(count)
    for start in range(0, count, COMPARED_AT_A_TIME):
        rows = np.arange(start, min(start + COMPARED_AT_A_TIME, count))
        cosines = queries[rows] @ means.T
        margins = cosines[np.arange(len(rows)), rows][:, None] - cosines
        won = np.where(np.abs(margins) <= TIE, 0.5, margins > 0)
        won[np.arange(len(rows)), rows] = 0.0
        of_responses[rows] = won.sum(1) / (count - 1)
        of_references += won.sum(0) / (count - 1)
    return ResponseRetrieval(
        retrieval=float(of_responses.mean()),
        retrieval_std_error=float((of_responses + of_references).std(ddof=1) / count**0.5),
        num_responses=count,
    )


def _check_pairs(responses: Sequence[str], references: Sequence[str]) -> None:
    if len(responses) != len(references) or not len(responses):
        raise ValueError(
            f"references must be one per response, at least one, got {len(references)} for {len(responses)} responses"
        )


def _mean_vectors(texts: Sequence[str], vectors: WordVectors) -> tuple[np.ndarray, np.ndarray]:
    """The mean word vector of each text in float64, 0 without known words, and whether there is a known word."""
    means, known = np.zeros((len(texts), vectors.vectors.shape[1])), np.zeros(len(texts), dtype=bool)
    for row, text in enumerate(texts):
        of_words = vectors.look_up(content_words(text))
        if len(of_words):
            means[row], known[row] = of_words.mean(0, dtype=np.float64), True
    return means, known


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), np.finfo(vectors.dtype).tiny)


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    return float(_unit(first) @ _unit(second))


def _extrema(vectors: np.ndarray) -> np.ndarray:
    largest, smallest = vectors.max(0), vectors.min(0)
    return np.where(largest > np.abs(smallest), largest, smallest)
