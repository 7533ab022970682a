"""Figures of a run."""

import json
import sys

import pytest

from ldebm_hf.plots import plot_validation_curves


@pytest.fixture
def metrics(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [
        {"step": 5 * epoch, "epoch": epoch, "split": split, "values": {"loss": 1 / epoch, "symbol_accuracy": 0.5}}
        for epoch in (1, 2, 3)
        for split in ("train", "validation")
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_validation_curves_are_drawn(metrics, tmp_path):
    pytest.importorskip("matplotlib")
    assert plot_validation_curves(metrics, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_is_drawn_before_the_first_validation_or_without_matplotlib(metrics, tmp_path, monkeypatch):
    (tmp_path / "empty.jsonl").write_text("")
    assert not plot_validation_curves(tmp_path / "empty.jsonl", tmp_path / "curves.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert not plot_validation_curves(metrics, tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()
