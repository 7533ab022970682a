"""Symbols of an epoch: the names of clusters, from epoch to epoch and against labels; how many texts keep theirs."""

import json
import sys

import numpy as np
import pytest
from sklearn.metrics import homogeneity_score
from tiny_runs import tiny_corpus, tiny_stream, tiny_texts, tiny_trainer

from ldebm_hf.pseudo_labels.geometric_clustering import ClusteringSettings
from ldebm_hf.training import symbols
from ldebm_hf.training.symbols import fit_clusters, stability

NO_LABELS = np.full(200, -100)


@pytest.fixture
def groups() -> tuple[np.ndarray, np.ndarray]:
    """Four groups of 50 vectors, well apart, and the group of each."""
    rng = np.random.default_rng(0)
    truth = rng.permutation(np.repeat(np.arange(4), 50))
    means = 5 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])[truth] + 0.1 * rng.normal(size=(200, 3))
    return means.astype(np.float32), truth


@pytest.mark.parametrize("initialization", ["random", "previous"])
def test_clusters_are_named_after_those_of_the_last_epoch(groups, initialization):
    means, truth = groups
    for previous in (truth, np.array([2, 0, 3, 1])[truth]):
        settings = ClusteringSettings(initialization=initialization)
        clusters, assignments = fit_clusters(means, NO_LABELS, previous, 4, settings)
        np.testing.assert_array_equal(assignments, previous)
        np.testing.assert_array_equal(clusters.assign(means), previous)


def test_published_clusters_have_the_ids_that_k_means_gives_them(groups):
    means, truth = groups
    settings = ClusteringSettings(match_previous=False)
    _, first = fit_clusters(means, NO_LABELS, None, 4, settings)
    for previous in (truth, np.array([2, 0, 3, 1])[truth]):
        np.testing.assert_array_equal(fit_clusters(means, NO_LABELS, previous, 4, settings)[1], first)


def test_labels_name_clusters_before_the_last_epoch_does(groups):
    """Labels of two groups are known: those take the labels' names, and a cluster without labels keeps its own."""
    means, truth = groups
    previous = np.array([1, 0, 2, 3])[truth]
    labels = np.where((np.arange(200) < 60) & (truth < 2), truth, -100)
    _, assignments = fit_clusters(means, labels, previous, 4, ClusteringSettings())
    np.testing.assert_array_equal(assignments, truth)


def test_a_group_that_appears_renames_no_other(groups):
    """Last epoch had three clusters of the four and left id 1 unused: the new group gets it."""
    means, truth = groups
    previous = np.where(truth == 1, 3, truth)
    _, assignments = fit_clusters(means, NO_LABELS, previous, 4, ClusteringSettings())
    np.testing.assert_array_equal(assignments[np.isin(truth, [0, 2])], truth[np.isin(truth, [0, 2])])
    assert set(assignments[np.isin(truth, [1, 3])]) == {1, 3}


def test_stability_is_the_share_of_unlabelled_texts_that_stay():
    assignments, previous = np.array([0, 1, 2, 2]), np.array([0, 1, 1, 0])
    assert stability(assignments, previous, np.full(4, -100)) == 0.5
    assert stability(assignments, previous, np.array([-100, -100, -100, 1])) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "clustering", [{}, {"initialization": "previous", "match_previous": False}, {"initialization": "previous"}]
)
def test_run_reports_how_many_texts_keep_their_symbol(tmp_path, clustering):
    """With a model that does not move the posterior means are the same in every epoch, so all texts keep theirs."""
    trainer = tiny_trainer(
        tmp_path, tiny_corpus(labels="no"), clustering=clustering, num_train_epochs=3, learning_rate=0.0
    )
    trainer.train()
    lines = [json.loads(line) for line in trainer.folder.metrics.read_text().splitlines()]
    values = {line["step"]: line["values"] for line in lines if line["split"] == "clustering"}
    assert values == {
        1: {"clusters_used": 3},
        6: {"clusters_used": 3, "cluster_stability": 1},
        11: {"clusters_used": 3, "cluster_stability": 1},
    }


@pytest.mark.parametrize("streaming", [False, True])
def test_words_give_the_same_clusters_in_every_epoch(tmp_path, streaming, monkeypatch):
    """However the model moves, and so they are sought once; texts of topics without a word in common fall into a
    cluster per topic."""
    calls = []
    monkeypatch.setattr(symbols, "fit_clusters", lambda *arguments: calls.append(1) or fit_clusters(*arguments))
    corpus = tiny_corpus(labels="no")
    topics = [label for _, label in tiny_texts(40, 1)]
    if streaming:
        corpus = tiny_stream(tmp_path, corpus)
    trainer = tiny_trainer(tmp_path / "run", corpus, clustering={"features": "words"}, num_train_epochs=3)
    trainer.train()
    lines = [json.loads(line) for line in trainer.folder.metrics.read_text().splitlines()]
    stable = [line["values"].get("cluster_stability") for line in lines if line["split"] == "clustering"]
    assert stable == [None, 1, 1] and len(calls) == 1
    if not streaming:
        assert homogeneity_score(topics, trainer.progress.assignments) > 0.9


@pytest.mark.parametrize("streaming", [False, True])
def test_few_labels_give_texts_their_classes_by_their_words(tmp_path, streaming, monkeypatch):
    """Of texts of topics without a word in common a quarter has a label: each is taught its topic in every epoch."""
    corpus = tiny_corpus(labels="some")
    if streaming:
        corpus = tiny_stream(tmp_path, corpus)
    monkeypatch.setitem(sys.modules, "faiss", None)  # which is for K-means
    trainer = tiny_trainer(tmp_path / "run", corpus, clustering={"features": "word_classes"})
    trainer.train()
    lines = [json.loads(line) for line in trainer.folder.metrics.read_text().splitlines()]
    assert [line["values"]["clusters_used"] for line in lines if line["split"] == "clustering"] == [3, 3]
    topics = [topic for _, topic in tiny_texts(40, 1)]
    assert homogeneity_score(topics, trainer.progress.assignments) == pytest.approx(1)
    if not streaming:  # whose labels are numbered as they come
        np.testing.assert_array_equal(trainer.progress.assignments, topics)


def test_word_classes_without_a_label_are_refused(tmp_path):
    message = r"=word_classes .*: labels must be of at least two classes, got \[\].* --clustering.features words"
    with pytest.raises(ValueError, match=message):
        tiny_trainer(tmp_path, tiny_corpus(labels="no"), clustering={"features": "word_classes"})
