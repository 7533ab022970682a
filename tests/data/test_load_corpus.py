import sys

import pytest

from ldebm_hf.data import load_corpus
from ldebm_hf.training import load_settings


def test_subset_and_hidden_labels():
    whole, part = load_corpus(), load_corpus(max_train_examples=400, label_fraction=0.25)
    assert len(part.train) == 400 and set(part.train.texts) <= set(whole.train.texts)
    assert sum(label >= 0 for label in part.train.labels) == 100
    assert part.validation == whole.validation and part.label_names == whole.label_names


@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        ("yelpp", {}, "unknown source 'yelpp': use 'synthetic', 'ptb', 'yelp', 'daily_dialog', 'smd', 'agnews',"),
        ("ptb", {}, "source 'ptb' needs data_dir, the folder with ptb.train.txt"),
        ("yelp", {}, "source 'yelp' needs data_dir, the folder with sentiment"),
        ("smd", {}, "source 'smd' needs data_dir, the folder with kvret"),
        ("synthetic", {"label_column": "topic"}, "'synthetic' has no attribute 'topic' .*; there are: none"),
        ("synthetic", {"attribute_columns": "topic"}, "attribute_columns goes with a file .* not with 'synthetic'"),
        ("a.csv", {"attribute_columns": "x", "streaming": True}, "attribute_columns='x' cannot be used with str"),
        ("a.csv", {"context_turns": 3, "streaming": True}, "context_turns is about dialogues .*, not about 'a.csv'"),
        ("daily_dialog", {"streaming": True}, "streaming reads files and Hub data sets, not 'daily_dialog'"),
        ("ptb", {"validation_file": "x.txt"}, "validation_file goes with a file as source, not with 'ptb'"),
        ("synthetic", {"label_fraction": -0.1}, "label_fraction must be between 0 and 1"),
        ("synthetic", {"max_train_examples": 0}, "max_train_examples must be at least 1"),
    ],
)
def test_refuses(source, settings, message):
    with pytest.raises(ValueError, match=message):
        load_corpus(source, **settings)


def test_attribute_columns_on_the_command_line(write):
    path = write("a.csv", "text,who,size\n" + "one,x,1\ntwo,y,2\n" * 5)
    settings = load_settings(["--data", str(path), "--attribute_columns", "who,size"])
    assert settings.load_corpus().attribute_names == {"who": ["x", "y"], "size": ["1", "2"]}
    with pytest.raises(ValueError, match="data.attribute_columns is for texts and cannot be used with model.modality"):
        load_settings(["--data", "gaussians", "--modality", "point", "--attribute_columns", "who"])


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


def test_repeated_dialogues_are_about_dialogues():
    with pytest.raises(ValueError, match="keep_repeated=False is about dialogues .* not about 'synthetic'"):
        load_corpus("synthetic", keep_repeated=False)
