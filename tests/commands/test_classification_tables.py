"""Tables with predictions: cells that a spreadsheet would run, and rows that no tokenizer can read."""

import csv
import json

import pytest

from ldebm_hf.commands.classification import texts_to_read, write_table

FORMULAS = ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\t=1+1", "\r=1", "\n=1", "=HYPERLINK(\"http://a\")", "-", "-a 5"]
PLAIN = ["-5", "+3.2", "-1,000.50", "1e-5", "-12 %", "a=b", "'", "", "é", " =1", "2020-01-01"]


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
def test_cells_that_a_spreadsheet_would_run_get_an_apostrophe(tmp_path, suffix, delimiter):
    path = tmp_path / f"named{suffix}"
    write_table(path, {"@text": FORMULAS + PLAIN, "predicted_score": [-0.5] * len(FORMULAS + PLAIN)})
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file, delimiter=delimiter)
    assert header == ["'@text", "predicted_score"]
    assert [row[0] for row in rows] == [*(f"'{cell}" for cell in FORMULAS), *PLAIN]
    assert {row[1] for row in rows} == {"-0.5"}


def test_json_lines_keep_every_cell(tmp_path):
    cells = [*FORMULAS, *PLAIN, "half \ud83d", None, 3]
    write_table(tmp_path / "named.jsonl", {"text": cells})
    lines = (tmp_path / "named.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["text"] for line in lines] == cells
    assert '"é"' in lines[len(FORMULAS) + PLAIN.index("é")], "as it is, unless it cannot be"


def test_broken_unicode_does_not_end_the_writing_of_a_table(tmp_path):
    write_table(tmp_path / "named.csv", {"text": ["half \ud83d", "whole 😀"]})
    assert (tmp_path / "named.csv").read_text("utf-8") == "text\nhalf \ufffd\nwhole 😀\n"


def test_rows_of_which_something_is_not_read_are_named():
    cells = ["fine", "half \ud83d of it", None, "nul \x00 byte", "tab\tis fine"]
    texts, note = texts_to_read(cells, "body", "my.csv")
    assert texts == ["fine", "half   of it", "", "nul   byte", "tab\tis fine"]
    assert note.startswith("my.csv: control characters or broken Unicode are not read in row 2, 4 (")
    assert texts_to_read(["fine", ""], "body", "my.csv")[1] == ""
    assert "row 1, 2, 3, 4, 5 and 7 more" in texts_to_read(["\ud83d"] * 12, "body", "my.csv")[1]
    with pytest.raises(ValueError, match="column 'body' of my.csv must hold strings, found 5"):
        texts_to_read(["fine", 5], "body", "my.csv")
