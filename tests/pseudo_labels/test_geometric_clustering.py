"""Geometric clustering, its alignment with labels, and balanced resampling."""

import sys
import tracemalloc
from collections import Counter
from dataclasses import fields, replace

import faiss
import numpy as np
import pytest
import torch

from ldebm_hf.pseudo_labels.geometric_clustering import (
    ClusteringSettings,
    Clusters,
    _mean_features,
    align_to_labels,
    balanced_order,
    check_clustering,
    matching_names,
)

PUBLISHED = ClusteringSettings(features="whitened", normalize=True)


def blobs(num_blobs: int = 6, per_blob: int = 50, size: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Well separated groups of vectors whose means lie in three dimensions, and the group of each."""
    rng = np.random.default_rng(seed)
    directions = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])[:num_blobs]
    truth = rng.permutation(np.repeat(np.arange(num_blobs), per_blob))
    features = np.zeros((len(truth), size))
    features[:, :3] = 5 * directions[truth]
    return (features + 0.1 * rng.normal(size=features.shape)).astype(np.float32), truth


def cluster(means: np.ndarray, num_symbols: int, settings: ClusteringSettings) -> np.ndarray:
    return Clusters.fit(means, num_symbols, settings).assign(means)


def same_partition(first: np.ndarray, second: np.ndarray) -> bool:
    return len(set(zip(first.tolist(), second.tolist(), strict=True))) == len(set(first)) == len(set(second))


@pytest.mark.filterwarnings("error")
def test_vectors_of_an_encoder_stay_on_the_disk(tmp_path):
    vectors = np.memmap(tmp_path / "vectors", dtype=np.float32, mode="w+", shape=(40_000, 64))
    vectors[:] = np.tile(blobs(4, per_blob=5_000, size=64)[0], (2, 1))
    vectors = np.memmap(tmp_path / "vectors", dtype=np.float32, mode="r", shape=vectors.shape)
    settings = ClusteringSettings(features="encoder", num_starts=1, num_iterations=2)
    tracemalloc.start()
    assigned = cluster(vectors, 4, settings)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < vectors.nbytes / 2
    np.testing.assert_array_equal(assigned[:20_000], assigned[20_000:])


def test_separated_groups_are_found():
    features, truth = blobs(4)
    assert same_partition(cluster(features, 4, PUBLISHED), truth)


def test_same_features_give_the_same_clusters_whatever_their_layout():
    features, _ = blobs()
    settings = PUBLISHED
    expected = cluster(features, 5, settings)
    np.testing.assert_array_equal(cluster(np.asfortranarray(features, dtype=np.float64), 5, settings), expected)
    assert expected.dtype == np.int64 and set(expected) == set(range(5))


def spread(features: np.ndarray, settings: ClusteringSettings) -> float:
    """Sum of squared distances to the nearest centroid."""
    centroids = Clusters.fit(features, 6, settings).centroids
    return float(np.square(features[:, None] - centroids).sum(-1).min(1).sum())


def test_of_several_starts_the_tightest_clusters_are_kept():
    """Six groups far apart: a single start often puts two centroids into one group, and ten hardly ever do."""
    features, _ = blobs()
    single = [spread(features, ClusteringSettings(features="encoder", num_starts=1, seed=s)) for s in range(8)]
    several = [spread(features, ClusteringSettings(features="encoder", seed=s)) for s in range(8)]
    assert max(several) < 30 and sum(value > 300 for value in single) >= 3
    by_default = [spread(features, ClusteringSettings(features="mean", seed=s)) for s in range(8)]
    assert by_default == single


def test_published_features_are_whitened_components_on_the_sphere():
    """The pipeline against its formula: centre, project on 3 principal axes, unit variance, unit length, K-means."""
    rng = np.random.default_rng(1)
    features = (rng.normal(size=(400, 6)) @ np.diag([4, 3, 2, 0.3, 0.2, 0.1]) + 7).astype(np.float32)
    centred = (features - features.mean(0)).astype(np.float64)
    values, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    white = (centred @ axes[:, ::-1][:, :3] / np.sqrt(values[::-1][:3])).astype(np.float32)
    assert np.allclose(white.var(0), 1, atol=1e-4)
    white /= np.linalg.norm(white, axis=1, keepdims=True)
    kmeans = faiss.Kmeans(3, 7, niter=20, seed=2021, min_points_per_centroid=1, max_points_per_centroid=400)
    kmeans.train(white)
    assert same_partition(cluster(features, 7, PUBLISHED), kmeans.assign(white)[1])


def test_length_matters_only_without_normalisation():
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 2, 200)
    features = np.outer(1 + 9 * truth, np.ones(4)).astype(np.float32) + 0.01 * rng.normal(size=(200, 4)).astype(
        np.float32
    )
    assert same_partition(cluster(features, 2, ClusteringSettings()), truth)
    assert not same_partition(cluster(features, 2, ClusteringSettings(normalize=True)), truth)


def test_no_more_than_256_points_per_cluster_would_be_a_subsample():
    features, truth = blobs(2, per_blob=2000)
    assert same_partition(cluster(features, 2, PUBLISHED), truth)


def rotated(means: np.ndarray, seed: int) -> np.ndarray:
    """The same geometry in other coordinates, reflections included, and a little moved."""
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(means.shape[1], means.shape[1])))[0]
    moved = 1.5 * means @ rotation + rng.normal(size=means.shape[1]) + 0.02 * rng.normal(size=means.shape)
    return moved.astype(np.float32)


@pytest.mark.parametrize("features", ["whitened", "mean"])
def test_clusters_keep_their_ids_when_latents_turn_between_epochs(features):
    """Each epoch's latents are last epoch's in other coordinates, so whitening has other axes and signs every time."""
    means, truth = blobs(6)
    settings = replace(PUBLISHED, features=features, initialization="previous")
    assignments = truth
    for epoch in range(4):
        means = rotated(means, epoch)
        assignments = Clusters.fit(means, 6, settings, previous=assignments).assign(means)
        np.testing.assert_array_equal(assignments, truth)


def test_previous_clusters_matter_only_where_the_settings_say_so():
    means, truth = blobs(6)
    from_texts = Clusters.fit(means, 6, PUBLISHED)
    assert not np.array_equal(from_texts.assign(means), truth), "this seed would find these ids by itself"
    np.testing.assert_array_equal(Clusters.fit(means, 6, PUBLISHED, previous=truth).centroids, from_texts.centroids)


def test_cluster_without_texts_restarts_where_texts_are_badly_covered_and_moves_no_other_id():
    """Groups 1 and 2 shared cluster 1 last epoch: now one of them gets the free id 2, all others keep theirs."""
    means, truth = blobs(6)
    previous = np.where(truth == 2, 1, truth)
    assignments = Clusters.fit(means, 6, replace(PUBLISHED, initialization="previous"), previous).assign(means)
    assert same_partition(assignments, truth)
    kept = ~np.isin(truth, [1, 2])
    np.testing.assert_array_equal(assignments[kept], truth[kept])


def test_several_clusters_without_texts_restart_apart():
    means, truth = blobs(6)
    previous = np.minimum(truth, 2)
    assignments = Clusters.fit(means, 6, replace(PUBLISHED, initialization="previous"), previous).assign(means)
    assert same_partition(assignments, truth)


def test_fitted_clusters_take_texts_they_have_not_seen():
    (means, truth), (others, other_truth) = blobs(6, seed=0), blobs(6, seed=1)
    clusters = Clusters.fit(means, 6, replace(PUBLISHED, initialization="previous"), previous=truth)
    np.testing.assert_array_equal(clusters.assign(others), other_truth)


def test_renaming_permutes_the_ids_of_clusters():
    means, _ = blobs(6)
    clusters, names = Clusters.fit(means, 6, PUBLISHED), np.array([3, 1, 0, 5, 2, 4])
    np.testing.assert_array_equal(clusters.renamed(names).assign(means), names[clusters.assign(means)])


def test_collapsed_posterior_gives_one_cluster_not_an_error():
    assignments = cluster(np.ones((30, 4), dtype=np.float32), 4, PUBLISHED)
    assert assignments.shape == (30,) and len(set(assignments)) == 1


@pytest.mark.parametrize(
    ("features", "num_symbols", "settings", "message"),
    [
        (np.full((9, 4), np.nan), 2, PUBLISHED, "must be finite"),
        (np.full((9, 4), 1e20), 2, PUBLISHED, "a magnitude of at most 1e.12, got 1e.20"),
        (np.zeros((3, 4)), 5, PUBLISHED, "cannot divide 3 texts into num_symbols=5 clusters"),
        (np.zeros((9, 2)), 2, PUBLISHED, "num_components=3 must not be more than latent_size=2"),
        (np.zeros((9, 4)), 2, ClusteringSettings(gpu=True), "faiss sees no GPU"),
    ],
)
def test_what_cannot_be_clustered_is_refused(features, num_symbols, settings, message):
    if settings.gpu and faiss.get_num_gpus():
        pytest.skip("faiss sees a GPU here")
    with pytest.raises(ValueError, match=message):
        cluster(features, num_symbols, settings)


def test_components_are_only_checked_where_they_are_used():
    check_clustering(ClusteringSettings(), latent_size=2)
    with pytest.raises(ValueError, match="num_components=3"):
        check_clustering(PUBLISHED, latent_size=2)


def test_missing_faiss_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"extra `cpu` .*clustering.enabled=false"):
        cluster(np.zeros((9, 4)), 2, PUBLISHED)


def test_alignment_undoes_a_renaming():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 300)
    renamed = rng.permutation(5)[truth]
    labels = np.where(rng.random(300) < 0.1, truth, -100)
    np.testing.assert_array_equal(align_to_labels(renamed, labels, 5), truth)


def test_alignment_is_the_best_permutation_not_a_greedy_choice():
    # Cluster 0 agrees with label 0 by 5 and with 1 by 4; cluster 1 agrees with label 0 by 4 and with 1 by 0.
    assignments = np.array([0] * 9 + [1] * 4)
    labels = np.array([0] * 5 + [1] * 4 + [0] * 4)
    np.testing.assert_array_equal(align_to_labels(assignments, labels, 2), 1 - assignments)


def test_clusters_without_known_labels_keep_their_names():
    assignments = np.array([0, 1, 2, 3, 0, 1])
    labels = np.array([1, 0, -100, -100, 1, 0])
    np.testing.assert_array_equal(align_to_labels(assignments, labels, 4), [1, 0, 2, 3, 1, 0])


def test_balanced_order_makes_clusters_equally_frequent():
    assignments = np.repeat([0, 1, 3], [900, 90, 10])  # no text of symbol 2
    order = balanced_order(assignments, np.random.default_rng(0))
    assert len(order) == 1000
    assert all(abs(count - 1000 / 3) <= 2 for count in Counter(assignments[order]).values())
    drawn = Counter(order.tolist())
    assert max(drawn[i] for i in range(900)) == 1, "a large cluster is drawn without replacement"
    assert len({i for i in drawn if i >= 990}) == 10, "a small one with replacement"


@pytest.mark.parametrize("sizes", [[4, 4, 4], [5, 4, 4], [10, 1, 2], [7], [1, 1]])
def test_balanced_order_has_as_many_texts_as_there_are(sizes):
    """Where the number of texts is a multiple of the number of clusters, and where it is not."""
    assignments = np.repeat(np.arange(len(sizes)), sizes)
    for seed in range(20):
        order = balanced_order(assignments, np.random.default_rng(seed))
        assert len(order) == len(assignments)
        counts = Counter(assignments[order].tolist())
        most = len(assignments) // len(sizes) + 1
        assert max(counts.values()) <= most and sum(most - counts[cluster] for cluster in range(len(sizes))) == (
            most * len(sizes) - len(assignments)
        )


def test_balanced_order_draws_a_cluster_that_is_just_large_enough_with_replacement():
    """Of three texts, three of four are drawn; without replacement it would always be three different ones."""
    assignments = np.repeat([0, 1], [3, 1])
    orders = [balanced_order(assignments, np.random.default_rng(seed)) for seed in range(20)]
    assert any(len(set(order[order < 3])) < (order < 3).sum() for order in orders)
    larger = np.repeat([0, 1], [4, 1])  # of which three are drawn
    for seed in range(20):
        order = balanced_order(larger, np.random.default_rng(seed))
        assert len(set(order[order < 4])) == (order < 4).sum()


def test_balanced_order_follows_its_generator():
    assignments = np.random.default_rng(0).integers(0, 4, 50)
    first, again, other = (balanced_order(assignments, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(
    ("name", "least"), [("num_components", 1), ("num_iterations", 1), ("num_starts", 1), ("seed", 0)]
)
def test_smallest_values_of_settings(name, least):
    limits = {item.name: item.metadata.get("at_least") for item in fields(ClusteringSettings)}
    assert limits[name] == least
    settings = replace(ClusteringSettings(features="whitened", num_components=2), **{name: least})
    means = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    assert len(Clusters.fit(means, 2, settings).centroids) == 2


def test_whitening_means_that_fill_fewer_dimensions_than_components():
    """Probabilities of three symbols sum to 1: two dimensions, and rounding makes the third's variance negative."""
    means = np.random.default_rng(0).dirichlet([1, 1, 1], size=500).astype(np.float32)
    clusters = Clusters.fit(means, 3, ClusteringSettings(features="whitened", num_components=3))
    assert np.isfinite(clusters.features(means)).all()
    assert set(clusters.assign(means)) == {0, 1, 2}


def record_kmeans(monkeypatch) -> list[tuple]:
    """The arguments of every K-means."""
    calls = []

    class Recorded(faiss.Kmeans):
        def __init__(self, *arguments, **settings):
            super().__init__(*arguments, **settings)
            calls.append((arguments, settings))

    monkeypatch.setattr(faiss, "Kmeans", Recorded)
    return calls


def test_kmeans_gets_the_settings_and_takes_all_texts(monkeypatch):
    (means, truth), calls = blobs(6), record_kmeans(monkeypatch)
    Clusters.fit(means, 6, ClusteringSettings(features="whitened"))
    Clusters.fit(means, 5, ClusteringSettings(features="encoder", num_iterations=7, seed=3))
    Clusters.fit(means, 6, ClusteringSettings(num_starts=4, initialization="previous"), previous=truth)
    Clusters.fit(means, 6, ClusteringSettings(num_starts=4, initialization="previous"))
    assert [arguments for arguments, _ in calls] == [(3, 6), (8, 5), (8, 6), (8, 6)]
    every = {"min_points_per_centroid": 1, "max_points_per_centroid": 300, "gpu": False}
    own = [(20, 1, 2021), (7, 10, 3), (20, 1, 2021), (20, 4, 2021)]
    assert [settings for _, settings in calls] == [
        {"niter": iterations, "nredo": starts, "seed": seed, **every} for iterations, starts, seed in own
    ]


def test_settings_of_kmeans_go_with_features_that_are_clustered():
    values = {
        "num_components": 2, "normalize": True, "num_iterations": 3, "num_starts": 1, "initialization": "previous",
        "match_previous": False, "seed": 1, "gpu": True,
    }  # fmt: skip
    for features in ("word_classes", "encoder_classes"):
        ClusteringSettings(features=features, balanced_resampling=False).validate()
        for name, value in values.items():
            with pytest.raises(ValueError, match=f"clustering.{name}={value} is a setting of K-means .*={features}"):
                ClusteringSettings(features=features, **{name: value}).validate()
        check_clustering(ClusteringSettings(features=features, gpu=True), latent_size=1)
    ClusteringSettings(features="words", **values).validate()


def test_features_as_large_as_allowed_and_as_many_clusters_as_texts():
    means = np.array([[1e12, 0], [-1e12, 0], [0, 0]])
    assert sorted(cluster(means, 3, ClusteringSettings())) == [0, 1, 2]
    with pytest.raises(ValueError, match="a magnitude of at most"):
        cluster(-1.01 * means[:2], 2, ClusteringSettings())
    with pytest.raises(ValueError, match="a magnitude of at most"):
        cluster(np.array([[-1.01e12, 0], [0, 0]]), 2, ClusteringSettings())
    with pytest.raises(ValueError, match="cannot divide 0 texts"):
        cluster(np.empty((0, 2)), 2, ClusteringSettings())
    check_clustering(PUBLISHED, latent_size=3)


def test_vectors_are_copied_only_where_they_change():
    means, _ = blobs(6)
    assert Clusters.fit(means, 6, ClusteringSettings()).features(means) is means
    before, clusters = means.copy(), Clusters.fit(means, 6, ClusteringSettings(normalize=True))
    lengths = np.linalg.norm(clusters.features(means), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)
    np.testing.assert_array_equal(means, before)
    shifted = replace(clusters, offset=np.full(8, 2, dtype=np.float32), normalize=False)
    np.testing.assert_allclose(shifted.features(means), means + 2)
    swapped = replace(clusters, projection=np.eye(8, dtype=np.float32)[::-1].copy(), normalize=False)
    np.testing.assert_allclose(swapped.features(means), means[:, ::-1])


@pytest.mark.parametrize("scale", [1, 1e-3])
def test_all_texts_count_for_the_principal_components(scale):
    """Of 5,000 texts in two dimensions faiss would look at 2,000. All components have the same variance."""
    means = scale * (np.random.default_rng(4).normal(size=(5_000, 2)).astype(np.float32) * [3, 0.5] + 7)
    features = Clusters.fit(means, 2, ClusteringSettings(features="whitened", num_components=2)).features(means)
    np.testing.assert_allclose(5_000 * np.cov(features.T, bias=True), np.eye(2), atol=1e-3)
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-5)


def test_clusters_come_back_from_their_state():
    means, _ = blobs(6)
    clusters = Clusters.fit(means, 6, PUBLISHED)
    state = clusters.state_dict()
    assert all(isinstance(state[name], torch.Tensor) for name in ("projection", "offset", "centroids"))
    again = Clusters.from_state_dict(state)
    assert again.normalize is True
    np.testing.assert_array_equal(again.assign(means), clusters.assign(means))
    assert all(isinstance(value, (np.ndarray, bool)) for value in vars(again).values())


def test_probabilities_go_to_the_likeliest_class():
    corners = Clusters.corners(3)
    assert corners.normalize is False
    assert corners.assign(np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3]])).tolist() == [0, 2, 1]


def test_distances_are_of_a_part_of_the_texts_at_a_time(monkeypatch):
    means, _ = blobs(6)
    clusters = Clusters.fit(means, 6, ClusteringSettings())
    expected, sizes, cdist = clusters.assign(means), [], torch.cdist

    def counted(features, *arguments, **settings):
        sizes.append(len(features))
        return cdist(features, *arguments, **settings)

    monkeypatch.setattr(torch, "cdist", counted)
    np.testing.assert_array_equal(clusters.assign(np.tile(means, (28, 1))), np.tile(expected, 28))
    assert sizes == [4096, 4096, 208]


def test_previous_clusters_start_at_the_mean_of_their_texts_and_an_empty_one_at_the_farthest_text():
    features = np.array([[0, 0], [2, 0], [10, 1], [10, 3], [5, -9], [4, 0]], dtype=np.float32)
    start = _mean_features(np.array([0, 0, 2, 2, 2, 0]), features, 4)
    np.testing.assert_allclose(start[[0, 2]], [[2, 0], [25 / 3, -5 / 3]], rtol=1e-6)
    np.testing.assert_array_equal(start[1], [5, -9])
    np.testing.assert_array_equal(start[3], [10, 3])


def test_a_cluster_without_labels_keeps_its_id_only_if_none_other_needs_it():
    labels = np.array([1, 1, -1, -1, -1, -1])
    np.testing.assert_array_equal(matching_names(np.array([0, 0, 1, 1, 2, 3]), labels, 4), [1, 0, 2, 3])
    np.testing.assert_array_equal(matching_names(np.array([0, 0]), np.array([0, 1]), 2), [0, 1])
    np.testing.assert_array_equal(matching_names(np.array([1, 0, 1]), np.array([0, 1, 1]), 2), [1, 0])
