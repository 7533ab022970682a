"""The pictures of the page as arrays of pixels `(height, width, 3)`: the latent map, reverse diffusion and priors."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..reports.latent_map import LatentMap
from ..reports.symbol_colors import symbol_colors
from .prior_comparison import PriorDraw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .answers import ReverseDiffusion

MAP_PIXELS = 720
RESOLUTION = 100  # pixels per inch
NUM_NAMES = 12  # with more symbols the map shows their numbers
GREY = "#9a9a98"
NAME_LENGTH = 16


def draw_map(
    latent_map: LatentMap,
    names: dict[int, str],
    mark: tuple[float, float] | None = None,
    path: Sequence[tuple[float, float]] = (),
) -> np.ndarray:
    """
    The latent map. It fills the whole square picture, so that [`place_of_pixel`] can tell which place a pixel shows.

    Args:
        latent_map ([`LatentMap`]): The map.
        names (`dict[int, str]`): The names of the symbols by id.
        mark (`tuple[float, float]`, *optional*): A place to mark by a star.
        path (sequence of `tuple[float, float]`, *optional*): Places to connect by a line.
    """
    figure = _figure(MAP_PIXELS, MAP_PIXELS)
    panel = figure.add_axes((0, 0, 1, 1))
    _draw_texts(panel, latent_map, names)
    if path:
        style = {"color": "black", "linewidth": 1.5, "marker": "o", "markersize": 6, "markerfacecolor": "white"}
        panel.plot(*np.transpose(path), zorder=6, **style)
        for letter, end in (("A", path[0]), ("B", path[-1])):
            panel.annotate(letter, end, (8, 8), textcoords="offset points", fontsize=15, fontweight="bold", zorder=7)
    if mark is not None:
        for size, color, marker in ((330, "white", "o"), (260, "black", "*")):
            panel.scatter(*mark, s=size, marker=marker, color=color, zorder=7)  # above the names
    _draw_names(panel, latent_map, names)
    return _pixels(figure)


def place_of_pixel(latent_map: LatentMap, column: float, row: float) -> tuple[float, float]:
    """The place of the map that a pixel of `draw_map`'s picture shows."""
    low, high = latent_map.limits
    share = np.clip(np.array([column, MAP_PIXELS - row]) / MAP_PIXELS, 0, 1)
    x, y = low + share * (high - low)
    return float(x), float(y)


def draw_reverse_diffusion(found: ReverseDiffusion, latent_map: LatentMap, names: dict[int, str]) -> np.ndarray:
    """
    One panel for each level, from noise to data: the latents, coloured by the requested symbol, in front of the texts
    of the map in grey.
    """
    num_states = len(found.places)
    columns = min(4, num_states)
    rows = -(-num_states // columns)
    figure = _figure(300 * columns, 330 * rows)
    colors = symbol_colors(len(names)) if names else [GREY]
    low, high = latent_map.limits
    every = np.concatenate([found.places.reshape(-1, 2), [low, high]])
    center, half = (low + high) / 2, np.abs(every - (low + high) / 2).max() * 1.05
    for number, places in enumerate(found.places):
        level = num_states - 1 - number
        panel = figure.add_axes(
            (
                number % columns / columns + 0.01 / columns,
                1 - (number // columns + 0.99) / rows,
                0.98 / columns,
                0.9 / rows,
            )
        )
        panel.scatter(*latent_map.places.T, s=3, color="#dcdcd8", linewidths=0)
        own = [colors[symbol] for symbol in found.symbols] if found.symbols is not None else "#4477aa"
        panel.scatter(*places.T, s=22, c=own, edgecolors="white", linewidths=0.4)
        panel.set(xlim=(center - half)[0:1].tolist() + (center + half)[0:1].tolist())
        panel.set(ylim=(center - half)[1:2].tolist() + (center + half)[1:2].tolist(), xticks=[], yticks=[])
        title = f"level {level}"
        if number == 0:
            title += " (noise)"
        elif level == 0:
            title += " (data)"
        panel.set_title(title, fontsize=11)
    if found.symbols is not None:
        for symbol in dict.fromkeys(found.symbols.tolist()):
            middle = np.median(found.places[-1][found.symbols == symbol], axis=0)
            x, y = center + np.clip(middle - center, -0.7 * half, 0.7 * half)  # keeps the name inside the panel
            _write_name(panel, x, y, names[symbol], colors[symbol])
    return _pixels(figure)


def draw_priors(true_points: np.ndarray, draws: Sequence[PriorDraw]) -> np.ndarray:
    """The true points and the samples of each prior, in panels of the same range."""
    panels = [("true points", true_points), *((draw.title, draw.points) for draw in draws)]
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = _figure(340 * columns, 370 * rows)
    half = 1.15 * np.abs(true_points).max()
    for number, (title, points) in enumerate(panels, start=1):
        panel = figure.add_subplot(rows, columns, number, aspect="equal", xlim=(-half, half), ylim=(-half, half))
        panel.scatter(*points.T, s=4, alpha=0.5, linewidths=0, color="#4477aa" if number > 1 else "#444444")
        panel.set(xticks=[], yticks=[])
        panel.set_title(title, fontsize=11)
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.94, wspace=0.04, hspace=0.12)
    return _pixels(figure)


def _draw_texts(panel: Axes, latent_map: LatentMap, names: dict[int, str]) -> None:
    low, high = latent_map.limits
    colors = GREY
    if latent_map.symbols is not None:
        palette = symbol_colors(len(names))
        colors = [palette[symbol] for symbol in latent_map.symbols]
    panel.scatter(*latent_map.places.T, s=14, c=colors, alpha=0.75, linewidths=0)
    panel.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    panel.set_axis_off()


def _draw_names(panel: Axes, latent_map: LatentMap, names: dict[int, str]) -> None:
    """The name of each symbol in the middle of its texts, moved down where a more frequent symbol's name is near."""
    if latent_map.symbols is None:
        return
    palette, taken = symbol_colors(len(names)), []
    low, high = latent_map.limits
    apart = np.array([0.16, 0.04]) if len(names) <= NUM_NAMES else np.array([0.04, 0.03])
    counts = np.bincount(latent_map.symbols, minlength=len(names))
    for symbol in np.argsort(-counts, kind="stable"):
        if not counts[symbol]:
            continue
        x, y = np.clip(np.median(latent_map.places[latent_map.symbols == symbol], axis=0), low, high)
        share = (np.array([x, y]) - low) / (high - low)
        while any((np.abs(share - other) < apart).all() for other in taken) and share[1] > 0.05:
            share = share - [0, apart[1]]
        taken.append(share)
        x, y = low + np.clip(share, [0.1, 0.03], [0.9, 0.97]) * (high - low)
        _write_name(panel, x, y, names[int(symbol)] if len(names) <= NUM_NAMES else str(symbol), palette[symbol])


def _write_name(panel: Axes, x: float, y: float, name: str, color: str) -> None:
    box = {"facecolor": "white", "edgecolor": color, "alpha": 0.85, "boxstyle": "round,pad=0.2"}
    label = name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"
    panel.text(x, y, label, ha="center", va="center", fontsize=9, zorder=5, bbox=box)


def _figure(width: int, height: int) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install matplotlib") from error
    return Figure(figsize=(width / RESOLUTION, height / RESOLUTION), dpi=RESOLUTION, facecolor="white")


def _pixels(figure: Figure) -> np.ndarray:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    figure.clear()
    del canvas, figure
    gc.collect()  # figures are large reference cycles, which Python would collect too late for a server
    return pixels
