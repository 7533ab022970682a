"""Registers the marks of transformers' suites, and prints what became of their tests as a table."""

from collections import Counter

from tabulate import tabulate

MARKS = ("accelerate_tests", "flash_attn_3_test", "flash_attn_4_test", "flash_attn_test", "torch_compile_test")
OUTCOMES = ("passed", "failed", "skipped")


def pytest_configure(config):
    for mark in MARKS:  # pytest here refuses unknown ones
        config.addinivalue_line("markers", f"{mark}: used by transformers' suites")


def pytest_terminal_summary(terminalreporter):
    """For each class of the suites the number of tests by outcome; then the reasons of those that were skipped."""
    counts, reasons = Counter(), Counter()
    for outcome in OUTCOMES:
        for report in terminalreporter.stats.get(outcome, []):
            file, _, test = report.nodeid.partition("::")
            if file.endswith("_suite.py") and "::" in test:
                counts[test.partition("::")[0], outcome] += 1
                if outcome == "skipped" and isinstance(report.longrepr, tuple):
                    reasons[report.longrepr[2].removeprefix("Skipped: ")] += 1
    if not counts:
        return
    classes = sorted({name for name, _ in counts})
    rows = [[name, *(counts[name, outcome] for outcome in OUTCOMES)] for name in classes]
    terminalreporter.section("transformers' common suites")
    terminalreporter.write_line(tabulate(rows, headers=["", *OUTCOMES]))
    terminalreporter.write_line("")
    terminalreporter.write_line(tabulate(reasons.most_common(), headers=["skipped because", "tests"]))
