"""Similarity of responses and references by the vectors of their words: average, extrema and greedy matching.

Word vectors are loaded from a file (`load_word_vectors`) or trained on texts (`train_vectors_by_neighbours`). Compare
only scores that are based on the same vectors, and check the coverage first. Even unrelated texts of a language have
high scores, so compare them with their chance level.
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
    if len(responses) != len(references) or not len(responses):
        raise ValueError(
            f"references must be one per response, at least one, got {len(references)} for {len(responses)} responses"
        )
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


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), np.finfo(vectors.dtype).tiny)


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    return float(_unit(first) @ _unit(second))


def _extrema(vectors: np.ndarray) -> np.ndarray:
    largest, smallest = vectors.max(0), vectors.min(0)
    return np.where(largest > np.abs(smallest), largest, smallest)
