"""Clusters of texts without a model of this package: the baselines that its symbols are compared with.

Each function fits clusters on training texts and assigns other texts to them. Texts are represented by the TF-IDF of
their lower-case words and punctuation marks, for which no pretrained model is needed, or by the features of a
pretrained encoder that are given.
"""

from collections.abc import Sequence

import numpy as np

from ..pseudo_labels.latent_semantics import latent_semantic_projection

WORDS_AND_MARKS = r"(?u)\w+|[^\w\s]"
"""Pattern of a token. scikit-learn's default drops punctuation, but a question mark says much about a sentence."""
DENSITY_COMPONENTS = 5
"""Dimensions in which regions of high density are searched, as in BERTopic."""
UMAP_NEIGHBORS = 15
NUM_STARTS = 10
"""Starts of K-means on features."""


def kmeans_tfidf(train_texts: Sequence[str], texts: Sequence[str], num_clusters: int, seed: int = 0) -> np.ndarray:
    """
    K-means on TF-IDF vectors.

    Args:
        train_texts (`Sequence[str]`): Texts on which vectors and clusters are fitted.
        texts (`Sequence[str]`): Texts to assign to the nearest centroid.
        num_clusters (`int`): Number of clusters, at most the number of training texts.
        seed (`int`, *optional*, defaults to 0): Seed of K-means.

    Returns:
        `np.ndarray` of shape `(len(texts),)`: Cluster ids, 0 to `num_clusters` − 1.

    Raises:
        ValueError: There are no texts, none has a word, or there are more clusters than training texts.
    """
    return _kmeans(*_tfidf(train_texts, texts), num_clusters, seed)


def kmeans_lsa(
    train_texts: Sequence[str], texts: Sequence[str], num_clusters: int, num_components: int = 100, seed: int = 0
) -> np.ndarray:
    """
    K-means on latent semantic analysis: TF-IDF vectors, reduced by a truncated SVD and scaled to length 1.

    Args:
        train_texts (`Sequence[str]`): Texts on which vectors and clusters are fitted.
        texts (`Sequence[str]`): Texts to assign to the nearest centroid.
        num_clusters (`int`): Number of clusters, at most the number of training texts.
        num_components (`int`, *optional*, defaults to 100): Maximum number of components of the SVD, which must be
            fewer than the training texts and than their distinct words.
        seed (`int`, *optional*, defaults to 0): Seed of the SVD and of K-means.

    Returns:
        `np.ndarray` of shape `(len(texts),)`: Cluster ids, 0 to `num_clusters` − 1.

    Raises:
        ValueError: As in [`kmeans_tfidf`], or there is no component, or only one text or word.
    """
    return _kmeans(*_lsa(train_texts, texts, num_components, seed), num_clusters, seed)


def kmeans_features(embeddings: tuple[np.ndarray, np.ndarray], num_clusters: int, seed: int = 0) -> np.ndarray:
    """
    K-means on the features of a pretrained encoder, the best of ten starts by its own objective.

    From a single start, as scikit-learn has it by default, few clusters often end in a poor optimum.

    Args:
        embeddings (`tuple[np.ndarray, np.ndarray]` of shapes `(m, d)` and `(n, d)`): Features of the training texts,
            on which clusters are fitted, and of the texts to assign to the nearest centroid.
        num_clusters (`int`): Number of clusters, at most the number of training texts.
        seed (`int`, *optional*, defaults to 0): Seed of K-means.

    Returns:
        `np.ndarray` of shape `(n,)`: Cluster ids, 0 to `num_clusters` − 1.

    Raises:
        ValueError: Features of other shapes, or more clusters than training texts.
    """
    vectors = _checked(embeddings, len(embeddings[0]), len(embeddings[1]))
    return _kmeans(*vectors, num_clusters, seed, NUM_STARTS)


def bertopic_clusters(
    train_texts: Sequence[str],
    texts: Sequence[str],
    num_clusters: int,
    embeddings: tuple[np.ndarray, np.ndarray],
    seed: int = 0,
) -> np.ndarray:
    """
    Topics of BERTopic (Grootendorst, 2022) with its own defaults, as `pip install bertopic` gives them.

    Topics are merged by BERTopic's `reduce_topics` until `num_clusters` remain besides the outliers, and outliers get
    the topic with the most similar embedding by its `reduce_outliers`.

    Args:
        train_texts (`Sequence[str]`): Texts on which topics are fitted.
        texts (`Sequence[str]`): Texts to assign to a topic.
        num_clusters (`int`): Maximum number of topics; there are fewer if BERTopic finds fewer.
        embeddings (`tuple[np.ndarray, np.ndarray]` of shapes `(len(train_texts), d)` and `(len(texts), d)`): Features
            of both by a sentence encoder.
        seed (`int`, *optional*, defaults to 0): Seed of UMAP. It makes UMAP run on one core.

    Returns:
        `np.ndarray` of shape `(len(texts),)`: Topic ids, which in the training texts start at 0 without gaps; all are
        0 if BERTopic finds no topic.

    Raises:
        ValueError: There are no texts, features of other shapes, or more topics than training texts.
        ImportError: BERTopic is not installed.
    """
    _check_texts(train_texts, texts)
    _check_num_clusters(num_clusters, len(train_texts))
    train_vectors, vectors = _checked(embeddings, len(train_texts), len(texts))
    try:
        from bertopic import BERTopic
        from umap import UMAP
    except ImportError as error:
        raise ImportError("bertopic_clusters needs BERTopic: pip install bertopic") from error
    # BERTopic's own UMAP, but for the seed, which it leaves to chance.
    reduce = UMAP(
        n_neighbors=UMAP_NEIGHBORS,
        n_components=DENSITY_COMPONENTS,
        min_dist=0.0,
        metric="cosine",
        low_memory=False,
        random_state=seed,
    )
    model = BERTopic(umap_model=reduce)
    topics, _ = model.fit_transform(list(train_texts), train_vectors)
    num_topics, has_outliers = max(topics) + 1, min(topics) < 0
    if not num_topics:
        return np.zeros(len(texts), dtype=np.int64)
    if num_topics > num_clusters:
        model.reduce_topics(list(train_texts), nr_topics=num_clusters + has_outliers)  # which counts outliers as one
    topics, _ = model.transform(list(texts), vectors)
    topics = [int(topic) for topic in topics]
    if min(topics) < 0:
        topics = model.reduce_outliers(list(texts), topics, strategy="embeddings", embeddings=vectors)
    return np.asarray(topics, dtype=np.int64)


def density_clusters(
    train_texts: Sequence[str],
    texts: Sequence[str],
    num_clusters: int | None = None,
    *,
    min_cluster_size: int = 10,
    num_components: int = 100,
    embeddings: tuple[np.ndarray, np.ndarray] | None = None,
    use_umap: bool | None = None,
    seed: int = 0,
) -> np.ndarray:
    """
    Regions of high density among embedded texts, as in BERTopic (Grootendorst, 2022).

    Embeddings are reduced to 5 dimensions, in which HDBSCAN finds regions of high density. If these are more than
    `num_clusters`, those with similar means are merged. All other texts, including outliers, get the cluster of the
    nearest clustered training text.

    Args:
        train_texts (`Sequence[str]`): Texts on which vectors and clusters are fitted.
        texts (`Sequence[str]`): Texts to assign to a cluster.
        num_clusters (`int`, *optional*): Maximum number of clusters; by default all that are found.
        min_cluster_size (`int`, *optional*, defaults to 10): Minimum number of training texts in a cluster.
        num_components (`int`, *optional*, defaults to 100): Maximum number of components of the latent semantic
            analysis that embeds the texts.
        embeddings (`tuple[np.ndarray, np.ndarray]` of shapes `(len(train_texts), d)` and `(len(texts), d)`,
            *optional*): Embeddings by a sentence encoder, in place of the latent semantic analysis.
        use_umap (`bool`, *optional*): Whether to reduce embeddings by UMAP or by principal components; by default UMAP
            is used if it is installed.
        seed (`int`, *optional*, defaults to 0): Seed of all random choices. It makes UMAP run on one core.

    Returns:
        `np.ndarray` of shape `(len(texts),)`: Cluster ids, which in the training texts start at 0 without gaps; all
        are 0 if no region is denser than the rest.

    Raises:
        ValueError: As in [`kmeans_lsa`], or embeddings of other shapes.
        ImportError: `use_umap` is true, but umap-learn is not installed.
    """
    from sklearn.cluster import HDBSCAN
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import normalize

    _check_texts(train_texts, texts)
    if min_cluster_size < 2 or min_cluster_size > len(train_texts):
        raise ValueError(
            f"min_cluster_size must be 2 to the number of training texts, {len(train_texts)}, got {min_cluster_size}"
        )
    if num_clusters is not None:
        _check_num_clusters(num_clusters, len(train_texts))
    if embeddings is None:
        train_vectors, vectors = _lsa(train_texts, texts, num_components, seed)
    else:
        train_vectors, vectors = (normalize(part) for part in _checked(embeddings, len(train_texts), len(texts)))
    train_points, points = _reduced(train_vectors, vectors, use_umap, seed)
    clusters = HDBSCAN(min_cluster_size=min_cluster_size, copy=True).fit_predict(train_points)
    clustered = clusters >= 0
    if not clustered.any():
        return np.zeros(len(texts), dtype=np.int64)
    if num_clusters is not None and clusters.max() + 1 > num_clusters:
        clusters = _merged(clusters, train_vectors, num_clusters)
    nearest = KNeighborsClassifier(n_neighbors=1).fit(train_points[clustered], clusters[clustered])
    return nearest.predict(points)


WAYS_TO_CLUSTER = {
    "kmeans_tfidf": kmeans_tfidf,
    "kmeans_lsa": kmeans_lsa,
    "density_clusters": density_clusters,
}
"""Ways of clustering texts without a model of this package that need nothing but the texts, by name."""


def _tfidf(train_texts: Sequence[str], texts: Sequence[str]):
    """Sparse TF-IDF vectors of length 1, `(len(train_texts), num_words)` and `(len(texts), num_words)`."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    _check_texts(train_texts, texts)
    if not any(text.strip() for text in train_texts):
        raise ValueError(f"train_texts must contain words, got {len(train_texts)} empty texts")
    vectorizer = TfidfVectorizer(token_pattern=WORDS_AND_MARKS)
    return vectorizer.fit_transform(train_texts), vectorizer.transform(texts)


def _check_texts(train_texts: Sequence[str], texts: Sequence[str]) -> None:
    for name, given in (("train_texts", train_texts), ("texts", texts)):
        if not len(given):
            raise ValueError(f"{name} must contain at least one text, got none")


def _lsa(train_texts: Sequence[str], texts: Sequence[str], num_components: int, seed: int):
    """Latent semantic analysis, scaled to length 1: arrays with one row per training text and one per other text."""
    train_vectors, vectors = _tfidf(train_texts, texts)
    if num_components < 1 or min(train_vectors.shape) < 2:
        raise ValueError(
            f"num_components must be at least 1 and less than the {train_vectors.shape[0]} training texts and their "
            f"{train_vectors.shape[1]} distinct words, got {num_components}"
        )
    project = latent_semantic_projection(train_vectors.shape, num_components, seed)
    return project.fit_transform(train_vectors), project.transform(vectors)


def _kmeans(train_vectors, vectors, num_clusters: int, seed: int, num_starts: int | str = "auto") -> np.ndarray:
    from sklearn.cluster import KMeans

    _check_num_clusters(num_clusters, train_vectors.shape[0])
    kmeans = KMeans(num_clusters, n_init=num_starts, random_state=seed).fit(train_vectors)
    return kmeans.predict(vectors).astype(np.int64)


def _check_num_clusters(num_clusters: int, num_texts: int) -> None:
    if not 1 <= num_clusters <= num_texts:
        raise ValueError(f"num_clusters must be 1 to the number of training texts, {num_texts}, got {num_clusters}")


def _checked(embeddings: tuple[np.ndarray, np.ndarray], num_train_texts: int, num_texts: int) -> list[np.ndarray]:
    arrays = [np.asarray(part, dtype=float) for part in embeddings]
    shapes = [array.shape for array in arrays]
    fit = [shape[:1] for shape in shapes] == [(num_train_texts,), (num_texts,)]
    if not fit or {len(shape) for shape in shapes} != {2} or shapes[0][1] != shapes[1][1]:
        raise ValueError(
            f"embeddings must be two arrays of shapes ({num_train_texts}, d) and ({num_texts}, d), got {shapes}"
        )
    return arrays


def _reduced(train_vectors: np.ndarray, vectors: np.ndarray, use_umap: bool | None, seed: int):
    """Training vectors and other vectors, reduced to at most 5 dimensions."""
    from sklearn.decomposition import PCA

    components = min(DENSITY_COMPONENTS, *train_vectors.shape)
    umap = None if use_umap is False else _import_umap(required=bool(use_umap))
    if umap is None:
        reduce = PCA(components, random_state=seed).fit(train_vectors)
        return reduce.transform(train_vectors), reduce.transform(vectors)
    reduce = umap.UMAP(
        n_neighbors=min(UMAP_NEIGHBORS, len(train_vectors) - 1),
        n_components=components,
        min_dist=0.0,
        metric="cosine",
        random_state=seed,
        n_jobs=1,
    )
    return reduce.fit_transform(train_vectors), reduce.transform(vectors)


def _merged(clusters: np.ndarray, vectors: np.ndarray, num_clusters: int) -> np.ndarray:
    """Merge clusters with similar mean vectors until there are `num_clusters`; -1 stays -1."""
    from sklearn.cluster import AgglomerativeClustering

    means = np.stack([vectors[clusters == cluster].mean(0) for cluster in range(clusters.max() + 1)])
    merged = AgglomerativeClustering(num_clusters, metric="cosine", linkage="average").fit_predict(means)
    return np.where(clusters >= 0, merged[clusters], -1)


def _import_umap(required: bool):
    try:
        import umap
    except ImportError as error:
        if required:
            raise ImportError("use_umap needs umap-learn: pip install umap-learn") from error
        return None
    return umap
