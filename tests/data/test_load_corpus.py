import dataclasses
import sys

import pytest

from ldebm_hf.data import load_corpus, load_points
from ldebm_hf.data.corpus import ALL_SOURCES
from ldebm_hf.training import load_settings
from ldebm_hf.training.settings import DataSettings


def test_subset_and_hidden_labels():
    whole, part = load_corpus(), load_corpus(max_train_examples=400, label_fraction=0.25)
    assert len(part.train) == 400 and set(part.train.texts) <= set(whole.train.texts)
    assert sum(label >= 0 for label in part.train.labels) == 100
    assert part.validation == whole.validation and part.label_names == whole.label_names


@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        ("yelpp", {}, "unknown source of texts 'yelpp': use 'synthetic', 'ptb', 'yelp', 'daily_dialog',"),
        ("ptb", {}, "source 'ptb' needs data_dir, the folder with ptb.train.txt"),
        ("yelp", {}, "source 'yelp' needs data_dir, the folder with sentiment"),
        ("smd", {}, "source 'smd' needs data_dir, the folder with kvret"),
        ("synthetic", {"label_column": "topic"}, "label_column='topic' cannot be used with source 'synthetic'"),
        ("synthetic", {"attribute_columns": "topic"}, "attribute_columns='topic' .* of files and data sets"),
        ("a.csv", {"attribute_columns": "x", "streaming": True}, "='x' cannot be used .* 'a.csv' with streaming=True"),
        ("a.csv", {"context_turns": 3, "streaming": True}, "context_turns=3 .*'a.csv' .* of 'daily_dialog' and 'smd'"),
        ("daily_dialog", {"streaming": True}, "streaming=True .*'daily_dialog': .* of files and data sets of"),
        ("ptb", {"validation_file": "x.txt"}, "validation_file='x.txt' cannot be used with source 'ptb': .* of files"),
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
    with pytest.raises(ValueError, match="data.attribute_columns=who needs model.modality=text or document"):
        load_settings(["--data", "gaussians", "--modality", "point", "--attribute_columns", "who"])


def test_file_of_an_unknown_type(write, monkeypatch, tmp_path):
    write("folder/notes.pdf", "%PDF")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="unknown source of texts 'folder/notes.pdf': .* .csv, .tsv, .json, .jsonl"):
        load_corpus("folder/notes.pdf")


def test_optional_libraries_are_not_needed_without_their_formats(write, monkeypatch):
    for name in ("datasets", "pyarrow", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
    assert len(load_corpus().train) == 6000
    assert len(load_corpus(write("a.csv", "text\none\ntwo\n")).train) == 1


def test_repeated_dialogues_are_about_dialogues():
    with pytest.raises(ValueError, match="keep_repeated=False cannot be used with source 'synthetic'"):
        load_corpus("synthetic", keep_repeated=False)


def test_an_option_that_no_source_has_is_named_with_the_closest():
    with pytest.raises(TypeError, match="no source of data has an option 'titels': did you mean titles?"):
        load_corpus("synthetic", titels=True)


def test_every_source_accepts_the_options_of_the_others_at_their_default():
    assert load_corpus("synthetic", titles=False, streaming=False, data_dir=None) == load_corpus("synthetic")


def test_settings_and_sources_agree_on_the_defaults():
    """`DataSettings` passes all options to any source, which accepts those it does not have at their default."""
    settings = {field.name: field.default for field in dataclasses.fields(DataSettings)}
    for kind in ALL_SOURCES:
        for name, default in kind.options().items():
            if name != "seed":
                assert settings[name] == default, (kind, name)


def test_texts_and_points_are_not_mixed_up():
    with pytest.raises(ValueError, match="source 'gaussians' consists of points, not of texts"):
        load_corpus("gaussians")
    with pytest.raises(ValueError, match="source 'ptb' consists of texts, not of points"):
        load_points("ptb")


@pytest.mark.parametrize("kind", ALL_SOURCES)
def test_every_source_says_what_its_options_are(kind):
    described = "".join(base.__doc__ for base in kind.__mro__ if base.__doc__ and "Args:" in base.__doc__)
    assert kind.title()
    for name in kind.options():
        assert f"{name} (`" in described or f"`, {name} (`" in described, name
