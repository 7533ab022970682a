"""Which runs of a table there are, and what scoring refuses before any training."""

import dataclasses

import pytest

from ldebm_hf.data import load_corpus
from ldebm_hf.experiments.paper_tables import PaperTable
from ldebm_hf.experiments.table_runs import ScoringOptions, check_split, chosen_names

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
