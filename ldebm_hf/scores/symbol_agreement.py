"""Symbols against true classes, with what symbols that know nothing of the classes would score."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SymbolScores:
    """Agreement of a whole set's symbols with its classes; 1 is perfect.

    Next to each score stand its mean (`_chance`) and standard deviation (`_chance_std`) over random permutations of
    the symbols. Chance is far from 0 where there are few examples per symbol, in all scores but the Rand index.

    Args:
        homogeneity (`float`): I(symbol; class) / H(class): 1 if each symbol has members of one class only.
        completeness (`float`): I(symbol; class) / H(symbol): 1 if each class lies in one symbol.
        v_measure (`float`): their harmonic mean (Rosenberg and Hirschberg, 2007).
        adjusted_rand (`float`): the Rand index, corrected so that chance is 0 (Hubert and Arabie, 1985).
        normalized_mutual_information (`float`): I(symbol; class) over the arithmetic mean of the two entropies,
            scikit-learn's default. That is the V-measure under another name.
    """

    homogeneity: float
    homogeneity_chance: float
    homogeneity_chance_std: float
    completeness: float
    completeness_chance: float
    completeness_chance_std: float
    v_measure: float
    v_measure_chance: float
    v_measure_chance_std: float
    adjusted_rand: float
    adjusted_rand_chance: float
    adjusted_rand_chance_std: float
    normalized_mutual_information: float
    normalized_mutual_information_chance: float
    normalized_mutual_information_chance_std: float


@dataclass(frozen=True)
class BatchedHomogeneity:
    """Homogeneity within batches; a figure to set beside published ones, and not to be read without its chance level.

    Args:
        batched_homogeneity (`float`): the mean over batches, weighted by their sizes.
        batched_homogeneity_chance, batched_homogeneity_chance_std (`float`): mean and standard deviation over random
            permutations of the whole set's symbols.
    """

    batched_homogeneity: float
    batched_homogeneity_chance: float
    batched_homogeneity_chance_std: float


def symbol_scores(symbols: np.ndarray, classes: np.ndarray, num_permutations: int = 20, seed: int = 0) -> SymbolScores:
    """Score the symbols of a whole set at once, as neither score of a set is the mean of its batches'.

    Args:
        symbols (`np.ndarray` of shape `(n,)`): the symbol of each example.
        classes (`np.ndarray` of shape `(n,)`): its true class; examples with a negative one are left out.
        num_permutations (`int`, *optional*, defaults to 20), seed (`int`, *optional*, defaults to 0): for the chance
            level.

    Raises:
        ValueError: not one class per symbol, no class known, or no permutation.
    """
    symbols, classes = known_pairs(symbols, classes)
    return SymbolScores(**with_chance(_whole_set_scores, symbols, classes, num_permutations, seed))


def batched_homogeneity(
    symbols: np.ndarray,
    classes: np.ndarray,
    batch_size: int = 128,
    drop_last: bool = True,
    num_permutations: int = 20,
    seed: int = 0,
) -> BatchedHomogeneity:
    """Homogeneity within consecutive batches, averaged: the protocol of the published figures on dialogue utterances.

    With 125 symbols a batch of 128 has about one example per symbol, and symbols that know nothing of the classes
    score about 0.7. Use [`symbol_scores`] to learn something about symbols.

    Args:
        symbols (`np.ndarray` of shape `(n,)`), classes (`np.ndarray` of shape `(n,)`): as in [`symbol_scores`]; their
            order decides the batches.
        batch_size (`int`, *optional*, defaults to 128): examples per batch, as published.
        drop_last (`bool`, *optional*, defaults to `True`): leave out the last batch if it is smaller, as published;
            else it counts by its size.
        num_permutations (`int`, *optional*, defaults to 20), seed (`int`, *optional*, defaults to 0): for the chance
            level.

    Raises:
        ValueError: not one class per symbol, no class known, no whole batch where the last is dropped, or no
            permutation.
    """
    symbols, classes = known_pairs(symbols, classes)
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    kept = len(symbols) // batch_size * batch_size if drop_last else len(symbols)
    if not kept:
        raise ValueError(
            f"batch_size={batch_size} must not be more than the {len(symbols)} examples, unless drop_last is False"
        )
    # Ids without gaps, as they index a table.
    symbols = np.unique(symbols[:kept], return_inverse=True)[1]
    classes = np.unique(classes[:kept], return_inverse=True)[1]

    def score(symbols: np.ndarray, classes: np.ndarray) -> dict[str, float]:
        return {"batched_homogeneity": _mean_homogeneity_of_batches(symbols, classes, batch_size)}

    return BatchedHomogeneity(**with_chance(score, symbols, classes, num_permutations, seed))


def known_pairs(symbols: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Symbols and classes, `(m,)` each, of those examples whose class is known (not negative).

    Raises:
        ValueError: not one class per symbol, or no class known.
    """
    symbols, classes = np.asarray(symbols), np.asarray(classes)
    if symbols.ndim != 1 or symbols.shape != classes.shape:
        raise ValueError(f"classes must be one per symbol, got shapes {classes.shape} and {symbols.shape}")
    known = classes >= 0
    if not known.any():
        raise ValueError("classes must be known for some examples, got none")
    return symbols[known], classes[known]


def with_chance(
    score: Callable[[np.ndarray, np.ndarray], dict[str, float]],
    symbols: np.ndarray,
    classes: np.ndarray,
    num_permutations: int,
    seed: int,
) -> dict[str, float]:
    """The scores of `symbols` against `classes`, and mean and standard deviation of each under permutation.

    Returns:
        `dict[str, float]`: for each name of a score also `name_chance` and `name_chance_std`.

    Raises:
        ValueError: no permutation.
    """
    if num_permutations < 1:
        raise ValueError(f"num_permutations must be at least 1, got {num_permutations}")
    rng = np.random.default_rng(seed)
    chance = [score(rng.permutation(symbols), classes) for _ in range(num_permutations)]
    values = {}
    for name, value in score(symbols, classes).items():
        by_chance = [scores[name] for scores in chance]
        values |= {name: value, f"{name}_chance": float(np.mean(by_chance))}
        values[f"{name}_chance_std"] = float(np.std(by_chance))
    return values


def _whole_set_scores(symbols: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import adjusted_rand_score, homogeneity_completeness_v_measure

    homogeneity, completeness, v_measure = homogeneity_completeness_v_measure(classes, symbols)
    return {
        "homogeneity": float(homogeneity),
        "completeness": float(completeness),
        "v_measure": float(v_measure),
        "adjusted_rand": float(adjusted_rand_score(classes, symbols)),
        "normalized_mutual_information": float(v_measure),
    }


def _mean_homogeneity_of_batches(symbols: np.ndarray, classes: np.ndarray, batch_size: int) -> float:
    """scikit-learn's homogeneity of each batch, weighted by size; all batches at once, which is much faster.

    `symbols` and `classes`, `(n,)`, are ids without gaps.
    """
    batches = np.arange(len(symbols)) // batch_size
    shape = (batches[-1] + 1, symbols.max() + 1, classes.max() + 1)
    counts = np.bincount(np.ravel_multi_index((batches, symbols, classes), shape), minlength=np.prod(shape))
    counts = counts.reshape(shape)
    sizes = counts.sum((1, 2))
    class_entropy = _sum_of_n_log_n(sizes) - _sum_of_n_log_n(counts.sum(1), axis=1)  # times the batch's size
    conditional_entropy = _sum_of_n_log_n(counts.sum(2), axis=1) - _sum_of_n_log_n(counts, axis=(1, 2))
    # A batch of one class is homogeneous whatever its symbols are.
    several = class_entropy > 0
    homogeneity = 1 - conditional_entropy / np.where(several, class_entropy, 1)
    return float((np.where(several, homogeneity, 1) * sizes).sum() / sizes.sum())


def _sum_of_n_log_n(counts: np.ndarray, axis: int | tuple[int, ...] = ()) -> np.ndarray:
    return (counts * np.log(np.maximum(counts, 1))).sum(axis)
