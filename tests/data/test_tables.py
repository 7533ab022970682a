import pytest

from ldebm_hf.data import NO_LABEL
from ldebm_hf.data.tables import build_splits


def build(labels, **kwargs):
    table = {"text": [f"text {i}" for i in range(len(labels))], "label": labels}
    splits, names, _ = build_splits([("mine", table)], "text", "label", [], **kwargs)
    return splits[0].labels, names


@pytest.mark.parametrize(
    ("values", "ids", "names"),
    [
        (["pos", "neg", "", None, " pos "], [1, 0, NO_LABEL, NO_LABEL, 1], ["neg", "pos"]),
        ([2, 10, None, 1], [1, 2, NO_LABEL, 0], ["1", "2", "10"]),
        (["pos", "nan", "#N/A", "null", "neg"], [1, NO_LABEL, NO_LABEL, NO_LABEL, 0], ["neg", "pos"]),
        (["1.0", "", "2.00", "1"], [0, NO_LABEL, 1, 0], ["1", "2"]),
        (["1.0", "1.5", "v1.0"], [0, 1, 2], ["1", "1.5", "v1.0"]),
        (["2", "10", "", "1"], [1, 2, NO_LABEL, 0], ["1", "2", "10"]),
        ([1.0, float("nan"), 0.0], [1, NO_LABEL, 0], ["0", "1"]),
        ([-1, 0, 1, NO_LABEL], [0, 1, 2, NO_LABEL], ["-1", "0", "1"]),
        ([True, False], [1, 0], ["False", "True"]),
    ],
)
def test_label_values(values, ids, names):
    assert build(values) == (ids, names)


def test_given_order_of_classes_is_kept():
    assert build(["b", "a"], class_names={"label": ["b", "a", "c"]}) == ([0, 1], ["b", "a", "c"])


@pytest.mark.parametrize("bad", [0.5, ["a"], b"a"])
def test_label_of_another_kind_is_refused(bad):
    with pytest.raises(ValueError, match="labels of mine must be strings or integers, found"):
        build(["a", bad])


def test_label_column_without_labels_is_refused():
    with pytest.raises(ValueError, match="holds no label at all"):
        build(["", None])


def test_text_that_is_no_string_is_refused():
    with pytest.raises(ValueError, match=r"column 'text' of mine must hold strings, found 3 \(int\)"):
        build_splits([("mine", {"text": ["a", 3]})], "text", None, [])


@pytest.mark.parametrize(
    ("text", "label", "argument"), [("body", None, "text_column"), ("text", "topic", "label_column")]
)
def test_missing_column_names_those_there(text, label, argument):
    with pytest.raises(ValueError, match=rf"no column .* \({argument}\); columns there are: 'text', 'id'"):
        build_splits([("mine", {"text": ["a"], "id": [1]})], text, label, [])


def test_classes_are_the_union_and_later_tables_may_be_unlabelled():
    notes = []
    tables = [("a", {"t": ["x", "y"], "l": ["q", "p"]}), ("b", {"t": ["z"], "l": ["r"]}), ("c", {"t": ["w", "v"]})]
    splits, names, attribute_names = build_splits(tables, "t", "l", notes)
    assert names == ["p", "q", "r"] and [split.labels for split in splits] == [[1, 0], [2], [NO_LABEL, NO_LABEL]]
    assert notes == ["c: no column 'l', so its 2 texts are unlabelled"] and attribute_names == {}


def test_attributes_keep_in_step_with_the_texts_that_are_left():
    table = {"t": ["x", "", "y", "z"], "l": ["q", "p", "q", "p"]}
    table |= {"who": ["b", "c", "a", ""], "size": [10, 2, 10, None]}
    for columns in (["who", "size"], "who, size"):
        notes = []
        [train, dev], names, attribute_names = build_splits(
            [("a", table), ("b", {"t": ["w"], "size": [2]})], "t", "l", notes, attribute_columns=columns
        )
        assert train.texts == ["x", "y", "z"] and train.labels == [1, 1, 0] and names == ["p", "q"]
        assert attribute_names == {"who": ["a", "b", "c"], "size": ["2", "10"]}
        assert train.attributes == {"who": [1, 0, NO_LABEL], "size": [1, 1, NO_LABEL]}
        assert dev.attributes == {"who": [NO_LABEL], "size": [0]}
        assert "b: no column 'who', so its 1 texts are unlabelled" in notes


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["who", "who"], "attribute_columns must name different columns, .* got .*'who', 'who'"),
        ("who,t", r"none that of the texts \('t'\), got 'who,t'"),
        ("who,", "attribute_columns must name different columns"),
        (["gone"], r"a has no column 'gone' \(attribute_columns\); columns there are: 't', 'who'"),
        (["none"], r"column 'none' of a holds no label at all: leave it out \(attribute_columns\)"),
    ],
)
def test_attribute_columns_refused(columns, message):
    table = {"t": ["x"], "who": ["a"]} | ({"none": [None]} if columns == ["none"] else {})
    with pytest.raises(ValueError, match=message):
        build_splits([("a", table)], "t", None, [], attribute_columns=columns)
