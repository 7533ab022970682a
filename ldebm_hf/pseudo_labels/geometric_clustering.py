"""Geometric clustering: pseudo-labels from where a text's features lie, its posterior mean for one. The only file that
imports faiss."""

from dataclasses import dataclass, field, fields, replace
from typing import Literal

import numpy as np
import torch

SOURCES = {
    "mean": "by clustering of latents",
    "whitened": "by clustering of latents",
    "words": "by clustering of words",
    "word_classes": "by naive Bayes over words",
}
"""How symbols are found that are no labels, by `ClusteringSettings.features`."""
OF_K_MEANS = ("num_components", "normalize", "num_iterations", "initialization", "match_previous", "seed", "gpu")


@dataclass
class ClusteringSettings:
    """How unlabelled texts get the symbol that the classifier is trained towards."""

    enabled: bool | None = field(
        default=None,
        metadata={"help": 'false: "w/o GC"; none: for the diffusion prior, or word_classes'},
    )
    features: Literal["whitened", "mean", "words", "word_classes"] = field(
        default="mean",
        metadata={"help": '"mean", "whitened" (published), "words": LSA, "word_classes": Bayes'},
    )
    num_components: int = field(
        default=3,
        metadata={"help": 'principal components kept by "whitened" (3 for text, 2 for points)', "at_least": 1},
    )
    normalize: bool = field(
        default=False, metadata={"help": "scale every feature vector to unit length (published for text)"}
    )
    num_iterations: int = field(default=20, metadata={"help": "iterations of K-means", "at_least": 1})
    initialization: Literal["random", "previous"] = field(
        default="random",
        metadata={"help": 'where K-means starts: from "random" texts or the "previous" clusters'},
    )
    match_previous: bool = field(
        default=True, metadata={"help": "number the clusters so that most texts keep last epoch's symbol"}
    )
    seed: int = field(default=2021, metadata={"help": "seed of K-means, the same in every epoch", "at_least": 0})
    balanced_resampling: bool = field(
        default=True, metadata={"help": "draw equally many texts of every symbol in epochs that use clusters"}
    )
    gpu: bool = field(
        default=False, metadata={"help": "run K-means on the GPUs (faiss-gpu); 3-d features are quick on a CPU"}
    )


@dataclass
class Clusters:
    """K-means centroids in a space of features of posterior means, or of vectors of another origin.

    Features are `means @ projection.T + offset`, scaled to unit length if `normalize`.

    Args:
        projection (`np.ndarray` of shape `(num_features, size)`), offset (`np.ndarray` of shape
            `(num_features,)`), centroids (`np.ndarray` of shape `(num_symbols, num_features)`): float32.
        normalize (`bool`): whether features lie on the unit sphere.
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
        """K-means, after PCA-whitening and projection to the unit sphere if the settings say so.

        Args:
            means (`np.ndarray` of shape `(n, size)`): posterior means, or vectors of words, finite; always in the same
                order, because K-means picks its initial centroids by index.
            num_symbols (`int`): K, at most n.
            previous (`np.ndarray` of shape `(n,)`, *optional*): the texts' clusters of the last epoch. With
                `initialization="previous"` cluster k starts where the texts of last epoch's cluster k lie now (last
                epoch's centroids would mean nothing in this epoch's whitened space), and one that was empty at the
                text farthest from all others.

        Raises:
            ValueError: non-finite means, fewer texts than symbols, or more components than dimensions.
            ImportError: faiss is not installed.
        """
        means = np.ascontiguousarray(means, dtype=np.float32)
        num_texts, size = means.shape
        if not np.isfinite(means).all():
            raise ValueError("features to cluster must be finite")
        if num_texts < num_symbols:
            raise ValueError(f"cannot make num_symbols={num_symbols} clusters of {num_texts} texts")
        check_clustering(settings, size)
        projection, offset = np.eye(size, dtype=np.float32), np.zeros(size, dtype=np.float32)
        if settings.features == "whitened":
            projection, offset = _whitening(means, settings.num_components)
        clusters = cls(projection, offset, np.empty((0, len(offset)), dtype=np.float32), settings.normalize)
        features = clusters.features(means)
        start = None
        if previous is not None and settings.initialization == "previous":
            start = _centroids_of(previous, features, num_symbols)
        kmeans = _import_faiss().Kmeans(
            len(offset),
            num_symbols,
            niter=settings.num_iterations,
            nredo=1,
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
        """The clusters of probabilities `(n, num_symbols)` by their largest one, whose corner is the nearest."""
        corners = np.eye(num_symbols, dtype=np.float32)
        return cls(corners, np.zeros(num_symbols, dtype=np.float32), corners, normalize=False)

    def state_dict(self) -> dict[str, torch.Tensor | bool]:
        """Everything a checkpoint needs."""
        return {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in vars(self).items()}

    @classmethod
    def from_state_dict(cls, state: dict[str, torch.Tensor | bool]) -> "Clusters":
        return cls(**{k: v.numpy() if isinstance(v, torch.Tensor) else v for k, v in state.items()})

    def features(self, means: np.ndarray) -> np.ndarray:
        """The features, `(n, num_features)`, of posterior means `(n, latent_size)`."""
        features = np.asarray(means, dtype=np.float32) @ self.projection.T + self.offset
        if self.normalize:
            _import_faiss().normalize_L2(features)
        return features

    def assign(self, means: np.ndarray) -> np.ndarray:
        """The nearest centroid of posterior means `(n, latent_size)`: cluster ids `(n,)`, int64."""
        features, centroids = torch.from_numpy(self.features(means)), torch.from_numpy(self.centroids)
        return torch.cdist(features, centroids, compute_mode="donot_use_mm_for_euclid_dist").argmin(1).numpy()

    def renamed(self, names: np.ndarray) -> "Clusters":
        """The same clusters with `names[k]` as the id of cluster k; `names` is a permutation."""
        centroids = np.empty_like(self.centroids)
        centroids[names] = self.centroids
        return replace(self, centroids=centroids)


def _whitening(means: np.ndarray, num_components: int) -> tuple[np.ndarray, np.ndarray]:
    """The linear map to principal components of unit variance: matrix `(num_components, size)` and offset."""
    faiss, (num_texts, size) = _import_faiss(), means.shape
    pca = faiss.PCAMatrix(size, num_components)
    pca.max_points_per_d = num_texts
    pca.train(means)
    components = faiss.vector_to_array(pca.A).reshape(num_components, size)
    variances = faiss.vector_to_array(pca.eigenvalues)[:num_components]
    # Collapsed posterior means have no variance to divide by, and rounding makes it negative.
    scale = 1 / np.sqrt(variances.clip(min=0) + 1e-12).astype(np.float32)
    return components * scale[:, None], faiss.vector_to_array(pca.b) * scale


def _centroids_of(assignments: np.ndarray, features: np.ndarray, num_symbols: int) -> np.ndarray:
    """The mean feature of every cluster, `(num_symbols, num_features)`; of an empty one the text farthest from all."""
    sizes = np.bincount(assignments, minlength=num_symbols)
    sums = np.stack([np.bincount(assignments, column, num_symbols) for column in features.T], axis=1)
    centroids = (sums / np.maximum(sizes, 1)[:, None]).astype(np.float32)
    there = sizes > 0
    for symbol in np.flatnonzero(~there):
        distances, _ = _import_faiss().knn(features, centroids[there], 1)
        centroids[symbol], there[symbol] = features[distances.argmax()], True
    return centroids


def refuse_settings_of_k_means(settings: ClusteringSettings) -> None:
    """Refuse, with a ValueError, what would have no effect on word classes."""
    for setting in fields(settings):
        value = getattr(settings, setting.name)
        if setting.name in OF_K_MEANS and value != setting.default:
            raise ValueError(
                f"clustering.{setting.name}={value} is of K-means and cannot be used with features=word_classes"
            )


def check_clustering(settings: ClusteringSettings, latent_size: int) -> None:
    """Refuse what `Clusters.fit` would fail on, before any text is encoded for it.

    Raises:
        ValueError: whitened features of more components than a latent vector has, or a GPU that faiss does not see.
        ImportError: faiss is not installed.
    """
    if settings.features == "word_classes":  # which no K-means follows
        return
    if settings.features == "whitened" and settings.num_components > latent_size:
        raise ValueError(
            f"clustering.num_components={settings.num_components} must not be more than latent_size={latent_size}"
        )
    if settings.gpu and _import_faiss().get_num_gpus() == 0:
        raise ValueError("clustering.gpu=true, but faiss sees no GPU: install faiss-gpu, or set clustering.gpu=false")
    _import_faiss()


def matching_names(assignments: np.ndarray, labels: np.ndarray, num_symbols: int) -> np.ndarray:
    """The renaming of clusters that agrees with as many known labels as one renaming can (Hungarian matching).

    Args:
        assignments (`np.ndarray` of shape `(n,)`): cluster ids in 0..num_symbols-1.
        labels (`np.ndarray` of shape `(n,)`): class ids, or cluster ids of an earlier epoch, in 0..num_symbols-1;
            negative where unknown.

    Returns:
        `np.ndarray` of shape `(num_symbols,)`: a permutation, the new id of every cluster. A cluster in which no label
        is known keeps its id if it can.
    """
    from scipy.optimize import linear_sum_assignment

    known = labels >= 0
    agreement = np.zeros((num_symbols, num_symbols))
    np.add.at(agreement, (assignments[known], labels[known]), 1)
    keep_id = 0.5 / num_symbols * np.eye(num_symbols)  # in all less than one agreement: only breaks ties
    return linear_sum_assignment(agreement + keep_id, maximize=True)[1]


def align_to_labels(assignments: np.ndarray, labels: np.ndarray, num_symbols: int) -> np.ndarray:
    """`assignments` under the names of `matching_names`, `(n,)`."""
    return matching_names(assignments, labels, num_symbols)[assignments]


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
