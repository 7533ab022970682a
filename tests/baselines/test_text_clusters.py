"""Clusters of raw texts: recovery of known topics, seeds, and bad input."""

import random
import sys
from types import ModuleType

import numpy as np
import pytest
from sklearn.metrics import v_measure_score

from ldebm_hf.baselines import text_clusters
from ldebm_hf.baselines.text_clusters import density_clusters, kmeans_lsa, kmeans_tfidf

NUM_TOPICS = 4


def topic_corpus(number: int, seed: int) -> tuple[list[str], list[int]]:
    """Texts of three words of all topics and five of their topic's twelve."""
    rng = random.Random(seed)
    topics = [rng.randrange(NUM_TOPICS) for _ in range(number)]
    shared, own = [f"any{i}" for i in range(30)], [[f"topic{k}word{i}" for i in range(12)] for k in range(NUM_TOPICS)]
    return [" ".join(rng.sample(rng.sample(shared, 3) + rng.sample(own[topic], 5), 8)) for topic in topics], topics


TRAIN, _ = topic_corpus(400, seed=0)
TEXTS, TOPICS = topic_corpus(200, seed=1)
METHODS = {
    "tfidf": lambda *texts, **options: kmeans_tfidf(*texts, num_clusters=NUM_TOPICS, **options),
    "lsa": lambda *texts, **options: kmeans_lsa(*texts, num_clusters=NUM_TOPICS, num_components=6, **options),
    "density": lambda *texts, **options: density_clusters(*texts, num_components=6, use_umap=False, **options),
}


@pytest.mark.parametrize("name", METHODS)
def test_topics_are_recovered(name):
    clusters = METHODS[name](TRAIN, TEXTS)
    assert clusters.shape == (200,) and clusters.dtype == np.int64 and clusters.min() >= 0
    assert v_measure_score(TOPICS, clusters) > 0.95
    assert (clusters == METHODS[name](TRAIN, TEXTS)).all()


@pytest.mark.parametrize("name", METHODS)
def test_clusters_are_of_the_training_texts(name):
    """The cluster of a text does not depend on the other texts; texts without a known word get one, too."""
    assert (METHODS[name](TRAIN, TEXTS[:5]) == METHODS[name](TRAIN, TEXTS)[:5]).all()
    assert METHODS[name](TRAIN, ["", "unheard of"]).min() >= 0
    with pytest.raises(ValueError, match="train_texts must contain at least one text"):
        METHODS[name]([], TEXTS)
    with pytest.raises(ValueError, match="texts must contain at least one text"):
        METHODS[name](TRAIN, [])
    with pytest.raises(ValueError, match="must contain words, got 40 empty texts"):
        METHODS[name]([" "] * 40, TEXTS)


def test_kmeans_follows_its_seed():
    rng = random.Random(0)
    texts = [" ".join(rng.choices("abcdefghij", k=5)) for _ in range(200)]
    assert (kmeans_tfidf(texts, texts, 8, seed=1) != kmeans_tfidf(texts, texts, 8, seed=2)).any()
    assert (kmeans_tfidf(texts, texts, 8, seed=1) == kmeans_tfidf(texts, texts, 8, seed=1)).all()


def test_punctuation_marks_count_and_case_does_not():
    texts = ["Is it?", "it is.", "IS IT?", "It is."] * 10
    clusters = kmeans_tfidf(texts, texts, 2)
    assert v_measure_score([0, 1, 0, 1] * 10, clusters) == pytest.approx(1)


def test_density_clusters_of_ones_own_embeddings():
    """Four dense balls of 60 on the sphere and 12 strays between two of them."""
    rng = np.random.default_rng(0)
    centres = np.eye(8)[:4]
    balls = np.repeat(centres, 60, axis=0) + 0.03 * rng.normal(size=(240, 8))
    strays = 0.6 * centres[0] + 0.4 * centres[1] + 0.3 * rng.normal(size=(12, 8))
    train = np.concatenate([balls, strays])
    texts = ["no word of it is read"] * 252
    clusters = density_clusters(texts, texts[:244], embeddings=(train, 5 * train[:244]), use_umap=False)
    assert v_measure_score(np.repeat(range(4), 60), clusters[:240]) == pytest.approx(1)
    assert set(clusters[240:]) <= set(clusters[:240])  # strays get the nearest cluster
    close = np.concatenate([balls, strays])
    close[60:120] = close[:60] + 0.4 * centres[1]
    two = density_clusters(texts, texts[:240], 3, embeddings=(close, close[:240]), use_umap=False)
    assert v_measure_score(np.repeat([0, 0, 2, 3], 60), two) == pytest.approx(1)  # the closest two are one


def test_texts_of_one_density_are_one_cluster():
    rng = np.random.default_rng(0)
    even = rng.normal(size=(60, 5))
    texts = ["x"] * 60
    clusters = density_clusters(texts, texts, min_cluster_size=40, embeddings=(even, even), use_umap=False)
    assert (clusters == 0).all()


def test_umap_reduces_where_it_is_installed(monkeypatch):
    """With a substitute for UMAP that keeps the first five coordinates."""
    made = []

    class FirstFive:
        def __init__(self, **settings):
            made.append(settings)

        def fit_transform(self, vectors):
            return vectors[:, :5]

        transform = fit_transform

    umap = ModuleType("umap")
    umap.UMAP = FirstFive
    monkeypatch.setitem(sys.modules, "umap", umap)
    clusters = density_clusters(TRAIN, TEXTS, num_components=6, seed=7)
    assert v_measure_score(TOPICS, clusters) > 0.95
    assert made[0]["random_state"] == 7 and made[0]["n_components"] == text_clusters.DENSITY_COMPONENTS
    monkeypatch.setitem(sys.modules, "umap", None)
    assert v_measure_score(TOPICS, density_clusters(TRAIN, TEXTS, num_components=6)) > 0.95
    with pytest.raises(ImportError, match="pip install umap-learn"):
        density_clusters(TRAIN, TEXTS, num_components=6, use_umap=True)


def test_few_words_have_fewer_directions():
    """By default up to 100, and these texts have fewer distinct words."""
    assert v_measure_score(TOPICS, kmeans_lsa(TRAIN, TEXTS, NUM_TOPICS)) > 0.95


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: kmeans_tfidf(["a", "b"], ["a"], 3), "num_clusters must be 1 to the number .* 2, got 3"),
        (lambda: kmeans_lsa(["a", "b"], ["a"], 1, num_components=0), "num_components must be at least 1 .* got 0"),
        (lambda: kmeans_lsa(["a b"], ["a"], 1), "less than the 1 training texts"),
        (lambda: kmeans_lsa(TRAIN, TEXTS, 0, num_components=5), "num_clusters must be .* got 0"),
        (lambda: density_clusters(TRAIN, TEXTS, 401), "num_clusters must be .* got 401"),
        (lambda: density_clusters(TRAIN, TEXTS, min_cluster_size=1), "min_cluster_size must be 2 to .* got 1"),
        (lambda: density_clusters(TRAIN, TEXTS, embeddings=(np.eye(400), np.eye(9))), "two arrays of shapes"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
