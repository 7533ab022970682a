"""Write the figures of figures.yaml into the README's table and into the first lines of the results pages.

    python docs/results/write_figures.py
    python docs/results/write_figures.py --check     # only say whether they are up to date

The text between the two marks of a page is replaced; everything else in the page is written by hand.
"""

import argparse
import re
import sys
from pathlib import Path

import yaml

RESULTS = Path(__file__).resolve().parent
README = RESULTS.parents[1] / "README.md"
BEGIN = re.compile(r"<!-- figures: .* -->\n")
END = "<!-- end of figures -->"


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
            paragraphs.append(f"{measured} To compare: {beside(figure)}.\n{figure['means']}\n")
    return "\n".join(paragraphs)


def with_block(text: str, block: str) -> str:
    """`text` with `block` between its two marks."""
    begin = BEGIN.search(text)
    if begin is None or END not in text[begin.end() :]:
        raise ValueError(f"the page needs the marks {BEGIN.pattern!r} and {END!r} around its figures")
    end = text.index(END, begin.end())
    return text[: begin.end()] + block + text[end:]


def expected_pages() -> dict[Path, str]:
    """Every page that shows figures, with the text that it should have."""
    figures = read_figures()
    pages = {README: with_block(README.read_text("utf-8"), readme_table(figures))}
    for name in dict.fromkeys(figure["page"] for figure in figures):
        path = RESULTS / name
        pages[path] = with_block(path.read_text("utf-8"), page_summary(figures, name))
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
