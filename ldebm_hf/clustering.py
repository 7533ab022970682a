"""Geometric clustering: pseudo-labels from where a text's posterior mean lies. The only file that imports faiss."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np


@dataclass
class ClusteringSettings:
    """How unlabelled texts get the symbol that the classifier is trained towards; defaults as published for text."""

    enabled: bool = field(
        default=True, metadata={"help": 'cluster unlabelled texts at the start of every epoch; false: "w/o GC"'}
    )
    features: Literal["whitened", "mean"] = field(
        default="whitened", metadata={"help": '"whitened": PCA-whitened posterior means; "mean": the means themselves'}
    )
    num_components: int = field(
        default=3,
        metadata={"help": 'principal components kept by "whitened" (3 for text, 2 for points)', "at_least": 1},
    )
    normalize: bool = field(default=True, metadata={"help": "scale every feature vector to unit length"})
    num_iterations: int = field(default=20, metadata={"help": "iterations of K-means", "at_least": 1})
    seed: int = field(default=2021, metadata={"help": "seed of K-means, the same in every epoch", "at_least": 0})
    balanced_resampling: bool = field(
        default=True, metadata={"help": "draw equally many texts of every symbol in epochs that use clusters"}
    )
    gpu: bool = field(
        default=False, metadata={"help": "run K-means on the GPUs (faiss-gpu); 3-d features are quick on a CPU"}
    )


def cluster(features: np.ndarray, num_symbols: int, settings: ClusteringSettings) -> np.ndarray:
    """K-means on posterior means, after PCA-whitening and projection to the unit sphere if the settings say so.

    Args:
        features (`np.ndarray` of shape `(n, d)`): posterior means, finite; always in the same order, because K-means
            picks its initial centroids by index.
        num_symbols (`int`): K, at most n.

    Returns:
        `np.ndarray` of shape `(n,)`, int64: cluster ids from 0, without gaps.

    Raises:
        ValueError: non-finite features, fewer texts than symbols, or more components than dimensions.
        ImportError: faiss is not installed.
    """
    features = np.ascontiguousarray(features, dtype=np.float32)
    num_texts, size = features.shape
    if not np.isfinite(features).all():
        raise ValueError("features to cluster must be finite")
    if num_texts < num_symbols:
        raise ValueError(f"cannot make num_symbols={num_symbols} clusters of {num_texts} texts")
    check_clustering(settings, size)
    faiss = _import_faiss()
    if settings.features == "whitened":
        whitening = faiss.PCAMatrix(size, settings.num_components, -0.5)
        whitening.epsilon = 1e-12  # collapsed posterior means have no variance to divide by
        whitening.max_points_per_d = num_texts
        whitening.train(features)
        features = whitening.apply(features)
    if settings.normalize:
        faiss.normalize_L2(features)
    kmeans = faiss.Kmeans(
        features.shape[1],
        num_symbols,
        niter=settings.num_iterations,
        nredo=1,
        seed=settings.seed,
        gpu=settings.gpu,
        min_points_per_centroid=1,
        max_points_per_centroid=num_texts,  # no subsampling
    )
    kmeans.train(features)
    _, assignments = kmeans.assign(features)
    return np.unique(assignments, return_inverse=True)[1].astype(np.int64)


def check_clustering(settings: ClusteringSettings, latent_size: int) -> None:
    """Refuse what `cluster` would fail on, before any text is encoded for it.

    Raises:
        ValueError: whitened features of more components than a latent vector has, or a GPU that faiss does not see.
        ImportError: faiss is not installed.
    """
    if settings.features == "whitened" and settings.num_components > latent_size:
        raise ValueError(
            f"clustering.num_components={settings.num_components} must not be more than latent_size={latent_size}"
        )
    if settings.gpu and _import_faiss().get_num_gpus() == 0:
        raise ValueError("clustering.gpu=true, but faiss sees no GPU: install faiss-gpu, or set clustering.gpu=false")
    _import_faiss()


def align_to_labels(assignments: np.ndarray, labels: np.ndarray, num_symbols: int) -> np.ndarray:
    """Rename clusters so that they agree with as many known labels as one renaming can (Hungarian matching).

    Args:
        assignments (`np.ndarray` of shape `(n,)`): cluster ids in 0..num_symbols-1.
        labels (`np.ndarray` of shape `(n,)`): class ids in 0..num_symbols-1, negative where unknown.

    Returns:
        `np.ndarray` of shape `(n,)`: the renamed ids. A cluster in which no label is known keeps its id if it can.
    """
    from scipy.optimize import linear_sum_assignment

    known = labels >= 0
    agreement = np.zeros((num_symbols, num_symbols))
    np.add.at(agreement, (assignments[known], labels[known]), 1)
    keep_id = 0.5 / num_symbols * np.eye(num_symbols)  # in all less than one agreement: only breaks ties
    _, names = linear_sum_assignment(agreement + keep_id, maximize=True)
    return names[assignments].astype(np.int64)


def balanced_order(assignments: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random epoch in which all clusters that occur are equally frequent.

    Of each of k clusters, ⌊n/k⌋ + 1 texts are drawn: without replacement from a larger cluster, with replacement from
    a smaller one. They are shuffled and cut to n.

    Returns:
        `np.ndarray` of shape `(n,)`: indices into `assignments`, some of them repeated, some left out.
    """
    num_texts, clusters = len(assignments), np.unique(assignments)
    share = num_texts // len(clusters) + 1
    drawn = []
    for symbol in clusters:
        members = np.flatnonzero(assignments == symbol)
        drawn.append(rng.choice(members, share, replace=len(members) <= share))
    return rng.permutation(np.concatenate(drawn))[:num_texts]


def _import_faiss():
    try:
        import faiss
    except ImportError as error:
        raise ImportError(
            "geometric clustering of unlabelled texts needs faiss: install the extra `cpu` (faiss-cpu) or `gpu` "
            "(faiss-gpu), or train without it (clustering.enabled=false)"
        ) from error
    return faiss
