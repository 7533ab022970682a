"""Which runs of a table there are, and what scoring refuses before any training."""

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from ldebm_hf.data import load_corpus
from ldebm_hf.experiments import table_runs
from ldebm_hf.experiments.paper_tables import PaperTable
from ldebm_hf.experiments.reading_experiment import read_symbols
from ldebm_hf.experiments.table_experiment import TableExperiment
from ldebm_hf.experiments.table_runs import ScoringOptions, check_split, chosen_names, features_of
from ldebm_hf.files.packaged import RECIPES

PLAN = PaperTable("few", "", "agnews", "classification", rows={"ours": {}, "vae": {}}, latent_classifiers=["vae"],
                  text_baselines=["hard_em", "given_vectors"], label_counts=[20, 40])  # fmt: skip


def test_rows_are_chosen_run_by_run():
    assert chosen_names(PLAN, None, None) == ["ours/20", "ours/40", "vae", "hard_em"]
    assert chosen_names(PLAN, None, "vectors.txt")[-1] == "given_vectors"
    assert chosen_names(PLAN, ["ours/40", "vae"], None) == ["ours/40", "vae"]
    of_days = dataclasses.replace(PLAN, optional_rows=["vae"])
    assert "vae" not in chosen_names(of_days, None, None) and chosen_names(of_days, ["vae"], None) == ["vae"]
    with pytest.raises(ValueError, match=r"unknown row gan \(--rows\): few has ours, vae, hard_em, given_vectors"):
        chosen_names(PLAN, ["ours", "gan"], None)
    with pytest.raises(ValueError, match="row given_vectors needs --word_vectors"):
        chosen_names(PLAN, ["given_vectors"], None)


def test_word_vectors_are_named_and_must_be_there(tmp_path):
    assert ScoringOptions().vectors.startswith("trained on the training texts")
    (tmp_path / "glove.txt").write_text("a 1 2\n")
    assert ScoringOptions(word_vectors=tmp_path / "glove.txt").vectors == f"of {tmp_path / 'glove.txt'}"
    with pytest.raises(FileNotFoundError, match="no word vectors: looked for .*none.txt"):
        ScoringOptions(word_vectors=tmp_path / "none.txt")


def test_splits_must_be_there():
    with pytest.raises(ValueError, match="unknown split 'exam' .*train, validation"):
        check_split(load_corpus("synthetic"), "exam")


def test_rows_whose_package_is_not_installed_are_left_out(monkeypatch):
    plan = PaperTable("t", "", "demo", "reading", rows={"ours": {}}, text_clusters=["bertopic"], encoder="an/encoder")
    experiment = TableExperiment(plan, Path("recipes"), Path("out"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert chosen_names(plan, None, None) == ["ours"]
    assert experiment.notes_on_missing_rows() == [
        "bertopic is left out: it needs a package that is not installed (pip install bertopic)"
    ]
    with pytest.raises(ValueError, match="row bertopic needs a package that is not installed: pip install bertopic"):
        chosen_names(plan, ["ours", "bertopic"], None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: "there")
    assert chosen_names(plan, None, None) == ["ours", "bertopic"] and not experiment.notes_on_missing_rows()


@pytest.fixture
def encoded(monkeypatch) -> list[tuple[int, str, str | None]]:
    """A substitute for the encoder, whose features name the label of a synthetic text; what it has encoded."""
    corpus, calls = load_corpus("synthetic"), []
    labels = {text: label for split in corpus.splits.values()
              for text, label in zip(split.texts, split.labels, strict=True)}  # fmt: skip

    def frozen_features(texts, name_or_path, cache_dir):
        calls.append((len(texts), name_or_path, cache_dir))
        return np.eye(len(corpus.label_names), dtype=np.float32)[[labels[text] for text in texts]]

    monkeypatch.setattr(table_runs, "frozen_features", frozen_features)
    return calls


def test_features_are_computed_once_for_each_split(encoded):
    corpus = load_corpus("synthetic")
    features = features_of(corpus, "validation", "an/encoder", "kept")
    assert encoded == [(len(split), "an/encoder", "kept") for split in (corpus.train, corpus.validation)]
    every_second = corpus.validation.texts[1::2]
    assert features(every_second).argmax(1).tolist() == corpus.validation.labels[1::2] and len(encoded) == 2
    assert features(corpus.train.texts).argmax(1).tolist() == corpus.train.labels


def test_rows_on_features_are_scored_with_their_costs(encoded, tmp_path, monkeypatch):
    clusters = PaperTable("t", "", "demo", "reading", rows={}, text_clusters=["kmeans_features"], encoder="an/encoder",
                          settings={"model": {"num_symbols": 6}, "data": {"label_fraction": 0.0}},
                          peak_memory=True, runs_folder="t")  # fmt: skip
    labels = dataclasses.replace(clusters, measure="classification", label_counts=[40], text_clusters=[],
                                 text_baselines=["feature_regression"], settings={}, runs_folder="u")  # fmt: skip
    monkeypatch.setattr(table_runs, "peak_gigabytes", lambda: 0.5)
    for plan, score in ((clusters, "label_v_measure"), (labels, "accuracy_40_labels")):
        experiment = TableExperiment(plan, RECIPES, tmp_path)
        assert not experiment.train()
        (row,) = plan.all_rows
        run = experiment.run(row, 0)
        assert run.scored_with["encoder"] == "an/encoder"
        scores = run.finished_scores()
        if plan is clusters:
            assert scores["name_accuracy"] > scores["name_accuracy_chance"] + 0.1
            assert "label_probe_of_symbols" not in scores, "the labels of training texts are hidden"
            assert len(read_symbols(run.folder)[1][""]) == len(load_corpus("synthetic").validation)
        assert scores[score] > 0.6 and scores["cpu_seconds"] > 0 and scores["peak_gigabytes"] == 0.5
        assert "encoder: an/encoder" in experiment.report() and "peak GB" in experiment.report()
        other = TableExperiment(dataclasses.replace(plan, encoder="another"), RECIPES, tmp_path)
        assert other.run(row, 0).finished_scores() is None, "another encoder, another score"
    plain = TableExperiment(dataclasses.replace(clusters, peak_memory=False, runs_folder="v"), RECIPES, tmp_path)
    assert not plain.train() and "peak_gigabytes" not in plain.run("kmeans_features", 0).finished_scores()
