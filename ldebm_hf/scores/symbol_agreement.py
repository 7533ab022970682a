"""Agreement of symbols with true classes, next to the scores of symbols that are independent of the classes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from numbers import Integral

import numpy as np


@dataclass(frozen=True)
class SymbolScores:
    """
    Agreement of the symbols of a whole set with its classes; 1 is perfect.

    Each score comes with its mean (`_chance`) and standard deviation (`_chance_std`) over random permutations of the
    symbols. Where there are few examples per symbol, the chance level is far from 0 for all scores but the Rand index.

    Args:
        homogeneity (`float`): I(symbol; class) / H(class), which is 1 if every symbol has examples of one class only.
        completeness (`float`): I(symbol; class) / H(symbol), which is 1 if all examples of a class have one symbol.
        v_measure (`float`): Harmonic mean of both (Rosenberg and Hirschberg, 2007).
        adjusted_rand (`float`): Rand index, corrected so that its chance level is 0 (Hubert and Arabie, 1985).
        normalized_mutual_information (`float`): I(symbol; class) divided by the arithmetic mean of the two entropies,
            as in scikit-learn. It equals the V-measure.
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
    """
    Homogeneity within batches, for comparison with published figures only. Read it next to its chance level.

    Args:
        batched_homogeneity (`float`): Mean over the batches, weighted by their sizes.
        batched_homogeneity_chance (`float`): Its mean over random permutations of the whole set's symbols.
        batched_homogeneity_chance_std (`float`): Its standard deviation over these permutations.
    """

    batched_homogeneity: float
    batched_homogeneity_chance: float
    batched_homogeneity_chance_std: float


def symbol_scores(symbols: np.ndarray, classes: np.ndarray, num_permutations: int = 20, seed: int = 0) -> SymbolScores:
    """
    Score the symbols of a whole set at once; the mean of these scores over batches would be a different quantity.

    Args:
        symbols (`np.ndarray` of shape `(n,)`): The symbol of each example, by id or by name.
        classes (`np.ndarray` of shape `(n,)`): The true class of each example, by id or by name; examples with a
            negative id, or `None`, are ignored.
        num_permutations (`int`, *optional*, defaults to 20): Random permutations for the chance level.
        seed (`int`, *optional*, defaults to 0): Seed of the permutations.

    Raises:
        ValueError: The arrays have different shapes, no class is known, or `num_permutations` is below 1.
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
    """
    Mean homogeneity within consecutive batches, the protocol of the published figures on dialogue utterances.

    With 125 symbols, a batch of 128 has about one example per symbol, and symbols that are independent of the classes
    score about 0.7. Use [`symbol_scores`] to assess symbols.

    Args:
        symbols (`np.ndarray` of shape `(n,)`): The symbol of each example, by id or by name, in the order that makes
            the batches.
        classes (`np.ndarray` of shape `(n,)`): The true class of each example, by id or by name; examples with a
            negative id, or `None`, are ignored.
        batch_size (`int`, *optional*, defaults to 128): Examples per batch; the default is the published one.
        drop_last (`bool`, *optional*, defaults to `True`): Whether to ignore the last batch if it is smaller, as
            published. Otherwise it is weighted by its size.
        num_permutations (`int`, *optional*, defaults to 20): Random permutations for the chance level.
        seed (`int`, *optional*, defaults to 0): Seed of the permutations.

    Raises:
        ValueError: The arrays have different shapes, no class is known, there is no whole batch although the last one
            is dropped, or `num_permutations` is below 1.
    """
    symbols, classes = known_pairs(symbols, classes)
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    kept = len(symbols) // batch_size * batch_size if drop_last else len(symbols)
    if not kept:
        raise ValueError(
            f"batch_size={batch_size} must not be more than the {len(symbols)} examples, unless drop_last is False"
        )
    # The ids index a table of counts, which must have no empty rows.
    symbols = np.unique(symbols[:kept], return_inverse=True)[1]
    classes = np.unique(classes[:kept], return_inverse=True)[1]

    def score(symbols: np.ndarray, classes: np.ndarray) -> dict[str, float]:
        return {"batched_homogeneity": _mean_homogeneity_of_batches(symbols, classes, batch_size)}

    return BatchedHomogeneity(**with_chance(score, symbols, classes, num_permutations, seed))


def seed_agreement(symbols: Sequence[np.ndarray]) -> np.ndarray:
    """
    Agreement of symbols that were found with different seeds, by the adjusted Rand index (Hubert and Arabie, 1985): 1
    if the texts are divided in the same way, 0 for independent symbols.

    Symbols that are the same for all texts agree with nothing, 0, although scikit-learn's index of two such divisions
    is 1.

    Args:
        symbols (`Sequence[np.ndarray]`, each of shape `(n,)`): For each seed the symbols of the same texts, by id or
            by name. Their numbering may differ.

    Returns:
        `np.ndarray` of shape `(num_seeds,)`: For each seed its mean agreement with the other seeds.

    Raises:
        ValueError: There are fewer than two seeds, or different numbers of texts.
    """
    from sklearn.metrics import adjusted_rand_score

    if len(symbols) < 2:
        raise ValueError(f"symbols must be of at least two seeds, got {len(symbols)}")
    shapes = {np.shape(of_seed) for of_seed in symbols}
    if len(shapes) > 1:
        raise ValueError(f"symbols must be of the same texts for every seed, got shapes {sorted(shapes)}")
    agreement = np.zeros((len(symbols), len(symbols)))
    for first, second in combinations(range(len(symbols)), 2):
        if min(len(np.unique(symbols[seed])) for seed in (first, second)) > 1:
            agreement[first, second] = adjusted_rand_score(symbols[first], symbols[second])
    return (agreement + agreement.T).sum(1) / (len(symbols) - 1)


def known_pairs(symbols: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Symbols and classes, `(m,)` each, of the examples whose class is known: no negative id, and not `None`.

    Raises:
        ValueError: The arrays have different shapes, no class is known, or entries are neither ids nor names.
    """
    symbols, classes = as_labels("symbols", symbols), as_labels("classes", classes)
    if symbols.ndim != 1 or symbols.shape != classes.shape:
        raise ValueError(f"classes must be one per symbol, got shapes {classes.shape} and {symbols.shape}")
    known = classes >= 0 if classes.dtype.kind == "i" else np.array([name is not None for name in classes])
    if not known.any():
        raise ValueError("classes must be known for some examples, got none")
    return _without_objects(symbols[known]), _without_objects(classes[known])


def _without_objects(labels: np.ndarray) -> np.ndarray:
    """Names as an array of strings, which NumPy can sort; ids as they are."""
    return labels if labels.dtype.kind == "i" else labels.astype(str)


def as_labels(name: str, labels: Sequence[int | str | None] | np.ndarray) -> np.ndarray:
    """
    Labels as an array: of ids in int64, or of names as objects. A string is a name even if it looks like a number.

    Args:
        name (`str`): Name of the argument, for error messages.
        labels (sequence, array or column of ids or of names): `None`, or pandas' missing value,
            stands for an unknown one among names.

    Raises:
        ValueError: Ids and names in one argument, or entries that are neither.
    """
    array = np.asarray(labels)
    if array.dtype.kind in "iu" or not array.size:
        return array.astype(np.int64)
    if not isinstance(labels, np.ndarray):
        array = np.asarray(labels, dtype=object)  # else NumPy would turn the integers beside strings into strings
    entries = array.ravel().tolist()
    if all(isinstance(label, Integral) and not isinstance(label, bool) for label in entries):
        return array.astype(np.int64)
    names = [None if is_missing(label) else label for label in entries]
    wrong = [label for label in names if label is not None and not isinstance(label, str)]
    if wrong or not any(isinstance(label, str) for label in names):
        got = repr(wrong[0]) if wrong else "only missing values"
        raise ValueError(f"{name} must be ids (integers) or names (strings), all of them alike, got {got}")
    labels = np.empty(len(names), dtype=object)
    labels[:] = names
    return labels.reshape(array.shape)


def is_missing(label: object) -> bool:
    """Whether an entry stands for "no label": `None`, or the not-a-number that pandas puts into columns of strings."""
    return label is None or (isinstance(label, float) and label != label)


def with_chance(
    score: Callable[[np.ndarray, np.ndarray], dict[str, float]],
    symbols: np.ndarray,
    classes: np.ndarray,
    num_permutations: int,
    seed: int,
) -> dict[str, float]:
    """
    Scores of symbols against classes, with mean and standard deviation of each score over random permutations.

    Args:
        score (`Callable`): Returns scores by name for symbols `(n,)` and classes `(n,)`.
        symbols (`np.ndarray` of shape `(n,)`): The symbols, which are permuted.
        classes (`np.ndarray` of shape `(n,)`): The classes.
        num_permutations (`int`): Number of permutations.
        seed (`int`): Seed of the permutations.

    Returns:
        `dict[str, float]`: For each score NAME also `NAME_chance` and `NAME_chance_std`.

    Raises:
        ValueError: `num_permutations` is below 1.
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
    """
    scikit-learn's homogeneity of each batch, weighted by size; computed for all batches at once, which is much faster.

    `symbols` and `classes`, `(n,)`, are ids without gaps.
    """
    batches = np.arange(len(symbols)) // batch_size
    shape = (batches[-1] + 1, symbols.max() + 1, classes.max() + 1)
    counts = np.bincount(np.ravel_multi_index((batches, symbols, classes), shape), minlength=np.prod(shape))
    counts = counts.reshape(shape)
    sizes = counts.sum((1, 2))
    class_entropy = _sum_of_n_log_n(sizes) - _sum_of_n_log_n(counts.sum(1), axis=1)  # times the size of the batch
    conditional_entropy = _sum_of_n_log_n(counts.sum(2), axis=1) - _sum_of_n_log_n(counts, axis=(1, 2))
    # A batch with a single class is homogeneous whatever its symbols are.
    several = class_entropy > 0
    homogeneity = 1 - conditional_entropy / np.where(several, class_entropy, 1)
    return float((np.where(several, homogeneity, 1) * sizes).sum() / sizes.sum())


def _sum_of_n_log_n(counts: np.ndarray, axis: int | tuple[int, ...] = ()) -> np.ndarray:
    return (counts * np.log(np.maximum(counts, 1))).sum(axis)
