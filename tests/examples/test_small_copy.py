"""examples/small_copy.py: the copy with its card, and how it is scored and explained."""

import json

import pytest
import untrained

from ldebm_hf import LDEBMModel
from ldebm_hf.data import load_corpus
from ldebm_hf.training.settings import DataSettings


@pytest.fixture(scope="module")
def small_copy():
    return untrained.load_script("small_copy")


@pytest.fixture
def run(tmp_path):
    return untrained.save_untrained(tmp_path / "run", load_corpus("synthetic"))


def test_copy_alone(small_copy, run, tmp_path, capsys):
    small_copy.main([run, str(tmp_path / "copy"), "--unscored", "--examples", "will it rain"])
    assert LDEBMModel.from_pretrained(tmp_path / "copy").config.latent_size == 4
    card = (tmp_path / "copy" / "README.md").read_text("utf-8")
    assert "Weights are stored in bfloat16 and float32" in card and "imaginary city assistant" in card
    assert f"card: {tmp_path / 'copy' / 'README.md'}" in capsys.readouterr().out


def test_copy_is_scored_and_explained_without_texts(small_copy, tmp_path, capsys):
    pytest.importorskip("faiss")
    corpus, card, copy = load_corpus("synthetic"), tmp_path / "CARD.md", tmp_path / "copy"
    pair = corpus.train.texts, corpus.train.labels
    rows = [f"{corpus.label_names[label]},{text}" for text, label in zip(*pair, strict=True)]
    (tmp_path / "my.csv").write_text("\n".join(["label,text", *rows[:200]]))
    data = DataSettings(source=str(tmp_path / "my.csv"), label_column="label")
    run = untrained.save_untrained(tmp_path / "run", corpus, data=data)
    places = ["--data_dir", str(tmp_path), "--data", str(tmp_path / "my.csv")]
    options = [*places, "--min_label_probability", "0.01", "--card", str(card)]
    small_copy.main([run, str(copy), *options])
    printed = capsys.readouterr().out
    assert f"all scores: {copy / 'evaluation.json'}" in printed and "20 texts, " in printed
    assert "bleu" in json.loads((copy / "evaluation.json").read_text())
    report = json.loads((copy / "report.json").read_text())
    assert report["num_texts"] == 20 and all(not symbol["closest"] for symbol in report["symbols"])
    quoted = (copy / "report.json").read_text()
    assert not any(f'"{text}"' in quoted for text in corpus.train.texts[:200])
    assert not (copy / "report.html").exists() and "# copy" in card.read_text("utf-8")
    card.write_text("my own words")
    with pytest.raises(ValueError, match="CARD.md was edited by hand"):
        small_copy.main([run, str(copy), "--unscored", "--card", str(card)])
