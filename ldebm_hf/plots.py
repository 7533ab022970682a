"""Figures of a run; they need matplotlib, and are left out without it."""

import json
import os
from pathlib import Path


def plot_validation_curves(metrics: Path, figure: Path) -> bool:
    """Draw every validation value of a run's `metrics.jsonl` against the epoch, one panel each.

    Returns:
        Whether there was something to draw and matplotlib to draw it with.
    """
    lines = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if line["split"] == "validation"]
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    if not lines:
        return False
    names = list(lines[0]["values"])
    columns = 4
    rows = -(-len(names) // columns)
    page = Figure(figsize=(3.2 * columns, 2.4 * rows))
    page.subplots_adjust(left=0.06, right=0.98, bottom=0.06, top=0.95, hspace=0.6, wspace=0.3)
    epochs = [line["epoch"] for line in lines]
    for number, name in enumerate(names, start=1):
        panel = page.add_subplot(rows, columns, number, title=name.replace("_", " "), xlabel="epoch")
        panel.plot(epochs, [line["values"][name] for line in lines], marker=".")
    temporary = figure.with_name(f".{figure.name}")
    page.savefig(temporary, dpi=120)
    os.replace(temporary, figure)
    return True
