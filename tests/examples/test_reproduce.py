"""examples/reproduce.py: tables by their names."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest
from tiny_base_models import sentence_bert
from untrained import SCRIPTS

from ldebm_hf.data import load_corpus

pytestmark = pytest.mark.usefixtures("without_curves")


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["reproduce.py", *arguments])
    runpy.run_path(str(SCRIPTS / "reproduce.py"), run_name="__main__")


def test_a_table_is_evaluated_with_the_options_given(monkeypatch):
    with pytest.raises(SystemExit, match="error: unknown row gan .*table4_smd has .*ldebm"):
        call(monkeypatch, "table4_smd", "--rows", "gan")


def test_other_names_are_answered_with_those_that_there_are(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        call(monkeypatch, "table99")
    assert re.search("invalid choice: 'table99' .*table1.*table4_smd.*table9", capsys.readouterr().err)
    for arguments in ([], ["--rows", "ldebm"]):
        with pytest.raises(SystemExit):
            call(monkeypatch, *arguments)
        assert "the following arguments are required: TABLE" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        call(monkeypatch, "--help")
    assert "pretrained_symbols, table1, table1_kl, table3, table4_daily_dialog" in capsys.readouterr().out


def test_every_row_of_table_1_on_200_sentences(monkeypatch, tmp_path, capsys):
    """All of the table's models, in the layout of the Penn Treebank's files."""
    corpus = load_corpus("synthetic")
    for split, name, size in ((corpus.train, "train", 200), (corpus.validation, "valid", 30)):
        (tmp_path / f"ptb.{name}.txt").write_text("".join(f" {text} \n" for text in split.texts[:size]))
    call(monkeypatch, "table1", "--data_dir", str(tmp_path), "--output_dir", str(tmp_path / "out"), "--smoke")
    rows = json.loads((tmp_path / "out" / "smoke" / "ptb" / "table1.json").read_text())
    of_models = {"ldebm", "ldebm_without_clustering", "svebm_ib", "svebm", "vae", "rnn_lm", "ae", "dae", "dvae"}
    of_models |= {"di_vae", "semi_vae", "semi_vae_i", "gm_vae", "gm_vae_i", "dgm_vae", "dgm_vae_i", "ldebm_published"}
    assert of_models <= rows.keys() and {"real held-out texts", "ldebm (paper)", "ldebm, words drawn"} <= rows.keys()
    for name in of_models:
        assert rows[name]["0"]["reverse_perplexity"] > 1, name
        assert ("bleu" in rows[name]["0"]) == (name != "rnn_lm"), name
    text = (tmp_path / "out" / "smoke" / "ptb" / "table1.md").read_text()
    assert text in capsys.readouterr().out and "\nas published: rPPL, BLEU and wKL" in text


@pytest.fixture
def releases(tmp_path) -> Path:
    """A folder with synthetic texts in the layout of the releases of Yelp and AG News, each in its source's folder."""
    corpus = load_corpus("synthetic")
    for source in ("yelp", "agnews"):
        (tmp_path / "data" / source).mkdir(parents=True)
    for split, name, size in ((corpus.train, "train", 200), (corpus.validation, "dev", 60)):
        texts, news = split.texts[:size], [{"label": i % 4, "text": text} for i, text in enumerate(split.texts[:size])]
        (tmp_path / "data" / "agnews" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in news))
        for label in (0, 1):
            file = tmp_path / "data" / "yelp" / f"sentiment.{name}.{label}"
            file.write_text("".join(f"{text}\n" for text in texts[label::2]))
    return tmp_path / "data"


def test_a_table_of_several_data_sets_reports_each(monkeypatch, releases, tmp_path, capsys):
    options = ["--data_dir", str(releases), "--output_dir", str(tmp_path / "out"), "--smoke"]
    call(monkeypatch, "pretrained_few_labels", *options, "--rows", "tfidf_regression")
    printed = capsys.readouterr().out
    for source in ("agnews", "yelp"):
        report = (tmp_path / "out" / "smoke" / "pretrained_few_labels" / source / "table.md").read_text()
        assert report in printed and f": {source}\n" in report and "40 labels %" in report
    call(monkeypatch, "pretrained_few_labels", *options, "--rows", "hard_em", "--data_sets", "yelp")
    assert ": agnews" not in capsys.readouterr().out
    call(monkeypatch, "pretrained_symbols", *options, "--rows", "recurrent_encoder", "--data_sets", "yelp")
    folder = tmp_path / "out" / "smoke" / "pretrained_symbols" / "yelp"
    scores = json.loads((folder / "table.json").read_text())
    assert scores["recurrent_encoder"]["0"]["symbols_used"] <= 2
    overview = (folder.parent / "overview.md").read_text()
    assert overview in capsys.readouterr().out and re.search(r"\| +yelp, label_v_measure \|", overview)
    assert re.search(r"\| recurrent_encoder +\| +[\d.e-]+ \([\d.e-]+\) \|", overview)
    with pytest.raises(SystemExit, match=r"unknown data set films \(--data_sets\): .* has smd, agnews"):
        call(monkeypatch, "pretrained_symbols", *options, "--data_sets", "films")


def test_rows_of_a_pretrained_encoder(monkeypatch, releases, tmp_path):
    """With an encoder in a folder: a model on it and methods without a model, which share the vectors' folder."""
    options = ["--data_dir", str(releases), "--output_dir", str(tmp_path / "out"), "--smoke", "--data_sets", "yelp"]
    options += ["--encoder", str(sentence_bert()), "--set", f"data.features_dir={tmp_path / 'vectors'}"]
    call(monkeypatch, "pretrained_symbols", *options, "--rows", "pretrained_encoder,kmeans_features")
    folder = tmp_path / "out" / "smoke"
    rows = json.loads((folder / "pretrained_symbols" / "yelp" / "table.json").read_text())
    assert rows["pretrained_encoder"]["0"]["symbols_used"] <= 2 and "bleu" in rows["pretrained_encoder"]["0"]
    assert rows["kmeans_features"]["0"].keys() >= {"label_v_measure", "cpu_seconds"}
    assert any((tmp_path / "vectors").iterdir())
    call(monkeypatch, "pretrained_few_labels", *options, "--rows", "pretrained_encoder,feature_regression")
    rows = json.loads((folder / "pretrained_few_labels" / "yelp" / "table.json").read_text())
    for row in ("pretrained_encoder", "feature_regression"):
        assert rows[row]["0"].keys() >= {"accuracy_20_labels", "accuracy_40_labels"}
