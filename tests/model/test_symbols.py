"""Symbols by id and by name, and new names for them."""

import numpy as np
import pytest
import torch
from tiny_models import seeded, tiny_model
from transformers import AutoModel

from ldebm_hf import LDEBMConfig, LDEBMModel


def test_a_name_wins_over_an_id_with_the_same_spelling():
    model = tiny_model()
    model.config.id2label, model.config.label2id = {0: "2", 1: "b", 2: "c"}, {"2": 0, "b": 1, "c": 2}
    assert model.symbol_ids(["2", 2, "1"]).tolist() == [0, 2, 1]


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
        ({3: "x"}, "names must be for symbols in 0..2 or 'good', 'bad', 'neutral', got 3$"),
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
