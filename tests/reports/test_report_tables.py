"""Tables for the terminal and in Markdown."""

import pytest

from ldebm_hf.reports.tables import markdown_table, text_table


def test_text_columns_stand_below_their_names():
    lines = text_table({"a": ["long", ""], "name": ["x", "1.50"]}).split("\n")
    assert [line.rstrip() for line in lines] == ["a     name", "----  ------", "long  x", "      1.50"]


def test_markdown_keeps_numbers_as_they_are_written():
    lines = markdown_table({"model": ["one", "two"], "score": ["1.50", "10.25"]}).split("\n")
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["model", "score"] and cells[2:] == [["one", "1.50"], ["two", "10.25"]]
    assert cells[1][0].startswith(":-") and cells[1][1].endswith("-:")


@pytest.mark.parametrize("table", [text_table, markdown_table])
def test_a_table_may_be_empty(table):
    assert "name" in table({"name": [], "score": []})


@pytest.mark.parametrize("table", [text_table, markdown_table])
def test_columns_of_different_length_are_refused(table):
    with pytest.raises(ValueError):
        table({"a": ["x"], "b": []})
