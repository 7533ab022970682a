import sys

import pytest

from ldebm_hf.data import load_corpus


def test_subset_and_hidden_labels():
    whole, part = load_corpus(), load_corpus(max_train_examples=400, label_fraction=0.25)
    assert len(part.train) == 400 and set(part.train.texts) <= set(whole.train.texts)
    assert sum(label >= 0 for label in part.train.labels) == 100
    assert part.validation == whole.validation and part.label_names == whole.label_names


@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        ("yelpp", {}, "unknown source 'yelpp': use 'synthetic', 'ptb', 'yelp'"),
        ("ptb", {}, "source 'ptb' needs data_dir, the folder with ptb.train.txt"),
        ("yelp", {}, "source 'yelp' needs data_dir, the folder with sentiment"),
        ("ptb", {"validation_file": "x.txt"}, "validation_file goes with a file as source, not with 'ptb'"),
        ("synthetic", {"label_fraction": -0.1}, "label_fraction must be between 0 and 1"),
        ("synthetic", {"max_train_examples": 0}, "max_train_examples must be at least 1"),
    ],
)
def test_refuses(source, settings, message):
    with pytest.raises(ValueError, match=message):
        load_corpus(source, **settings)


def test_file_of_an_unknown_type(write, monkeypatch, tmp_path):
    write("folder/notes.pdf", "%PDF")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="unknown source 'folder/notes.pdf': .* .csv, .tsv, .jsonl, .txt, .parquet"):
        load_corpus("folder/notes.pdf")


def test_optional_libraries_are_not_needed_without_their_formats(write, monkeypatch):
    for name in ("datasets", "pyarrow", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
    assert len(load_corpus().train) == 6000
    assert len(load_corpus(write("a.csv", "text\none\ntwo\n")).train) == 1
