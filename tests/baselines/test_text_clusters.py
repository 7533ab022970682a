"""Clusters of raw texts: recovery of known topics, seeds, and bad input."""

import random
import sys
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import v_measure_score

from ldebm_hf.baselines import text_clusters
from ldebm_hf.baselines.text_clusters import (
    bertopic_clusters,
    density_clusters,
    kmeans_features,
    kmeans_lsa,
    kmeans_tfidf,
)

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


def test_kmeans_of_features():
    rng = np.random.default_rng(0)
    of_texts = np.repeat(np.arange(4), 30)
    train, features = (np.eye(8)[of_texts] + 0.05 * rng.normal(size=(120, 8)) for _ in range(2))
    clusters = kmeans_features((train, features), 4, seed=1)
    assert clusters.dtype == np.int64 and v_measure_score(of_texts, clusters) == pytest.approx(1)
    assert (kmeans_features((train, features[:7]), 4, seed=1) == clusters[:7]).all()
    noise = rng.normal(size=(120, 8))
    assert (kmeans_features((noise, noise), 8, seed=1) != kmeans_features((noise, noise), 8, seed=2)).any()


def test_kmeans_of_features_starts_several_times():
    """Noise has many poor optima: the spread within clusters is less than from a single start."""
    noise = np.random.default_rng(0).normal(size=(150, 4))

    def spread(clusters: np.ndarray) -> float:
        parts = [noise[clusters == cluster] for cluster in range(8)]
        return sum(((part - part.mean(0)) ** 2).sum() for part in parts)

    for seed in (0, 1, 4):
        single = KMeans(8, n_init=1, random_state=seed).fit_predict(noise)
        assert spread(kmeans_features((noise, noise), 8, seed)) < 0.98 * spread(single)


class NamedTopics:
    """A substitute for BERTopic: the topic of a text is its name, and merging halves the topics' numbers."""

    made: ClassVar[list] = []

    def __init__(self, **settings):
        self.settings, self.merged = settings, 1
        self.made.append(self)

    def fit_transform(self, texts, vectors):
        return self.transform(texts, vectors)

    def reduce_topics(self, texts, nr_topics):
        self.nr_topics, self.merged = nr_topics, 2

    def transform(self, texts, vectors):
        topics = [int(text) for text in texts]
        return [topic // self.merged if topic >= 0 else -1 for topic in topics], None

    def reduce_outliers(self, texts, topics, strategy, embeddings):
        assert strategy == "embeddings" and len(embeddings) == len(texts)
        return [max(topic, 0) for topic in topics]


@pytest.fixture
def bertopic(monkeypatch):
    """Modules `bertopic` and `umap` with substitutes; the list of the models that are made."""
    for name, attributes in {"bertopic": {"BERTopic": NamedTopics}, "umap": {"UMAP": dict}}.items():
        module = ModuleType(name)
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(NamedTopics, "made", [])
    return NamedTopics.made


def topics_of(train: list[int], topics: list[int], num_clusters: int) -> list[int]:
    names = [[str(topic) for topic in part] for part in (train, topics)]
    vectors = np.zeros((len(train), 2)), np.zeros((len(topics), 2))
    return bertopic_clusters(*names, num_clusters, vectors, seed=5).tolist()


def test_topics_of_bertopic_are_merged_and_outliers_get_one(bertopic):
    assert topics_of([0, 1, 2, 3, -1], [3, -1, 1], 2) == [1, 0, 0]
    assert bertopic[-1].nr_topics == 3, "BERTopic counts the outliers as a topic"
    assert bertopic[-1].settings["umap_model"]["random_state"] == 5
    assert topics_of([0, 1, 2, 3], [3, 1], 2) == [1, 0] and bertopic[-1].nr_topics == 2
    assert topics_of([0, 1, -1], [1, -1], 2) == [1, 0] and bertopic[-1].merged == 1, "no more than asked for"
    assert topics_of([-1, -1], [1, 1], 2) == [0, 0], "no topic is found"


def test_bertopic_must_be_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "bertopic", None)
    with pytest.raises(ImportError, match="pip install bertopic"):
        topics_of([0, 1], [1], 2)


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
        (lambda: kmeans_features((np.eye(4), np.eye(9)), 2), "two arrays of shapes"),
        (lambda: kmeans_features((np.eye(4), np.eye(4)), 5), "num_clusters must be .* 4, got 5"),
        (lambda: bertopic_clusters(["a", "b"], ["a"], 2, (np.eye(2), np.eye(2))), "two arrays of shapes"),
        (lambda: bertopic_clusters(["a"], ["a"], 2, (np.eye(1), np.eye(1))), "num_clusters must be .* 1, got 2"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
