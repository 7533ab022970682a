"""The benchmark suite's tables and JSON, with timings of a moment."""

import json
import sys

import pytest
import run
import torch
from pairs import compare, comparison_table

from ldebm_hf.training import float32_products


def test_comparison_reports_ratios_per_item():
    calls, ours = [], ("eager", "compiled")
    variants = {name: lambda name=name: calls.append(name) for name in ours}
    rows = compare("work", lambda: calls.append("baseline"), variants, rounds=4, items=(1, 10))
    assert calls == ["baseline", "eager", "compiled"] * 5
    for row, note in zip(rows, ours, strict=True):
        assert row.low <= row.ratio <= row.high and row.note == note
        assert row.baseline_seconds > 0 and row.our_seconds > 0
    assert comparison_table(rows).splitlines()[-1].startswith("| work (compiled) |")


def test_suite_writes_every_section(tmp_path, monkeypatch, capsys):
    class Section:
        @staticmethod
        def comparisons(rounds, device):
            return compare(f"{device} {rounds}", lambda: None, lambda: None, rounds=rounds, target=2)

    monkeypatch.setattr(run, "SECTIONS", {"one": Section, "two": Section})
    monkeypatch.setattr(run.torch.cuda, "is_available", lambda: False)
    output = tmp_path / "folder" / "bench.json"
    monkeypatch.setattr(sys, "argv", ["run.py", "--rounds", "2", "--output", str(output)])
    run.main()
    results = json.loads(output.read_text())["results"]
    assert list(results) == ["one, cpu", "two, cpu"]
    assert results["one, cpu"][0]["name"] == "cpu 2" and results["one, cpu"][0]["target"] == 2
    assert "### two, cpu" in capsys.readouterr().out


def test_unknown_section_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run.py", "--sections", "three"])
    with pytest.raises(SystemExit):
        run.main()


def test_only_ours_multiplies_matrices_as_the_commands_do(monkeypatch):
    seen = []
    monkeypatch.setattr(float32_products, "medium_is_exact", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    before = torch.get_float32_matmul_precision()

    def note() -> None:
        seen.append(torch.get_float32_matmul_precision())

    compare("work", note, note, rounds=1, as_commands_do=True)
    compare("work", note, note, rounds=1)
    assert seen == [before, "medium", before, "medium", *[before] * 4]
