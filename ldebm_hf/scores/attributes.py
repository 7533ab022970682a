"""Whether generated texts have the requested attribute, according to the labels that a judge assigns to them."""

import numpy as np

from .symbol_agreement import known_pairs


def attribute_accuracy(
    predictions: np.ndarray, references: np.ndarray, label_names: list[str] | None = None
) -> dict[str, float]:
    """
    Agreement of a judge's labels with the requested ones.

    Args:
        predictions (`np.ndarray` of shape `(n,)`): The label that a judge assigns to each text, by id or by name.
        references (`np.ndarray` of shape `(n,)`): The requested label of each text, by id or by name; texts with a
            negative id, or `None`, are ignored.
        label_names (`list[str]`, *optional*): Names of the labels, for the keys of the result; by default the labels
            themselves. Needed if one argument has ids and the other one names.

    Returns:
        `dict[str, float]`:

        - `accuracy`, `accuracy_std_error`: the fraction of texts with the requested label, and its binomial standard
          error √(p (1 − p) / n), which is not reliable near 0 and 1;
        - `accuracy_chance`, `accuracy_chance_std`: exact mean and standard deviation of the accuracy over all
          permutations of the judge's labels;
        - `accuracy_NAME`, `accuracy_NAME_std_error`: the same for the texts of each requested label.

    Raises:
        ValueError: The arrays have different lengths, no reference is known, a label has no name, a name is not
            among `label_names`, ids would be compared with names, or two scores would
            have the same key.
    """
    predictions, references = known_pairs(predictions, references)
    if label_names is not None:
        predictions = _ids_of_names("predictions", predictions, label_names)
        references = _ids_of_names("references", references, label_names)
    elif predictions.dtype.kind != references.dtype.kind:
        raise ValueError("predictions and references must both be ids or both be names unless label_names are given")
    requested = np.unique(references)
    if label_names is not None and requested[-1] >= len(label_names):
        raise ValueError(f"label_names must name label {requested[-1]}, got {len(label_names)} names")
    right = predictions == references
    chance, std = _accuracy_under_permutation(predictions, references)
    scores = _accuracy(right, "accuracy") | {"accuracy_chance": chance, "accuracy_chance_std": std}
    for label in requested:
        name = label if label_names is None else label_names[label]
        label_scores = _accuracy(right[references == label], f"accuracy_{name}")
        if taken := scores.keys() & label_scores.keys():
            raise ValueError(f"label_names must not repeat the key {min(taken)!r}, got {name!r} for label {label}")
        scores |= label_scores
    return scores


def _ids_of_names(argument: str, labels: np.ndarray, label_names: list[str]) -> np.ndarray:
    """The ids of labels that are names; ids as they are."""
    if labels.dtype.kind == "i":
        return labels
    ids = {name: label for label, name in enumerate(label_names)}
    unknown = sorted(set(labels.tolist()) - ids.keys())
    if unknown:
        raise ValueError(f"{argument} must be among label_names={list(label_names)}, got {unknown[0]!r}")
    return np.array([ids[name] for name in labels.tolist()], dtype=np.int64)


def _accuracy(right: np.ndarray, name: str) -> dict[str, float]:
    accuracy = float(right.mean())
    return {name: accuracy, f"{name}_std_error": (accuracy * (1 - accuracy) / len(right)) ** 0.5}


def _accuracy_under_permutation(predictions: np.ndarray, references: np.ndarray) -> tuple[float, float]:
    """
    Mean and standard deviation of the accuracy under permutation (moments of a permutation statistic, Hoeffding 1951).

    The variance of Σ_i c(i, π(i)) over permutations π is Σ_ij d_ij² / (n − 1), where d is the doubly centred c. Here
    c(i, j) says whether reference i equals prediction j, which depends on the two labels only.
    """
    n = len(references)
    labels = np.union1d(predictions, references)
    predicted = np.array([(predictions == label).sum() for label in labels])
    requested = np.array([(references == label).sum() for label in labels])
    mean = float(predicted @ requested / n**2)
    centred = np.eye(len(labels)) - predicted[:, None] / n - requested / n + mean
    variance = requested @ centred**2 @ predicted / max(n - 1, 1)
    return mean, float(np.sqrt(variance) / n)
