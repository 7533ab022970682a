"""Whether generated texts have the attribute that was asked for, by the labels a judge gives them."""

import numpy as np

from .symbol_agreement import known_pairs


def attribute_accuracy(
    predictions: np.ndarray, references: np.ndarray, label_names: list[str] | None = None
) -> dict[str, float]:
    """Agreement of a judge's labels with those asked for.

    Args:
        predictions (`np.ndarray` of shape `(n,)`): the label that a judge gives each text.
        references (`np.ndarray` of shape `(n,)`): the label asked for; texts with a negative one are left out.
        label_names (`list[str]`, *optional*): names for the keys, by label; default the label itself.

    Returns:
        `dict[str, float]`:

        - `accuracy`, `accuracy_std_error`: the share of texts whose two labels are the same, and its binomial standard
          error √(p (1 − p) / n), which says little near 0 and 1;
        - `accuracy_chance`, `accuracy_chance_std`: exact mean and standard deviation over all permutations of the
          judge's labels;
        - `accuracy_NAME`, `accuracy_NAME_std_error` for each label that was asked for: the same of its texts.

    Raises:
        ValueError: not one prediction per reference, no reference known, a label without a name, or names by which two
            of the keys would be the same.
    """
    predictions, references = known_pairs(predictions, references)
    asked_for = np.unique(references)
    if label_names is not None and asked_for[-1] >= len(label_names):
        raise ValueError(f"label_names must name label {asked_for[-1]}, got {len(label_names)} names")
    right = predictions == references
    chance, std = _accuracy_under_permutation(predictions, references)
    scores = _share(right, "accuracy") | {"accuracy_chance": chance, "accuracy_chance_std": std}
    for label in asked_for:
        name = label if label_names is None else label_names[label]
        of_label = _share(right[references == label], f"accuracy_{name}")
        if taken := scores.keys() & of_label.keys():
            raise ValueError(f"label_names must leave {min(taken)!r} to another score, got {name!r} for label {label}")
        scores |= of_label
    return scores


def _share(right: np.ndarray, name: str) -> dict[str, float]:
    share = float(right.mean())
    return {name: share, f"{name}_std_error": (share * (1 - share) / len(right)) ** 0.5}


def _accuracy_under_permutation(predictions: np.ndarray, references: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of the share of matches, by the moments of a permutation statistic (Hoeffding 1951).

    The variance of Σ_i c(i, π(i)) over permutations π is Σ_ij d_ij² / (n − 1), d the doubly centred c; here
    c(i, j) is whether reference i is prediction j, which depends on the two labels only.
    """
    n = len(references)
    labels = np.union1d(predictions, references)
    predicted, asked = (np.array([(x == label).sum() for label in labels]) for x in (predictions, references))
    mean = float(predicted @ asked / n**2)
    centred = np.eye(len(labels)) - predicted[:, None] / n - asked / n + mean
    variance = asked @ centred**2 @ predicted / max(n - 1, 1)
    return mean, float(np.sqrt(variance) / n)
