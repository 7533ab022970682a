"""Symbols by id and by name, and new names for them."""

import numpy as np
import pytest
import torch
from tiny_models import seeded, tiny_model
from transformers import AutoModel

from ldebm_hf import LDEBMConfig, LDEBMModel


def rated_model():
    """Symbols called "1", "2", "3", which have the ids 0, 1, 2."""
    return tiny_model(id2label={0: "1", 1: "2", 2: "3"})


TAKERS = {
    "sample_latents": lambda model, labels: model.sample_latents(class_labels=labels, generator=0),
    "generate": lambda model, labels: model.generate(class_labels=labels, generator=0),
    "resampled": lambda model, labels: model.generate(class_labels=labels, generator=0, min_label_probability=0.0),
    "complete": lambda model, labels: model.complete([[2, 4, 1, 3]], class_labels=labels, generator=0).sequences,
    "forward": lambda model, labels: model([[2, 4, 5, 3]], class_labels=labels, generator=0).loss,
    "name_symbols": lambda model, labels: model.name_symbols({np.ravel(labels).tolist()[0]: "a"}),
}


@pytest.mark.parametrize("take", TAKERS.values(), ids=TAKERS)
@pytest.mark.parametrize("number", [1, [1], np.int64(1), np.array([1]), np.array([1], dtype=object)], ids=repr)
def test_a_number_that_may_be_a_name_or_an_id_is_refused_and_both_ways_out_are_named(take, number):
    ways_out = "got 1: write '1' for the symbol of that name or '2' for the symbol with the id 1 .*Tensor"
    with pytest.raises(ValueError, match=ways_out):
        take(rated_model(), number)


@pytest.mark.parametrize("take", [TAKERS[name] for name in TAKERS if name != "name_symbols"])
def test_names_that_are_numbers_and_tensors_of_ids_are_taken(take):
    model = rated_model()
    by_name, by_id = take(model, ["2"]), take(model, torch.tensor([1], dtype=torch.int32))
    assert torch.equal(by_name, by_id) and torch.equal(by_name, take(model, np.array(["2"], dtype=object)))


@pytest.mark.parametrize("number", ["0", 0, 7])
def test_where_names_are_numbers_no_other_number_is_taken_for_an_id(number):
    with pytest.raises(ValueError, match=f"must be names as strings.* got {number!r}"):
        rated_model().symbol_ids(["1", number])


def test_names_that_are_the_numbers_of_their_own_ids_are_not_ambiguous():
    model = tiny_model(id2label={0: "0", 1: "1", 2: "10"})
    assert model.symbol_ids([1, "1", "10", "2", np.uint8(0)]).tolist() == [1, 1, 2, 2, 0]


def test_columns_and_arrays_of_any_integers_are_taken():
    pandas = pytest.importorskip("pandas")
    model = tiny_model()
    for labels in (
        *(np.array([2, 0], dtype) for dtype in (np.int16, np.int32, np.int64, np.uint8, object)),
        np.array(["neutral", "good"]),
        pandas.Series([2, 0], index=[7, 8]),
        pandas.Series(["neutral", "good"]),
        pandas.Series(["neutral", "good"], dtype="category"),
        torch.tensor([2, 0], dtype=torch.uint8),
        [torch.tensor(2), np.int16(0)],
        (label for label in (2, "good")),
    ):
        assert model.symbol_ids(labels).tolist() == [2, 0]


@pytest.mark.parametrize("labels", [1.0, [1.0], np.array([1.0]), True, np.array([True]), None, [None], b"good"])
def test_what_is_neither_an_integer_nor_a_string_is_refused(labels):
    with pytest.raises(ValueError, match="class_labels must be in 0..2 or one of 'good', 'bad', 'neutral'; got"):
        tiny_model().symbol_ids(labels)


@pytest.mark.parametrize("labels", [torch.tensor([1.0]), torch.tensor([True])])
def test_tensors_of_other_types_than_integers_are_refused(labels):
    with pytest.raises(ValueError, match="class_labels must be integers, got torch"):
        tiny_model().symbol_ids(labels)


def test_a_mapping_of_all_ids_names_symbols_called_by_numbers():
    model = rated_model()
    model.name_symbols({0: "poor", 1: "fair", 2: "good"})
    assert model.config.label2id == {"poor": 0, "fair": 1, "good": 2}
    model = rated_model()
    model.name_symbols({"2": "fair"})
    assert model.config.id2label == {0: "1", 1: "fair", 2: "3"}


@pytest.mark.parametrize(
    "unknown", ["goood", "3", "-1", 3, -1, -100, np.int64(7), np.array([0, -1]), torch.tensor([9]), 0.5]
)
def test_unknown_symbol_is_an_error_that_names_the_known_ones(unknown):
    with pytest.raises(ValueError, match=r"class_labels must be in 0..2 or one of 'good', 'bad', 'neutral'; got"):
        tiny_model().sample_latents(class_labels=unknown)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({2: "refund request"}, ["good", "bad", "refund request"]),
        ({"good": " great ", 1: "good"}, ["great", "good", "neutral"]),
        (["a", "b", "c"], ["a", "b", "c"]),
        ({1: "1"}, ["good", "1", "neutral"]),
        ({1: "7"}, ["good", "7", "neutral"]),
        ({}, ["good", "bad", "neutral"]),
        ({0: "good"}, ["good", "bad", "neutral"]),
    ],
)
def test_names_go_both_ways_and_the_others_stay(names, expected):
    model = tiny_model()
    model.name_symbols(names)
    assert model.config.id2label == dict(enumerate(expected))
    assert model.config.label2id == {name: symbol for symbol, name in enumerate(expected)}
    model.config.validate()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({3: "x"}, "names must be in 0..2 or one of 'good', 'bad', 'neutral'; got 3$"),
        ({"nice": "x"}, "got 'nice'$"),
        ({0: "bad"}, "names must be unique, got 'bad' for the symbols 0 and 1"),
        ({0: "x", 1: "x"}, "names must be unique, got 'x'"),
        ({0: "x", "good": "y"}, "names must name each symbol once, got two names for symbol 0"),
        ({0: "  "}, "names must be non-empty strings, got '  ' for symbol 0"),
        ({0: 5}, "names must be non-empty strings, got 5 for symbol 0"),
        ({0: "2"}, "names must not be the number of another symbol, got '2' for symbol 0"),
        (["a", "b"], r"names must be a mapping or a list of 3 strings, got \['a', 'b'\]"),
        ("abc", "names must be a mapping or a list of 3 strings, got 'abc'"),
    ],
)
def test_bad_names_leave_all_as_they_are(names, message):
    model = tiny_model()
    with pytest.raises(ValueError, match=message):
        model.name_symbols(names)
    assert model.config.id2label == {0: "good", 1: "bad", 2: "neutral"}
    assert model.config.label2id == {"good": 0, "bad": 1, "neutral": 2}


def test_names_survive_saving_and_steer(tmp_path):
    model = tiny_model()
    model.name_symbols({2: "refund request"})
    model.save_pretrained(tmp_path)
    for loaded in (LDEBMModel.from_pretrained(tmp_path), AutoModel.from_pretrained(tmp_path)):
        assert loaded.config.id2label == {0: "good", 1: "bad", 2: "refund request"}
        by_name = loaded.generate(class_labels="refund request", num_samples=3, generator=seeded())
        assert torch.equal(by_name, model.generate(class_labels=2, num_samples=3, generator=seeded()))
        with pytest.raises(ValueError, match="got 'neutral'"):
            loaded.generate(class_labels="neutral")


def test_two_unnamed_symbols_keep_a_name_given_to_one(tmp_path):
    model = tiny_model(id2label={0: "LABEL_0", 1: "LABEL_1"})
    model.name_symbols({0: "first"})
    model.save_pretrained(tmp_path)
    assert LDEBMConfig.from_pretrained(tmp_path).id2label == {0: "first", 1: "LABEL_1"}
