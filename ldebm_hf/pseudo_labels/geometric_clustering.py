"""Geometric clustering: symbols for texts without a label, from where their features lie.

The features are posterior means or vectors of words. This is the only file that imports faiss.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
import torch

SOURCES = {
    "mean": "by clustering of latents",
    "whitened": "by clustering of latents",
    "words": "by clustering of words",
    "encoder": "by clustering of vectors of a pretrained encoder",
    "word_classes": "by naive Bayes over words",
    "encoder_classes": "by a classifier over vectors of a pretrained encoder and words",
}
"""How examples without a label get their symbol, by `ClusteringSettings.features`."""
CLASS_FEATURES = ("word_classes", "encoder_classes")
"""Features that are probabilities of classes, learned from the labels that are known."""
K_MEANS_SETTINGS = (
    "num_components", "normalize", "num_iterations", "num_starts", "initialization", "match_previous", "seed", "gpu"
)  # fmt: skip
STARTS_FOR_VECTORS = 10
"""Starts of K-means on vectors of an encoder, which is done once in a run. A single start ends in a poor optimum now
and then. No scaling or projection of the vectors helps in general (docs/results/symbols.md)."""

LARGEST_FEATURE = 1e12
ASSIGNED_AT_A_TIME = 4096
"""Number of vectors whose distances to all centroids are in memory together."""


def _setting(default: Any, help: str, *, heading: str | None = None, **limits: float) -> Any:
    """A field with what `--help` shows of it and, for numbers, its limit `at_least`."""
    return field(default=default, metadata={"help": help, "heading": heading, **limits})


@dataclass
class ClusteringSettings:
    """How examples without a label get the symbol that the classifier is trained to predict."""

    enabled: bool | None = _setting(
        None,
        "Give a symbol to examples without a label. Default: for the diffusion prior with several noise levels and, "
        'with features "word_classes" or "encoder_classes", for every prior that has symbols.',
        heading="Symbols of examples without a label",
    )
    features: Literal["whitened", "mean", "words", "encoder", "word_classes", "encoder_classes"] = _setting(
        "mean",
        'What is clustered: "mean", the posterior means; "whitened", their whitened principal components '
        '(published); "words", latent semantic analysis of the texts; "encoder", vectors of a frozen pretrained '
        'encoder. No clusters but learned classes, for texts of which some have a label: "word_classes", by naive '
        'Bayes; "encoder_classes", by a classifier over vectors of the encoder, their neighbours and words.',
    )
    balanced_resampling: bool = _setting(
        True, "In epochs that use clusters, draw equally many examples of every symbol."
    )
    num_components: int = _setting(
        3,
        'Number of principal components that "whitened" keeps (published: 3 for texts, 2 for points).',
        heading="K-means",
        at_least=1,
    )
    normalize: bool = _setting(False, "Scale every feature vector to unit length (published for texts).")
    num_iterations: int = _setting(20, "Number of iterations of K-means.", at_least=1)
    num_starts: int | None = _setting(
        None,
        "Number of random starts of K-means, of which the one with the tightest clusters is kept. Default: 10 for "
        '"encoder", whose vectors are clustered once in a run, otherwise 1 (published).',
        at_least=1,
    )
    initialization: Literal["random", "previous"] = _setting(
        "random", 'Where K-means starts: at "random" examples, or at the "previous" epoch\'s clusters.'
    )
    match_previous: bool = _setting(
        True, "Number the clusters so that most examples keep the symbol of the previous epoch."
    )
    seed: int = _setting(2021, "Seed of K-means, the same in every epoch.", at_least=0)
    gpu: bool = _setting(False, "Run K-means on all GPUs, which needs faiss-gpu. Small features are fast on a CPU.")

    @property
    def starts(self) -> int:
        """Number of random starts of K-means."""
        if self.num_starts is not None:
            return self.num_starts
        return STARTS_FOR_VECTORS if self.features == "encoder" else 1

    def validate(self) -> None:
        """Raise a ValueError for settings of K-means where a classifier takes its place."""
        if self.features not in CLASS_FEATURES:
            return
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in K_MEANS_SETTINGS and value != item.default:
                raise ValueError(
                    f"clustering.{item.name}={value} is a setting of K-means and cannot be used with "
                    f"features={self.features}"
                )


@dataclass
class Clusters:
    """The centroids of K-means, and the features in whose space they lie.

    The features of vectors (posterior means, or vectors of words) are `vectors @ projection.T + offset`, scaled to
    unit length if `normalize` is true.

    Args:
        projection (`np.ndarray` of shape `(num_features, size)`), offset (`np.ndarray` of shape
            `(num_features,)`), centroids (`np.ndarray` of shape `(num_symbols, num_features)`): float32.
        normalize (`bool`): whether features are scaled to unit length.
    """

    projection: np.ndarray
    offset: np.ndarray
    centroids: np.ndarray
    normalize: bool

    @classmethod
    def fit(
        cls,
        means: np.ndarray,
        num_symbols: int,
        settings: ClusteringSettings,
        previous: np.ndarray | None = None,
    ) -> "Clusters":
        """Run K-means, after whitening and scaling to unit length if the settings say so.

        Args:
            means (`np.ndarray` of shape `(n, size)`): posterior means or vectors of words, finite. Their order must be
                the same in every epoch, because K-means picks its initial centroids by index.
            num_symbols (`int`): Number K of clusters, at most n.
            settings (`ClusteringSettings`): see there.
            previous (`np.ndarray` of shape `(n,)`, *optional*): the cluster of each text in the previous epoch. With
                `initialization="previous"` cluster k starts at the mean of the features that the texts of the previous
                cluster k have now (the previous centroids would mean nothing in this epoch's whitened space). A
                cluster that was empty starts at the text farthest from all others.

        Raises:
            ValueError: non-finite or huge means, fewer texts than symbols, or more components than dimensions.
            ImportError: faiss is not installed.
        """
        means = np.ascontiguousarray(means, dtype=np.float32)
        num_texts, size = means.shape
        # Nan if one is; without a copy, because the means may lie on the disk. Faiss ends the process if a square
        # overflows.
        largest = float(np.maximum(means.max(initial=0), -means.min(initial=0)))
        if not largest <= LARGEST_FEATURE:
            allowed = f"finite, and of a magnitude of at most {LARGEST_FEATURE:g}"
            raise ValueError(f"the features to cluster must be {allowed}, got {largest:g}")
        if num_texts < num_symbols:
            raise ValueError(f"cannot divide {num_texts} texts into num_symbols={num_symbols} clusters")
        check_clustering(settings, size)
        projection, offset = np.eye(size, dtype=np.float32), np.zeros(size, dtype=np.float32)
        if settings.features == "whitened":
            projection, offset = _whitening(means, settings.num_components)
        clusters = cls(projection, offset, np.empty((0, len(offset)), dtype=np.float32), settings.normalize)
        features = clusters.features(means)
        start = None
        if previous is not None and settings.initialization == "previous":
            start = _mean_features(previous, features, num_symbols)
        kmeans = _import_faiss().Kmeans(
            len(offset),
            num_symbols,
            niter=settings.num_iterations,
            nredo=settings.starts if start is None else 1,
            seed=settings.seed,
            gpu=settings.gpu,
            min_points_per_centroid=1,
            max_points_per_centroid=num_texts,  # no subsampling
        )
        kmeans.train(features, init_centroids=start)
        clusters.centroids = kmeans.centroids
        return clusters

    @classmethod
    def corners(cls, num_symbols: int) -> "Clusters":
        """Clusters that assign class probabilities `(n, num_symbols)` to the likeliest class.

        The centroids are the corners of the probability simplex: the nearest one is that of the largest probability.
        """
        corners = np.eye(num_symbols, dtype=np.float32)
        return cls(corners, np.zeros(num_symbols, dtype=np.float32), corners, normalize=False)

    def state_dict(self) -> dict[str, torch.Tensor | bool]:
        """The fields as a checkpoint keeps them, arrays as tensors."""
        return {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in vars(self).items()}

    @classmethod
    def from_state_dict(cls, state: dict[str, torch.Tensor | bool]) -> "Clusters":
        """The clusters whose [`state_dict`] this is."""
        return cls(**{k: v.numpy() if isinstance(v, torch.Tensor) else v for k, v in state.items()})

    def features(self, means: np.ndarray) -> np.ndarray:
        """
        The features, `(n, num_features)`, of posterior means `(n, latent_size)`. Where they are the same these are
        returned, not a copy, because vectors of an encoder may be larger than the memory.
        """
        features = np.asarray(means, dtype=np.float32)
        if not self._is_identity:
            features = features @ self.projection.T + self.offset
        elif self.normalize:
            features = features.copy()
        if self.normalize:
            _import_faiss().normalize_L2(features)
        return features

    @property
    def _is_identity(self) -> bool:
        """Whether projection and offset change nothing."""
        num_features, size = self.projection.shape
        return num_features == size and np.array_equal(self.projection, np.eye(size)) and not self.offset.any()

    def assign(self, means: np.ndarray) -> np.ndarray:
        """The nearest centroid of posterior means `(n, latent_size)`: cluster ids `(n,)`, int64."""
        nearest = np.empty(len(means), dtype=np.int64)
        centroids = torch.from_numpy(self.centroids)
        for start in range(0, len(means), ASSIGNED_AT_A_TIME):
            part = slice(start, start + ASSIGNED_AT_A_TIME)
            features = torch.tensor(self.features(means[part]))
            distances = torch.cdist(features, centroids, compute_mode="donot_use_mm_for_euclid_dist")
            nearest[part] = distances.argmin(1).numpy()
        return nearest

    def renamed(self, names: np.ndarray) -> "Clusters":
        """The same clusters, with `names[k]` as the new id of cluster k; `names` is a permutation."""
        centroids = np.empty_like(self.centroids)
        centroids[names] = self.centroids
        return replace(self, centroids=centroids)


def _whitening(means: np.ndarray, num_components: int) -> tuple[np.ndarray, np.ndarray]:
    """
    The linear map to principal components of equal variance: matrix `(num_components, size)` and offset. That variance
    is 1/n for n texts, because faiss sums over them; K-means finds the same clusters at every scale.
    """
    faiss, (num_texts, size) = _import_faiss(), means.shape
    pca = faiss.PCAMatrix(size, num_components)
    pca.max_points_per_d = num_texts
    pca.train(means)
    components = faiss.vector_to_array(pca.A).reshape(num_components, size)
    variances = faiss.vector_to_array(pca.eigenvalues)[:num_components]
    # The variance of collapsed posterior means is zero, or by rounding slightly negative.
    scale = 1 / np.sqrt(variances.clip(min=0) + 1e-12).astype(np.float32)
    return components * scale[:, None], faiss.vector_to_array(pca.b) * scale


def _mean_features(assignments: np.ndarray, features: np.ndarray, num_symbols: int) -> np.ndarray:
    """The mean feature vector of every cluster, `(num_symbols, num_features)`.

    For an empty cluster it is the text that is farthest from all other means.
    """
    sizes = np.bincount(assignments, minlength=num_symbols)
    sums = np.stack([np.bincount(assignments, column, num_symbols) for column in features.T], axis=1)
    centroids = (sums / np.maximum(sizes, 1)[:, None]).astype(np.float32)
    is_placed = sizes > 0
    for symbol in np.flatnonzero(~is_placed):
        distances, _ = _import_faiss().knn(features, centroids[is_placed], 1)
        centroids[symbol] = features[distances.argmax()]
        is_placed[symbol] = True
    return centroids


def check_clustering(settings: ClusteringSettings, latent_size: int) -> None:
    """Find out whether `Clusters.fit` can run before any text is encoded for it.

    Raises:
        ValueError: more whitened components than a latent vector has dimensions, or no GPU that faiss can see.
        ImportError: faiss is not installed.
    """
    if settings.features in CLASS_FEATURES:  # without K-means
        return
    if settings.features == "whitened" and settings.num_components > latent_size:
        raise ValueError(
            f"clustering.num_components={settings.num_components} must not be more than latent_size={latent_size}"
        )
    if settings.gpu and _import_faiss().get_num_gpus() == 0:
        raise ValueError("clustering.gpu=true, but faiss sees no GPU: install faiss-gpu, or set clustering.gpu=false")
    _import_faiss()


def matching_names(assignments: np.ndarray, labels: np.ndarray, num_symbols: int) -> np.ndarray:
    """New ids for the clusters, such that as many texts as possible have their label as cluster (Hungarian method).

    Args:
        assignments (`np.ndarray` of shape `(n,)`): cluster ids in 0..num_symbols-1.
        labels (`np.ndarray` of shape `(n,)`): class ids, or cluster ids of an earlier epoch, in 0..num_symbols-1;
            negative where unknown.

    Returns:
        `np.ndarray` of shape `(num_symbols,)`: a permutation, the new id of every cluster. A cluster without known
        labels keeps its id if no other cluster needs it.
    """
    from scipy.optimize import linear_sum_assignment

    known = labels >= 0
    agreement = np.zeros((num_symbols, num_symbols))
    np.add.at(agreement, (assignments[known], labels[known]), 1)
    keep_id = 0.5 / num_symbols * np.eye(num_symbols)  # sums to less than one agreement, so it only breaks ties
    return linear_sum_assignment(agreement + keep_id, maximize=True)[1]


def align_to_labels(assignments: np.ndarray, labels: np.ndarray, num_symbols: int) -> np.ndarray:
    """The assignments, `(n,)`, with the new ids that [`matching_names`] finds."""
    return matching_names(assignments, labels, num_symbols)[assignments]


def balanced_order(assignments: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random order of an epoch in which all clusters that occur are equally frequent.

    From each of k clusters ⌊n/k⌋ + 1 texts are drawn, without replacement if it is larger than that and with
    replacement otherwise. The draws are shuffled and cut to n.

    Args:
        assignments (`np.ndarray` of shape `(n,)`): cluster ids.
        rng (`np.random.Generator`): source of the randomness.

    Returns:
        `np.ndarray` of shape `(n,)`: indices into `assignments`; some may be repeated and some missing.
    """
    num_texts, clusters = len(assignments), np.unique(assignments)
    num_drawn = num_texts // len(clusters) + 1
    drawn = []
    for symbol in clusters:
        members = np.flatnonzero(assignments == symbol)
        drawn.append(rng.choice(members, num_drawn, replace=len(members) <= num_drawn))
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
