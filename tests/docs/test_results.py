"""The measured figures: one value everywhere, each with its command, date and commit."""

import re
import runpy
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "docs/results"
PAGES = sorted(path for path in RESULTS.glob("*.md") if path.name != "README.md")
WRITER = runpy.run_path(str(RESULTS / "write_figures.py"))
FIGURES = WRITER["read_figures"]()


def plain(text: str) -> str:
    """Text without the marks of quotations, code and emphasis, on one line."""
    return " ".join(re.sub(r"(?m)^> ?|[`*]", "", text).split())


def written_by_hand(page: Path) -> str:
    text = page.read_text("utf-8")
    return re.sub(r"<!-- figures: .*?<!-- end of figures -->", "", text, flags=re.DOTALL)


def test_readme_and_pages_are_up_to_date():
    for path, text in WRITER["expected_pages"]().items():
        assert path.read_text("utf-8") == text, f"run python docs/results/write_figures.py: {path.name} differs"


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure["task"])
def test_figures_are_those_of_their_page(figure):
    page = plain(written_by_hand(RESULTS / figure["page"]))
    numbers = re.findall(r"\d[\d.,]*\d|\d", str(figure["spread"]))
    for value in [figure["value"], *figure["beside"].values(), *(number for number in numbers if "." in number)]:
        assert re.search(rf"(?<![\d.]){re.escape(value)}(?![\d]|\.\d)", page), f"{value} is not in {figure['page']}"
    assert " ".join(figure["command"].split()) in page
    assert figure["date"] in page and figure["commit"] in page


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure["task"])
def test_figures_say_what_they_mean(figure):
    assert len(figure["means"].split()) > 8 and figure["beside"]
    if not figure.get("in_readme", True):
        return
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    row = next(line for line in readme.splitlines() if f"[{figure['task']}]" in line)
    assert figure["value"] in row and figure["means"] in row
    assert all(value in row for value in figure["beside"].values())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_table_has_its_command_date_and_commit(page):
    """In the section of the table or, for a table in a subsection, in the section above it."""
    above = ""
    for section in re.split(r"(?m)^(?=##+ )|\A", written_by_hand(page)):
        if section.startswith("## ") or not section.startswith("#"):
            above = section
        if re.search(r"(?m)^\|[-:| ]+\|$", section):
            about = plain(above + section)
            assert re.search(r"Command: .+Date: .+ (November|December) 2026.*Commit: ", about), section[:80]
            assert re.search(r"\b[0-9a-f]{7}\b", about), section[:80]


TABLE = {
    "title": "Data",
    "data_set": "yelp",
    "columns": {
        "100": {"score": "accuracy", "in_brackets": "error", "factor": 100},
        "s": {"score": "seconds", "digits": 0},
    },
    "rows": {"ldebm": "LDEBM", "words": "words alone"},
}


def record_of(made: dict[str, dict]) -> dict:
    scores = {
        "ldebm": {"0": {"accuracy": 0.5, "error": 0.01, "seconds": 7}},
        "words": {str(seed): {"accuracy": 0.25 + seed / 10, "error": 0.02, "seconds": 1} for seed in (0, 1)},
    }
    runs = [{"data_set": "yelp", "row": row, "seed": 0, "made": made[row]} for row in scores]
    return {"scores": {"yelp": scores}, "runs": runs + [{"data_set": "other", "row": "ldebm", "made": None}]}


def test_a_table_is_made_from_its_record():
    made = {"command": "reproduce.py x", "commit": "0123abc", "date": "2026-12-01"}
    lines = WRITER["table_block"](TABLE, record_of({"ldebm": made, "words": made})).splitlines()
    assert lines[0] == "> Command: `reproduce.py x`. Date: 1 December 2026. Commit: 0123abc."
    assert lines[1:4] == ["", "| Data | 100 | s |", "|---|---:|---:|"]
    assert lines[4:] == ["| LDEBM | 50.0 (1.0) | 7 |", "| words alone | 30.0 ± 7.1 (2.0) | 1 ± 0 |"]


def test_a_score_that_a_row_does_not_have_is_left_empty():
    runs = [{"perplexity": 1234.5}, {"perplexity": 1236.5, "bleu": 3.0}, {}]
    assert WRITER["cell"]({"score": "perplexity", "digits": 0}, runs) == "1,236 ± 1"
    assert WRITER["cell"]({"score": "bleu"}, runs) == "3.0" and WRITER["cell"]({"score": "word_kl"}, runs) == ""


def test_a_table_says_which_command_made_which_row():
    made = {"command": "reproduce.py x", "commit": "0123abc", "date": "2026-12-01"}
    record = record_of({"ldebm": made, "words": made | {"commit": "fff0000"}})
    lines = WRITER["table_block"](TABLE, record).splitlines()
    assert lines[0] == "> Command: `reproduce.py x` (LDEBM). Date: 1 December 2026. Commit: 0123abc."
    assert lines[1].startswith("> Command: `reproduce.py x` (words alone).") and "fff0000" in lines[1]


@pytest.mark.parametrize("name", WRITER["read_tables"]())
def test_tables_of_records_name_a_commit_of_unchanged_files(name):
    table = WRITER["read_tables"]()[name]
    for run in WRITER["read_record"](table)["runs"]:
        assert re.fullmatch("[0-9a-f]{7}", run["made"]["commit"])
