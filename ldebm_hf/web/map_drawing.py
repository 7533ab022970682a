"""
The pictures of the page: the latent map, reverse diffusion and priors.

What is the same in all answers is drawn once, by matplotlib; what differs is put onto copies of it, by Pillow. The
pictures are RGBA with a transparent background, and legible on a light and on a dark page.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

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
GREY = "#8a8a88"  # legible on white and on black
PALE = "#8a8a8855"
NAME_LENGTH = 16
LEVEL_PIXELS, PRIOR_PIXELS = 300, 340  # sides of the panels
TITLE_PIXELS = 30
FINENESS = 4  # shapes are drawn so many times as large, and reduced, so that their edges are smooth
NOISE_STDS = 3.5  # standard deviations of the noise that a panel of reverse diffusion has room for
COLORS_OF_A_PICTURE = 160
DRAWING = threading.Lock()  # matplotlib's text layout is not made for several threads


class MapPictures:
    """
    The pictures that show the latent map. The map fills a whole square picture, so that [`place_of_pixel`] can tell
    which place a pixel shows.

    Args:
        latent_map ([`LatentMap`]): The map.
        names (`dict[int, str]`): The names of the symbols by id.
    """

    def __init__(self, latent_map: LatentMap, names: dict[int, str]):
        self.map, self.names = latent_map, names
        self.colors = symbol_colors(len(names)) if names else [GREY]

    def plain(self) -> Image.Image:
        """The texts and the names of their symbols."""
        return _with_few_colors(self._base)

    def marked(self, place: tuple[float, float]) -> Image.Image:
        """The map with a star at a place."""
        picture = self._base.copy()
        _put(picture, _star(), *self._pixel(place))
        return _with_few_colors(picture)

    def with_path(self, places: Sequence[tuple[float, float]]) -> Image.Image:
        """The map with a line through places, from A to B."""
        picture = self._base.copy()
        pixels = [self._pixel(place) for place in places]
        layer = Image.new("RGBA", (FINENESS * MAP_PIXELS // 2,) * 2)
        pen = ImageDraw.Draw(layer)
        scaled = [(FINENESS / 2 * x, FINENESS / 2 * y) for x, y in pixels]
        for width, color in ((9, "white"), (4, "black")):  # the white edge shows it on a dark page
            pen.line(scaled, fill=color, width=width, joint="curve")
        picture.alpha_composite(layer.reduce(FINENESS // 2))
        for pixel in pixels:
            _put(picture, _disc(5, "#ffffff", "#000000"), *pixel)
        for letter, (x, y) in (("A", pixels[0]), ("B", pixels[-1])):
            _write_name(picture, *np.clip((x + 16, y - 14), 12, MAP_PIXELS - 12), letter, "#000000", 15)
        return _with_few_colors(picture)

    def reverse_diffusion(self, found: ReverseDiffusion) -> Image.Image:
        """
        One panel for each level, from noise to data: the latents, coloured by the requested symbol, in front of the
        texts of the map in grey.
        """
        picture = self._levels(len(found.places)).copy()
        center, half = self._range_of_levels
        names: dict[int, list[np.ndarray]] = {}
        for number, places in enumerate(found.places):
            corner = _corner_of_panel(number, len(found.places), LEVEL_PIXELS)
            shares = np.clip(0.5 + (places - center) / half * [0.5, -0.5], 0.015, 0.985)
            symbols = np.full(len(places), -1) if found.symbols is None else found.symbols
            for (x, y), symbol in zip(corner + shares * LEVEL_PIXELS, symbols.tolist(), strict=True):
                color = "#4477aa" if symbol < 0 else self.colors[symbol]
                _put(picture, _disc(4, color, "#ffffff"), x, y)
            if number == len(found.places) - 1 and found.symbols is not None:
                pixels = corner + shares * LEVEL_PIXELS
                for symbol in dict.fromkeys(found.symbols.tolist()):
                    names[symbol] = [np.median(pixels[found.symbols == symbol], axis=0), corner]
        taken: list[np.ndarray] = []
        for symbol, (middle, corner) in names.items():
            place = np.clip(middle, corner + [55, 14], corner + [LEVEL_PIXELS - 55, LEVEL_PIXELS - 14])
            while any(abs(place[0] - x) < 90 and abs(place[1] - y) < 20 for x, y in taken):
                place = place + [0, 20]
            taken.append(place)
            _write_name(picture, *place, self.names[symbol], self.colors[symbol], 13)
        return _with_few_colors(picture)

    @cached_property
    def _base(self) -> Image.Image:
        figure = _figure(MAP_PIXELS, MAP_PIXELS)
        panel = figure.add_axes((0, 0, 1, 1))
        _draw_texts(panel, self.map, self.colors)
        _draw_names(panel, self.map, self.names)
        return _pixels(figure)

    @cached_property
    def _range_of_levels(self) -> tuple[np.ndarray, float]:
        """Centre and half the side of a square that has room for the map and for noise."""
        low, high = self.map.limits
        center = (low + high) / 2
        middle_of_noise = self.map.plane.project(np.zeros((1, len(self.map.plane.mean))))[0]
        return center, max((high - low).max() / 2, np.abs(middle_of_noise - center).max() + NOISE_STDS)

    def _levels(self, num_states: int) -> Image.Image:
        if not hasattr(self, "_empty_levels"):
            center, half = self._range_of_levels
            titles = [f"level {level}" for level in reversed(range(num_states))]
            titles[0] += " (noise)"
            titles[-1] += " (data)"
            picture = _panels(titles, LEVEL_PIXELS)
            shares = 0.5 + (self.map.places - center) / half * [0.5, -0.5]
            shares = shares[((shares > 0.01) & (shares < 0.99)).all(1)]
            for number in range(num_states):
                for x, y in _corner_of_panel(number, num_states, LEVEL_PIXELS) + shares * LEVEL_PIXELS:
                    _put(picture, _disc(1.2, PALE), x, y)
            self._empty_levels = picture
        return self._empty_levels

    def _pixel(self, place: tuple[float, float]) -> tuple[float, float]:
        low, high = self.map.limits
        x, y = (np.array(place) - low) / (high - low) * MAP_PIXELS
        return float(x), float(MAP_PIXELS - y)


def place_of_pixel(latent_map: LatentMap, column: float, row: float) -> tuple[float, float]:
    """The place of the map that a pixel of its pictures shows."""
    low, high = latent_map.limits
    share = np.clip(np.array([column, MAP_PIXELS - row]) / MAP_PIXELS, 0, 1)
    x, y = low + share * (high - low)
    return float(x), float(y)


def draw_priors(true_points: np.ndarray, draws: Sequence[PriorDraw]) -> Image.Image:
    """The true points and the samples of each prior, in panels of the same range."""
    panels = [("true points", true_points), *((draw.title, draw.points) for draw in draws)]
    picture = _panels([title for title, _ in panels], PRIOR_PIXELS)
    half = 1.15 * np.abs(true_points).max()
    for number, (_, points) in enumerate(panels):
        mark = _disc(1.6, "#4477aacc" if number else "#888888cc")
        shares = 0.5 + points / half * [0.5, -0.5]
        corner = _corner_of_panel(number, len(panels), PRIOR_PIXELS)
        for x, y in corner + shares[((shares > 0.01) & (shares < 0.99)).all(1)] * PRIOR_PIXELS:
            _put(picture, mark, x, y)
    return _with_few_colors(picture)


# ------------------------------------------------------------------------------------------------- drawn by matplotlib


def _draw_texts(panel: Axes, latent_map: LatentMap, palette: list[str]) -> None:
    low, high = latent_map.limits
    colors = GREY if latent_map.symbols is None else [palette[symbol] for symbol in latent_map.symbols]
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
        box = {"facecolor": "white", "edgecolor": palette[symbol], "alpha": 0.85, "boxstyle": "round,pad=0.2"}
        label = _shortened(names[int(symbol)]) if len(names) <= NUM_NAMES else str(symbol)
        panel.text(x, y, label, ha="center", va="center", fontsize=9, zorder=5, bbox=box)


def _figure(width: int, height: int) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install matplotlib") from error
    return Figure(figsize=(width / RESOLUTION, height / RESOLUTION), dpi=RESOLUTION, facecolor="none")


def _pixels(figure: Figure) -> Image.Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with DRAWING:
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        picture = Image.fromarray(np.asarray(canvas.buffer_rgba()).copy(), "RGBA")
    figure.clear()
    del canvas, figure
    gc.collect()  # figures are large reference cycles, which Python would collect too late for a server
    return picture


# ----------------------------------------------------------------------------------------------------- drawn by Pillow


def _panels(titles: Sequence[str], side: int) -> Image.Image:
    """Empty framed panels below their titles."""
    columns = _num_columns(len(titles), side)
    rows = -(-len(titles) // columns)
    picture = Image.new("RGBA", (columns * (side + 8) + 8, rows * (side + TITLE_PIXELS + 8)))
    pen = ImageDraw.Draw(picture)
    for number, title in enumerate(titles):
        x, y = _corner_of_panel(number, len(titles), side)
        pen.rectangle((x, y, x + side - 1, y + side - 1), outline=GREY)
        pen.text((x + side / 2, y - TITLE_PIXELS / 2), title, fill=GREY, anchor="mm", font=_font(15))
    return picture


def _num_columns(num_panels: int, side: int) -> int:
    return min(4 if side == LEVEL_PIXELS else 3, num_panels)


def _corner_of_panel(number: int, num_panels: int, side: int) -> np.ndarray:
    """The upper left pixel of a panel, `(2,)`."""
    row, column = divmod(number, _num_columns(num_panels, side))
    return np.array([8 + column * (side + 8), TITLE_PIXELS + row * (side + TITLE_PIXELS + 8)])


@cache
def _disc(radius: float, color: str, edge: str | None = None) -> Image.Image:
    side = 2 * int(np.ceil(radius)) + 3
    mark = Image.new("RGBA", (side * FINENESS,) * 2, ImageColor.getrgb(color)[:3] + (0,))
    middle, reach = side * FINENESS / 2, radius * FINENESS
    box = (middle - reach, middle - reach, middle + reach, middle + reach)
    ImageDraw.Draw(mark).ellipse(box, fill=color, outline=edge, width=FINENESS if edge else 0)
    return mark.reduce(FINENESS)


@cache
def _star() -> Image.Image:
    """A black star on a white disc."""
    side = 29 * FINENESS
    mark = Image.new("RGBA", (side, side), (255, 255, 255, 0))
    pen = ImageDraw.Draw(mark)
    pen.ellipse((side * 0.05, side * 0.05, side * 0.95, side * 0.95), fill="white", outline="black", width=FINENESS)
    turns = np.arange(10) / 10
    reach = np.where(np.arange(10) % 2, 0.16, 0.38) * side
    xs, ys = side / 2 + reach * np.sin(2 * np.pi * turns), side / 2 - reach * np.cos(2 * np.pi * turns)
    pen.polygon(list(zip(xs, ys, strict=True)), fill="black")
    return mark.reduce(FINENESS)


def _put(picture: Image.Image, mark: Image.Image, x: float, y: float) -> None:
    """Put a small picture onto another, with its middle at a pixel; parts outside are left out."""
    left, top = round(x - mark.width / 2), round(y - mark.height / 2)
    if left < 0 or top < 0:
        mark = mark.crop((max(0, -left), max(0, -top), mark.width, mark.height))
    picture.alpha_composite(mark, (max(0, left), max(0, top)))


def _write_name(picture: Image.Image, x: float, y: float, name: str, color: str, size: int) -> None:
    """A name in a white box, which a dark page needs."""
    pen, label, font = ImageDraw.Draw(picture), _shortened(name), _font(size)
    left, top, right, bottom = pen.textbbox((x, y), label, font=font, anchor="mm")
    pen.rounded_rectangle((left - 4, top - 4, right + 4, bottom + 4), 4, fill="#ffffffe0", outline=color)
    pen.text((x, y), label, fill="black", font=font, anchor="mm")


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib and has the letters of many languages."""
    from matplotlib import font_manager

    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)


def _shortened(name: str) -> str:
    return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"


def _with_few_colors(picture: Image.Image) -> Image.Image:
    """A copy with a palette, which is written much faster than one without."""
    return picture.quantize(COLORS_OF_A_PICTURE, method=Image.Quantize.FASTOCTREE)
