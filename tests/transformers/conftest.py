"""Registers the marks of transformers' suites, and writes what became of their tests as tables."""

import subprocess
from collections import Counter, defaultdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest
from tabulate import tabulate

MARKS = ("accelerate_tests", "flash_attn_3_test", "flash_attn_4_test", "flash_attn_test", "torch_compile_test")
OUTCOMES = ("passed", "failed", "skipped")
TITLES = pytest.StashKey[dict[str, str]]()
TEMPLATE = Path(__file__).with_name("table.md")


def pytest_addoption(parser):
    parser.addoption("--transformers-table", help="Markdown file for the tables of transformers' suites")


def pytest_configure(config):
    for mark in MARKS:  # pytest here refuses unknown ones
        config.addinivalue_line("markers", f"{mark}: used by transformers' suites")


def pytest_collection_modifyitems(config, items):
    """The classes of the suites by name, each with what it is about: the first line of its docstring."""
    classes = {item.cls for item in items if item.cls is not None and item.path.name.endswith("_suite.py")}
    config.stash[TITLES] = {kind.__name__: kind.__doc__.partition("\n")[0] for kind in classes}


def pytest_terminal_summary(terminalreporter):
    """For each class the number of tests by outcome; then why tests failed or were skipped, and where."""
    titles = terminalreporter.config.stash.get(TITLES, {})
    counts, reasons = Counter(), {outcome: defaultdict(Counter) for outcome in OUTCOMES}
    for outcome in OUTCOMES:
        for report in terminalreporter.stats.get(outcome, []):
            name = report.nodeid.partition("::")[2].partition("::")[0]
            if name in titles:
                counts[name, outcome] += 1
                if outcome != "passed":
                    reasons[outcome][_reason(report)][titles[name]] += 1
    if not counts:
        return
    rows = [[title, *(counts[name, outcome] for outcome in OUTCOMES)] for name, title in titles.items()]
    outcomes = tabulate(sorted(rows), headers=["", *OUTCOMES], tablefmt="github")
    terminalreporter.section("transformers' common suites")
    terminalreporter.write_line(outcomes)
    tables = {outcome: _reasons_table(outcome, reasons[outcome], titles) for outcome in ("failed", "skipped")}
    for table in tables.values():
        terminalreporter.write_line("\n" + table)
    file = terminalreporter.config.getoption("--transformers-table")
    if file is not None:
        today = datetime.now(UTC).strftime("%d %B %Y").lstrip("0")
        versions = {name: version(name) for name in ("transformers", "torch")}
        asked = ["git", "rev-parse", "--short=7", "HEAD"]
        commit = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        facts = {"date": today, "commit": commit, "outcomes": outcomes}
        page = TEMPLATE.read_text("utf-8").format(**facts, **versions, **tables)
        Path(file).write_text(page, "utf-8")


def _reason(report) -> str:
    if isinstance(report.longrepr, tuple):  # of a skipped test
        return report.longrepr[2].removeprefix("Skipped: ").replace("\n", " ")
    message, _, _ = report.longrepr.reprcrash.message.partition("\n")
    return f"{report.nodeid.rpartition('::')[2]}: {message}"


def _reasons_table(outcome: str, reasons: dict[str, Counter], titles: dict[str, str]) -> str:
    """How many tests had each reason, and in which rows of the table of outcomes."""
    if not reasons:
        return f"None {outcome}."
    tokenizers = {title for title in titles.values() if title.startswith("tokenizer")}
    groups = {"all models": set(titles.values()) - tokenizers, "all tokenizers": tokenizers}
    rows = []
    for reason, places in sorted(reasons.items(), key=lambda pair: (-pair[1].total(), pair[0])):
        names = [name for name, group in groups.items() if group == set(places)] or sorted(places)
        rows.append([reason.replace("|", "/"), places.total(), "; ".join(names)])
    return tabulate(rows, headers=[f"{outcome} because", "tests", "of"], tablefmt="github")
