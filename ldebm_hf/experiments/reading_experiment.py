"""Symbols that are found without labels: clusters of texts without a model, and what is kept to compare seeds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..baselines.text_clusters import WAYS_TO_CLUSTER, bertopic_clusters, kmeans_features
from ..data import Corpus
from ..files.atomic import write_text
from ..files.json_objects import read_object
from ..scores.held_out_texts import (
    AssignedTexts,
    assign_training_texts,
    classes_by_attribute,
    probed_texts,
)

HELD_OUT_SYMBOLS = "held_out_symbols.json"
"""File in a run's folder with the symbols of the texts that it is scored on."""


def save_symbols(folder: Path, symbols: Mapping[str, np.ndarray], texts: Sequence[str]) -> None:
    """
    Write the symbols of the texts that a run is scored on into its folder, to be compared with those of other seeds.

    Args:
        folder (`Path`): The run's folder.
        symbols (`Mapping[str, np.ndarray]`): Symbols `(n,)` by the prefix of their scores, as from
            [`reading_scores_and_symbols`].
        texts (`Sequence[str]`): The texts, of which a digest is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()
    content = {"texts": digest, "symbols": {prefix: ids.tolist() for prefix, ids in symbols.items()}}
    write_text(folder / HELD_OUT_SYMBOLS, json.dumps(content))


def read_symbols(folder: Path) -> tuple[str, dict[str, np.ndarray]]:
    """
    Read what [`save_symbols`] wrote.

    Returns:
        The digest of the texts, and the symbols `(n,)` by the prefix of their scores; no symbols if the folder has no
        such file, or a damaged one.
    """
    file = folder / HELD_OUT_SYMBOLS
    content = read_object(file) if file.exists() else None
    if content is None:
        return "", {}
    return content["texts"], {prefix: np.array(ids) for prefix, ids in content["symbols"].items()}


def cluster_texts(
    name: str,
    corpus: Corpus,
    num_symbols: int,
    split: str = "validation",
    seed: int = 0,
    features: Callable[[Sequence[str]], np.ndarray] | None = None,
) -> tuple[AssignedTexts, AssignedTexts]:
    """
    Cluster the texts of a corpus without a model of this package.

    Args:
        name (`str`): One of [`WAYS_TO_CLUSTER`], or with `features` `"kmeans_features"` or `"bertopic"`.
        corpus (`Corpus`): Its training texts are clustered; those of the split are assigned to the clusters.
        num_symbols (`int`): Number of clusters.
        split (`str`, *optional*, defaults to `"validation"`): The split that is scored.
        seed (`int`, *optional*, defaults to 0): Seed of clustering, and of the choice of texts that probes read.
        features (`Callable`, *optional*): Maps texts to the features of a pretrained encoder, `(n, feature_size)`.

    Returns:
        Training texts as many as probes read ([`probed_texts`]), and the texts of the split, with their clusters.

    Raises:
        ValueError: If there is no such way of clustering.
    """
    train_texts, held_out = corpus.train.texts, corpus.splits[split].texts
    probed = probed_texts(corpus, seed)
    texts = [*held_out, *(train_texts[i] for i in probed)]
    if features is not None and name == "kmeans_features":
        symbols = kmeans_features((features(train_texts), features(texts)), num_symbols, seed)
    elif features is not None and name == "bertopic":
        embeddings = features(train_texts), features(texts)
        symbols = bertopic_clusters(train_texts, texts, num_symbols, embeddings, seed)
    elif name in WAYS_TO_CLUSTER:
        symbols = WAYS_TO_CLUSTER[name](train_texts, texts, num_symbols, seed=seed)
    else:
        raise ValueError(f"text_clusters must be of {', '.join(WAYS_TO_CLUSTER)}, got {name!r}")
    own, of_training = symbols[: len(held_out)], symbols[len(held_out) :]
    return (
        assign_training_texts(corpus, probed, of_training),
        AssignedTexts(held_out, own, classes_by_attribute(corpus, split)),
    )
