"""Values of declared types: how text is read, and how types are described."""

from typing import Literal

import pytest

from ldebm_hf.training.typed_values import allowed_words, check_limits, convert, describe, show


@pytest.mark.parametrize(
    ("text", "declared", "value"),
    [
        ("1e-3", float, 1e-3),
        ("3", int | None, 3),
        ("None", int | None, None),
        ("null", str | None, None),
        ("TRUE", bool, True),
        ("no", Literal["no", "fp16"] | None, "no"),
        ("2", float | int, 2.0),
        ("a, b", list[str] | None, ["a", "b"]),
        ("1,2", list[float], [1.0, 2.0]),
        ({"0": "a"}, dict[int, str], {0: "a"}),
        (None, float | None, None),
    ],
)
def test_text_is_read_as_the_declared_type(text, declared, value):
    found = convert(text, declared, "name")
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("value", "declared"),
    [
        ("yes", bool),
        (1, bool),
        (True, int),
        (True, float),
        (1.5, int),
        ("x", int),
        (None, int),
        ({"a": 1}, list[int]),
        ({"a": "b"}, dict[int, str]),
        ([1], str),
    ],  # fmt: skip
)
def test_other_values_are_refused(value, declared):
    with pytest.raises(ValueError, match="^section.name must be .*, got "):
        convert(value, declared, "section.name")


def test_closest_word_is_suggested():
    with pytest.raises(ValueError, match=r"must be random or previous, got 'prevous' \(did you mean previous\?\)$"):
        convert("prevous", Literal["random", "previous"], "name")


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (bool, "true or false"),
        (bool | None, "true, false or none"),
        (int | None, "a whole number or none"),
        (float | int | None, "a number or none"),
        (Literal["a", "b"] | None, "a, b or none"),
        (list[str], "a list of names such as a,b"),
        (list[float], "a list of numbers such as 0.1,0.9"),
        (dict[int, str], "a mapping such as {0: a, 1: b}"),
    ],
)
def test_types_are_described_in_words(declared, words):
    assert describe(declared) == words
    assert allowed_words(declared) == (["a", "b"] if "a, b" in words and "none" in words else [])


@pytest.mark.parametrize("value", ["nan", "-inf", 1e400, float("nan")])
def test_numbers_are_finite(value):
    with pytest.raises(ValueError, match=f"name must be a number or none, got {value!r}"):
        convert(value, float | None, "name")


def test_limits():
    check_limits(None, {"at_least": 1}, "name")
    check_limits(1, {"at_least": 1}, "name")
    with pytest.raises(ValueError, match="name must be at least 1, got nan"):
        check_limits(float("nan"), {"at_least": 1}, "name")
    with pytest.raises(ValueError, match="name must be greater than 0, got 0"):
        check_limits(0, {"above": 0}, "name")


def test_values_are_shown_as_the_command_line_takes_them():
    assert [show(value) for value in (None, True, 0.1, [1, 2], "a")] == ["none", "true", "0.1", "1,2", "a"]


def test_a_word_that_is_allowed_twice_is_said_once():
    assert describe(Literal["none", "all"] | None) == "none or all"
