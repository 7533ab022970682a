"""Figures of a training run and of models side by side, drawn by matplotlib."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..files.atomic import write_file
from .run_record import metrics_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..scores import PointSamples

DENSITY_COLUMNS = ("data", "x from posterior z", "x from prior z", "posterior z", "prior z")
SYMBOL_COLUMNS = ("data, true modes", "data, symbols", "posterior z, true modes", "posterior z, symbols")
GUIDANCE_PANELS = {
    "perplexity": "perplexity under a model of real texts",
    "self_bleu": "self-BLEU (less is more varied)",
    "distinct_2": "distinct-2",
}
TRADEOFF_PANELS = {
    "reverse_perplexity": "reverse perplexity of the samples",
    "perplexity": "perplexity of the samples",
    "word_kl_smoothed": "divergence of their words, nats",
}
Points = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Scores by the value of a setting, the seed and the name of the score."""
NUM_CELLS = 100
"""Cells per side of the histogram of a density."""
NUM_COLORS = 64
"""Colours in the palette of a figure, which are enough for a density to look smooth."""
MAX_BYTES = 190_000
"""Maximum size of a figure's file."""
RESOLUTIONS = (90, 80, 70, 60)
"""Resolutions in dots per inch, which are tried in turn until the file is small enough."""


def plot_validation_curves(metrics: Path, figure: Path) -> bool:
    """
    Draw every validation value of a run's `metrics.jsonl` against the epoch, one panel each.

    Args:
        metrics (`Path`): The run's `metrics.jsonl`.
        figure (`Path`): The PNG file to write.

    Returns:
        `bool`: Whether the figure was drawn; it is not if there is no validation, or if matplotlib is not installed.
    """
    lines = [line for line in metrics_lines(metrics) if line["split"] == "validation"]
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
    write_file(figure, lambda temporary: page.savefig(temporary, dpi=120, format="png"))
    return True


def plot_densities(samples: Mapping[str, PointSamples], path: Path, bandwidth: float = 0.05) -> None:
    """
    Figure 2 of the paper: for each model a row with the densities of the data, and of points and latents of the
    posterior and of the prior.

    All panels of points have the same range. Panels of latents show the first two coordinates in the range of the
    model's posterior; latents that are codes have no density.

    Args:
        samples (`Mapping[str, PointSamples]`): Samples by the name of the model.
        path (`Path`): The PNG file to write.
        bandwidth (`float`, *optional*, defaults to 0.05): Bandwidth of the smoothing in standard deviations of what is
            drawn. The published figure has 0.15, nearly the width of a mode, for all panels but the data.
    """
    page, panels = _grid_of_panels(list(samples), DENSITY_COLUMNS)
    points_range = _range_of(np.concatenate([model.data for model in samples.values()]), margin=0.1)
    for row, model in zip(panels, samples.values(), strict=True):
        _draw_density(row[0], model.data, points_range, bandwidth)
        _draw_density(row[1], model.posterior_points, points_range, bandwidth)
        _draw_density(row[2], model.prior_points, points_range, bandwidth)
        if model.gaussian_size < 2:
            for panel in row[3:]:
                panel.text(0.5, 0.5, "codes", transform=panel.transAxes, ha="center", va="center")
            continue
        latent_range = _range_of(model.posterior_latents[:, :2], margin=0.3)
        _draw_density(row[3], model.posterior_latents[:, :2], latent_range, bandwidth)
        _draw_density(row[4], model.prior_latents[:, :2], latent_range, bandwidth)
    _save_small(page, path)


def plot_symbols(samples: Mapping[str, PointSamples], path: Path, num_points: int = 1500) -> None:
    """
    Figure 3 of the paper: for each model a row with data and latents, coloured by true mode and by inferred symbol.

    Points are grey if their mode is unknown or the model has no symbols.

    Args:
        samples (`Mapping[str, PointSamples]`): Samples by the name of the model.
        path (`Path`): The PNG file to write.
        num_points (`int`, *optional*, defaults to 1500): Number of points to draw.
    """
    page, panels = _grid_of_panels(list(samples), SYMBOL_COLUMNS)
    points_range = _range_of(np.concatenate([model.data for model in samples.values()]), margin=0.1)
    for row, model in zip(panels, samples.values(), strict=True):
        colorings = (model.classes, np.full(len(model.data), -1) if model.symbols is None else model.symbols)
        for panel, coloring in zip(row[:2], colorings, strict=True):
            _draw_points(panel, model.data[:num_points], coloring[:num_points], points_range)
        for panel, coloring in zip(row[2:], colorings, strict=True):
            if model.gaussian_size < 2:
                panel.text(0.5, 0.5, "codes", transform=panel.transAxes, ha="center", va="center")
                continue
            latents = model.posterior_latents[:, :2]
            _draw_points(panel, latents[:num_points], coloring[:num_points], _range_of(latents, margin=0.1))
        if model.symbols is None:
            row[1].set_title("no symbols", fontsize=8)
    _save_small(page, path)


def plot_evolution(curves: Mapping[str, Mapping[str, tuple[list[float], list[float]]]], path: Path) -> None:
    """
    Values during training: one panel per value, with a line for each model that has it.

    Args:
        curves (`Mapping`): Steps and values, by the name of the model and the name of the value.
        path (`Path`): The PNG file to write.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for values in curves.values() for name in values))
    page = Figure(figsize=(4 * max(len(names), 1) + 1.5, max(3.6, 0.18 * len(curves))), layout="constrained")
    panels = [page.add_subplot(1, len(names), number + 1) for number in range(len(names))]
    lines = {}
    for number, (model, values) in enumerate(curves.items()):
        for panel, name in zip(panels, names, strict=True):
            if name in values:
                style = {"marker": ".", "linestyle": ("-", "--", ":")[number // 10 % 3], "linewidth": 1}
                (lines[model],) = panel.plot(*values[name], color=colormaps["tab10"](number % 10), **style)
    for panel, name in zip(panels, names, strict=True):
        panel.set(title=name, xlabel="step")
    if lines:
        names = [model.replace("_", " ") for model in lines]
        page.legend(lines.values(), names, loc="outside right upper", fontsize=8)
    _save_small(page, path, num_colors=256)


def plot_guidance(sweeps: Mapping[str, Points], real: Points, path: Path) -> None:
    """
    Accuracy of texts generated for a class against their fluency and diversity, with a curve for each model.

    Args:
        sweeps: By model, guidance scale and seed: the score `accuracy` (0 to 1), and any of `GUIDANCE_PANELS`.
        real: By any name and the seed: the same scores of real texts, drawn as a star.
        path (`Path`): The PNG file to write.

    Raises:
        ImportError: matplotlib is not installed.
    """
    _plot_curves(sweeps, real, path, GUIDANCE_PANELS, ("accuracy", "as asked for, %", 100), "γ")


def plot_tradeoff(curves: Mapping[str, Points], real: Points, path: Path, setting: str) -> None:
    """
    Quality of reconstructions against quality of the prior's samples, with a curve for each kind of model.

    Args:
        curves: By title, value of the setting and seed: the score `bleu`, and any of `TRADEOFF_PANELS`.
        real: By any name and the seed: the scores of real texts, drawn as a line.
        path (`Path`): The PNG file to write.
        setting (`str`): The setting that changes along a curve.

    Raises:
        ImportError: matplotlib is not installed.
    """
    title = f"reconstruction BLEU, by\n{setting.replace('_', ' ')}"
    _plot_curves(curves, real, path, TRADEOFF_PANELS, ("bleu", title, 1), "")


def _plot_curves(
    curves: Mapping[str, Points],
    real: Points,
    path: Path,
    panels: Mapping[str, str],
    height: tuple[str, str, float],
    symbol: str,
) -> None:
    """
    One panel for each score in `panels` that the curves have, with that score on the horizontal axis.

    Name, title and factor of the score on the vertical axis are `height`. Real texts are a star, or a vertical line if
    they do not have that score. The horizontal axis is logarithmic if scores differ more than a hundredfold.
    """
    from matplotlib.figure import Figure

    def mean(runs: Mapping[str, Mapping[str, float]], name: str) -> float:
        return float(np.mean([scores[name] for scores in runs.values()]))

    score, title, factor = height
    first = next(iter(next(iter(next(iter(curves.values())).values())).values()))
    names = [name for name in panels if name in first]
    page = Figure(figsize=(3.4 * len(names), 3), layout="constrained")
    for panel, name in zip(page.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        scores = [mean(runs, name) for points in (*curves.values(), real) for runs in points.values()]
        if max(scores) > 100 * min(scores) > 0:
            panel.set_xscale("log")
        for model, points in curves.items():
            xs = [mean(runs, name) for runs in points.values()]
            ys = [factor * mean(runs, score) for runs in points.values()]
            panel.plot(xs, ys, marker=".", linewidth=1, label=model.replace("_", " "))
            for value, x, y in zip(points, xs, ys, strict=True):
                label = f"{symbol} {value}".strip()
                panel.annotate(label, (x, y), xytext=(3, 3), textcoords="offset points", fontsize=7)
        for runs in real.values():
            x = mean(runs, name)
            if score in next(iter(runs.values())):
                panel.plot(x, factor * mean(runs, score), "k*", label="real texts")
            else:
                panel.axvline(x, color="black", linestyle=":", linewidth=1, label="real texts")
        panel.set(xlabel=panels[name], ylabel=title)
        panel.margins(0.1)
        panel.legend(fontsize=7)
    _save_small(page, path, num_colors=256)


def _grid_of_panels(rows: list[str], columns: tuple[str, ...]) -> tuple[Figure, np.ndarray]:
    """A page of square panels without ticks, with the names of rows and columns at its margins."""
    from matplotlib.figure import Figure

    side = 1.5 if len(rows) <= 6 else 1.05
    page = Figure(figsize=(side * len(columns) + 0.4, side * len(rows) + 0.3), layout="constrained")
    panels = page.subplots(len(rows), len(columns), squeeze=False)
    for panel in panels.flat:
        panel.set(xticks=[], yticks=[], box_aspect=1)
    for panel, name in zip(panels[0], columns, strict=True):
        panel.set_title(textwrap.fill(name, width=round(13 * side)), fontsize=8)
    for panel, name in zip(panels[:, 0], rows, strict=True):
        panel.set_ylabel(textwrap.fill(name.replace("_", " "), width=16), fontsize=8)
    return page, panels


def _range_of(vectors: np.ndarray, margin: float) -> np.ndarray:
    """The range `((left, right), (bottom, top))` of all vectors but outliers, widened by the fraction `margin`."""
    ends = np.quantile(vectors, [0.005, 0.995], axis=0).T
    half = np.maximum((ends[:, 1] - ends[:, 0]) / 2, 1e-6)
    return ends.mean(axis=1)[:, None] + (1 + margin) * half[:, None] * np.array([-1, 1])


def _draw_density(panel: Axes, vectors: np.ndarray, extent: np.ndarray, bandwidth: float) -> None:
    from scipy.ndimage import gaussian_filter

    vectors = vectors[np.isfinite(vectors).all(axis=1)]
    counts, *_ = np.histogram2d(*vectors.T, bins=NUM_CELLS, range=extent)
    # Quantiles keep outliers from widening the bandwidth.
    spread = np.diff(np.quantile(vectors, [0.16, 0.84], axis=0), axis=0)[0] / 2 if len(vectors) else np.zeros(2)
    cells = np.diff(extent)[:, 0] / NUM_CELLS
    density = gaussian_filter(counts, bandwidth * np.minimum(spread / cells, NUM_CELLS), mode="constant")
    panel.imshow(density.T, origin="lower", extent=extent.ravel(), cmap="viridis", aspect="auto", vmin=0)


def _draw_points(panel: Axes, vectors: np.ndarray, coloring: np.ndarray, extent: np.ndarray) -> None:
    from matplotlib import colormaps

    palette = np.array(colormaps["tab20"].colors)
    colors = np.where((coloring >= 0)[:, None], palette[coloring % len(palette)], 0.6)
    panel.scatter(*vectors.T, s=2, c=colors, linewidths=0)
    panel.set(xlim=extent[0], ylim=extent[1])


def _save_small(page: Figure, path: Path, num_colors: int = NUM_COLORS) -> None:
    """Write a PNG file with few colours, at the highest resolution at which it is small enough."""
    from PIL import Image

    for dpi in RESOLUTIONS:
        drawn, reduced = io.BytesIO(), io.BytesIO()
        page.savefig(drawn, dpi=dpi, format="png")
        image = Image.open(drawn).convert("RGB").quantize(num_colors, dither=Image.Dither.NONE)
        image.save(reduced, format="png", optimize=True)
        if reduced.tell() <= MAX_BYTES:
            break
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, lambda temporary: temporary.write_bytes(reduced.getvalue()))
