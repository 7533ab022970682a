"""How near responses come to references in the meaning of their words: average, extrema and greedy matching.

Word vectors are of a file (`load_word_vectors`), or trained on texts by scikit-learn. They decide the figures: compare
only scores with the same vectors, and look at the coverage first. Any two texts of a language are alike in these
scores: see the chance level.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..text.word_vectors import WordVectors, content_words


@dataclass(frozen=True)
class EmbeddingScores:
    """
    Cosines, means over pairs, -1 to 1 (published figures are 100 times these). Beside each the same for responses that
    are dealt out to the references at random, its mean and standard deviation over the shuffles.

    Args:
        average (`float`): of the means of the words' vectors.
        extrema (`float`): of the vectors of the largest magnitude in each dimension.
        greedy (`float`): of each word with its nearest in the other text, averaged over both directions.
        coverage (`float`): share of the words of responses and references that have a vector.
        num_pairs (`int`): pairs scored; those with a side without any vector are not.
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
    """Cosine of the mean vectors of two texts, `(num_words, size)` each (Mitchell and Lapata, 2008)."""
    return _cosine(first.mean(0), second.mean(0))


def extrema_similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Cosine of the vectors that take in each dimension the largest value or, if that is greater in magnitude, the
    smallest (Forgues et al., 2014); of two equally great ones the smallest."""
    return _cosine(_extrema(first), _extrema(second))


def greedy_similarity(first: np.ndarray, second: np.ndarray) -> float:
    """Mean cosine of each word with its nearest in the other text, over both directions (Rus and Lintean, 2012)."""
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
    Score responses against one reference each, as the published dialogue tables do (Liu et al., EMNLP 2016): marks
    such as `<sys>` are taken out, words without a vector and pairs with an empty side are passed over.

    Args:
        responses (`Sequence[str]`), references (`Sequence[str]`): One each per pair; words are what stands between
            white space, in the case that the vectors' words are in.
        vectors ([`WordVectors`]): Of `load_word_vectors` or `train_vectors_by_neighbours`.
        num_shuffles (`int`, *optional*, defaults to 5): Random assignments for the chance level.
        seed (`int`, *optional*, defaults to 0): Of those.

    Raises:
        ValueError: Not one reference per response, none, no pair with vectors on both sides; `num_shuffles` below 1.
    """
    if len(responses) != len(references) or not len(responses):
        raise ValueError(
            f"references must be one per response, and not none, got {len(references)} and {len(responses)}"
        )
    if num_shuffles < 1:
        raise ValueError(f"num_shuffles must be at least 1, got {num_shuffles}")
    words = [content_words(text) for text in (*responses, *references)]
    known = [vectors.of(own) for own in words]
    pairs = list(zip(known[: len(responses)], known[len(responses) :], strict=True))
    pairs = [(response, reference) for response, reference in pairs if len(response) and len(reference)]
    if not pairs:
        raise ValueError(f"vectors must have words of both sides of some pair, got none of {len(responses)} pairs")
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
