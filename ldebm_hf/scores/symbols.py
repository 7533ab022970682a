"""Symbols against true classes, with what symbols that know nothing of the classes would score."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SymbolScores:
    """Agreement of a set's symbols with its classes; 1 is perfect.

    Args:
        v_measure (`float`): harmonic mean of homogeneity and completeness.
        adjusted_rand (`float`): the Rand index, corrected so that chance is 0.
        v_measure_chance, adjusted_rand_chance (`float`): the means over random permutations of the symbols; where
            there are few examples per symbol the V-measure's is far from 0.
        v_measure_chance_std, adjusted_rand_chance_std (`float`): standard deviations over the permutations.
    """

    v_measure: float
    adjusted_rand: float
    v_measure_chance: float
    v_measure_chance_std: float
    adjusted_rand_chance: float
    adjusted_rand_chance_std: float


def symbol_scores(symbols: np.ndarray, classes: np.ndarray, num_permutations: int = 20, seed: int = 0) -> SymbolScores:
    """Score the symbols of a whole set at once, as neither score of a set is the mean of its batches'.

    Args:
        symbols (`np.ndarray` of shape `(n,)`): the symbol of each example.
        classes (`np.ndarray` of shape `(n,)`): its true class; examples with a negative one are left out.
        num_permutations (`int`, *optional*, defaults to 20), seed (`int`, *optional*, defaults to 0): for the chance
            level.

    Raises:
        ValueError: not one class per symbol, or no class known.
    """
    from sklearn.metrics import adjusted_rand_score, v_measure_score

    symbols, classes = np.asarray(symbols), np.asarray(classes)
    if symbols.shape != classes.shape:
        raise ValueError(f"classes must be one per symbol, got shapes {classes.shape} and {symbols.shape}")
    known = classes >= 0
    if not known.any():
        raise ValueError("classes must be known for some examples, got none")
    symbols, classes = symbols[known], classes[known]
    rng = np.random.default_rng(seed)
    shuffled = [rng.permutation(symbols) for _ in range(num_permutations)]
    values = {}
    for name, score in {"v_measure": v_measure_score, "adjusted_rand": adjusted_rand_score}.items():
        chance = [score(classes, permuted) for permuted in shuffled]
        values[name] = float(score(classes, symbols))
        values[f"{name}_chance"], values[f"{name}_chance_std"] = float(np.mean(chance)), float(np.std(chance))
    return SymbolScores(**values)
