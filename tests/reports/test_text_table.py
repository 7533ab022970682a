"""Tables for terminals."""

import pytest

from ldebm_hf.reports.text_table import text_table


def test_columns_stand_below_their_names():
    lines = text_table({"a": ["long", ""], "name": ["x", "y"]}).split("\n")
    assert lines == ["a     name", "-     ----", "long  x", "      y"]


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError):
        text_table({"a": ["x"], "b": []})
