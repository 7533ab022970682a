"""One rule for labels, in memory, in validation files and in streams."""

import json

import pytest

from ldebm_hf.data import NO_LABEL, load_corpus
from ldebm_hf.data.labels import DOUBTFUL_MARKS, NO_LABEL_MARKS
from ldebm_hf.training import load_settings


def table(labels) -> str:
    return "text,label\n" + "".join(f"text {i},{label}\n" for i, label in enumerate(labels))


def load(write, labels, streaming, validation=("a",), **options):
    path, held_out = write("a.csv", table(labels)), write("held_out.csv", table(validation))
    return load_corpus(path, label_column="label", validation_file=held_out, streaming=streaming, **options)


def names(corpus, split):
    labels = split.labels if hasattr(split, "labels") else [i for part in split.windows() for i in part.labels]
    return [None if i == NO_LABEL else corpus.label_names[i] for i in labels]


both = pytest.mark.parametrize("streaming", [False, True])


@both
@pytest.mark.parametrize("mark", sorted(NO_LABEL_MARKS))
def test_marks_that_mean_no_label(write, mark, streaming):
    corpus = load(write, ["a", mark, "b", "", mark], streaming)
    assert names(corpus, corpus.train) == ["a", None, "b", None, None]
    counted = f"column 'label': 2 cells {mark!r} mean no label"
    assert (counted in corpus.notes) == (mark != str(NO_LABEL))


@both
@pytest.mark.parametrize("mark", sorted(DOUBTFUL_MARKS))
def test_marks_that_may_be_classes_are_asked_about(write, mark, streaming):
    labels = ["a", mark, "b", mark]
    with pytest.raises(ValueError) as error:
        load(write, labels, streaming)
    assert f"{mark!r} in 2 rows" in str(error.value)
    assert f"missing_labels=[] if it is a class, or missing_labels=[{mark}]" in str(error.value)
    corpus = load(write, labels, streaming, missing_labels=[])
    assert names(corpus, corpus.train) == labels
    assert f"column 'label': {mark!r} is a class, of 2 rows (missing_labels)" in corpus.notes
    assert load(write, labels, streaming, missing_labels={mark}).label_names == ["a", "b"]
    corpus = load(write, labels, streaming, missing_labels=[mark])
    assert names(corpus, corpus.train) == ["a", None, "b", None]
    assert f"column 'label': 2 cells {mark!r} mean no label" in corpus.notes


@both
def test_the_marks_that_are_given_are_the_only_ones(write, streaming):
    corpus = load(write, ["a", "nan", "unsure", "NA", ""], streaming, missing_labels="unsure, NA")
    assert names(corpus, corpus.train) == ["a", "nan", None, None, None]


def test_marks_on_the_command_line():
    assert load_settings(["--missing_labels", "[NA, None]"]).data.missing_labels == ["NA", "None"]
    assert load_settings(["--missing_labels", "[None]"]).data.missing_labels == ["None"]
    assert load_settings(["--missing_labels", "[]"]).data.missing_labels == []
    assert load_settings([]).data.missing_labels is None


@both
def test_doubtful_marks_of_a_validation_file_are_asked_about(write, streaming):
    with pytest.raises(ValueError, match="'NA' in 1 rows"):
        load(write, ["a", "b"], streaming, validation=["a", "NA"])


@both
def test_whole_numbers_of_pandas_are_integers_everywhere(write, streaming):
    corpus = load(write, ["1.0", "", "0.0", "2.00", "10.0"], streaming, validation=["0", "10", "1"])
    assert corpus.label_names == ["0", "1", "2", "10"]
    assert names(corpus, corpus.train) == ["1", None, "0", "2", "10"]
    assert names(corpus, corpus.validation) == ["0", "10", "1"]
    assert "column 'label': 4 labels such as '1.0' are whole numbers (read as '1')" in corpus.notes


@both
def test_labels_that_differ_in_case_or_spaces_are_pointed_out(write, streaming):
    corpus = load(write, ["Food", "food ", "food", "two  words", "two words", "caf\u00e9", "cafe\u0301"], streaming)
    assert "column 'label': 1 labels had spaces around them (removed)" in corpus.notes
    noted = [note for note in corpus.notes if "differ only in case, spaces or form of characters" in note]
    assert len(noted) == 3 and "'Food' (1) and 'food' (2)" in noted[0]


@both
def test_labels_with_lost_characters_are_pointed_out(write, streaming):
    corpus = load(write, ["\ufffd\ufffd", "\ufffd\ufffd", "b"], streaming)
    assert any("2 labels hold U+FFFD" in note for note in corpus.notes)


@both
def test_nulls_of_json_are_no_labels_and_need_no_answer(tmp_path, streaming):
    path = tmp_path / "a.jsonl"
    rows = [{"text": f"text {i}", "label": label} for i, label in enumerate(["a", None, "b", float("nan"), 1, 1.0])]
    path.write_text("\n".join(map(json.dumps, rows)))
    held_out = tmp_path / "b.txt"
    held_out.write_text("one\ntwo\n")
    corpus = load_corpus(path, label_column="label", validation_file=held_out, streaming=streaming)
    assert names(corpus, corpus.train) == ["a", None, "b", None, "1", "1"]
    assert "b.txt: no column 'label', so its 2 texts are unlabelled" in corpus.notes
