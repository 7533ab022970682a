"""Write the figures of figures.yaml into the README's table and into the first lines of the results pages, and the
tables of tables.yaml, from their records, into the pages.

    python docs/results/write_figures.py
    python docs/results/write_figures.py --check     # only say whether they are up to date

The text between two marks of a page is replaced; everything else in the page is written by hand.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import yaml

RESULTS = Path(__file__).resolve().parent
README = RESULTS.parents[1] / "README.md"
BEGIN = re.compile(r"<!-- figures: .* -->\n")
END = "<!-- end of figures -->"
TABLE_BEGIN, TABLE_END = "<!-- table: {name}, from {record} -->\n", "<!-- end of table -->"


def read_figures() -> list[dict]:
    return yaml.safe_load((RESULTS / "figures.yaml").read_text("utf-8"))


def with_unit(value: str, unit: str | None) -> str:
    return f"{value} {unit}" if unit else value


def beside(figure: dict) -> str:
    return "; ".join(f"{name} {with_unit(value, figure.get('unit'))}" for name, value in figure["beside"].items())


def readme_table(figures: list[dict]) -> str:
    lines = ["| you want to | measured | to compare | what it means for you |", "|---|---|---|---|"]
    for figure in figures:
        if not figure.get("in_readme", True):
            continue
        task = f"[{figure['task']}](docs/results/{figure['page']}#{figure['place']})"
        value = f"{figure['measured']}: **{with_unit(figure['value'], figure.get('unit'))}** ({figure['spread']})"
        lines.append(f"| {task} | {value} | {beside(figure)} | {figure['means']} |")
    return "\n".join(lines) + "\n"


def page_summary(figures: list[dict], page: str) -> str:
    """The figures of one results page, as a paragraph each."""
    paragraphs = []
    for figure in figures:
        if figure["page"] == page:
            value = with_unit(figure["value"], figure.get("unit"))
            measured = f"**In short.** {figure['measured']}: **{value}** ({figure['spread']})."
            paragraph = f"{measured} To compare: {beside(figure)}.\n{figure['means']}\n"
            if "believe" in figure:
                paragraph += f"\n**What to believe now.** {figure['believe']}"
                paragraph += f"\n**What would change it.** {figure['would_change']}\n"
            paragraphs.append(paragraph)
    return "\n".join(paragraphs)


def with_block(text: str, block: str) -> str:
    """`text` with `block` between its two marks."""
    begin = BEGIN.search(text)
    if begin is None or END not in text[begin.end() :]:
        raise ValueError(f"the page needs the marks {BEGIN.pattern!r} and {END!r} around its figures")
    end = text.index(END, begin.end())
    return text[: begin.end()] + block + text[end:]


def read_tables() -> dict[str, dict]:
    return yaml.safe_load((RESULTS / "tables.yaml").read_text("utf-8"))


def read_record(table: dict) -> dict:
    return json.loads((RESULTS / table["record"]).read_text("utf-8"))


def table_block(table: dict, record: dict) -> str:
    """The command, date and commit of the runs of a table, and the table, as tables.yaml describes it."""
    scores = record["scores"][table["data_set"]]
    lines = [*origin(record, table), "", f"| {table['title']} | " + " | ".join(table["columns"]) + " |"]
    lines.append("|---|" + "---:|" * len(table["columns"]))
    for row, title in table["rows"].items():
        cells = [cell(column, scores[row].values()) for column in table["columns"].values()]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def origin(record: dict, table: dict) -> Iterator[str]:
    """A line for every command, commit and day on which runs of the table were made, with the rows that it made."""
    made: dict[tuple[str, str, str], list[str]] = {}
    for run in record["runs"]:
        row = run["row"].partition("/")[0]
        if run["data_set"] == table["data_set"] and row in table["rows"]:
            key = (run["made"]["command"], run["made"]["commit"], run["made"]["date"])
            made.setdefault(key, []).append(row)
    for (command, commit, day), rows in made.items():
        titles = dict.fromkeys(table["rows"][row] for row in rows)
        day = f"{date.fromisoformat(day):%-d %B %Y}"
        about = "" if len(made) == 1 else f" ({'; '.join(titles)})"
        yield f"> Command: `{command}`{about}. Date: {day}. Commit: {commit}."


def cell(column: dict, runs: Iterable[dict[str, float]]) -> str:
    """
    The mean of a score over the runs that have it, with its standard deviation if there are several, and another in
    brackets; empty if no run has it.
    """
    runs, factor, digits = list(runs), column.get("factor", 1), column.get("digits", 1)

    def values(score: str) -> np.ndarray:
        return factor * np.array([run[score] for run in runs if score in run])

    of_score = values(column["score"])
    if not len(of_score):
        return ""
    text = f"{of_score.mean():,.{digits}f}"
    if len(of_score) > 1:
        text += f" ± {of_score.std(ddof=1):,.{digits}f}"
    in_brackets = values(column["in_brackets"]) if "in_brackets" in column else []
    if len(in_brackets):
        text += f" ({in_brackets.mean():,.{digits}f})"
    return text


def with_tables(text: str, page: str) -> str:
    """The text of a page, with each of its tables as its record has it."""
    for name, table in read_tables().items():
        if table["page"] != page:
            continue
        begin = TABLE_BEGIN.format(name=name, record=table["record"])
        before, found, after = text.partition(begin)
        if not found or TABLE_END not in after:
            raise ValueError(f"{page} needs the marks {begin.strip()!r} and {TABLE_END!r} around its table")
        text = before + begin + table_block(table, read_record(table)) + after[after.index(TABLE_END) :]
    return text


def expected_pages() -> dict[Path, str]:
    """Every page that shows figures, with the text that it should have."""
    figures = read_figures()
    pages = {README: with_block(README.read_text("utf-8"), readme_table(figures))}
    for name in dict.fromkeys(figure["page"] for figure in figures):
        path = RESULTS / name
        pages[path] = with_block(path.read_text("utf-8"), page_summary(figures, name))
    for name in dict.fromkeys(table["page"] for table in read_tables().values()):
        path = RESULTS / name
        pages[path] = with_tables(pages.get(path, path.read_text("utf-8")), name)
    return pages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if a page is out of date")
    options = parser.parse_args()
    outdated = {path: text for path, text in expected_pages().items() if path.read_text("utf-8") != text}
    if options.check:
        if outdated:
            names = ", ".join(path.name for path in outdated)
            sys.exit(f"error: out of date: {names}; run python docs/results/write_figures.py")
        return
    for path, text in outdated.items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
