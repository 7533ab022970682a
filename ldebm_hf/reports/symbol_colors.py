"""Colours that distinguish symbols on a light and on a dark background, also for people who see fewer hues."""

from functools import cache

import numpy as np

FEW_COLORS = (
    "#4477aa", "#ee6677", "#228833", "#c9a400", "#3fa9cc", "#aa3377", "#e07b39", "#7a6ff0", "#5f8a8b", "#996644",
)  # fmt: skip
MOST_DISTINCT = 256
"""The most colours that are chosen to be distinct; of more symbols, some have the same."""
GRID = 32
"""Values of each of red, green and blue that are tried."""
LUMINANCES = (0.105, 0.40)
"""The least and the greatest relative luminance of WCAG: a contrast of 2.3 with white and of 3.1 with black.

Graphics should have 3 with their background (WCAG 1.4.11). Between 0.1 and 0.3, which would give that, 125 colours are
no longer told apart by every eye: two of them are 0.017 apart in OKLab, and still 0.019 with a finer grid, where about
0.02 is just noticeable. Points and bars therefore have their texts and numbers beside them."""
TO_CONES = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                     [0.2119034982, 0.6806995451, 0.1073969566],
                     [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
TO_LAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                   [1.9779984951, -2.4285922050, 0.4505937099],
                   [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip
"""From linear sRGB to OKLab, in which distances are those that people see (Ottosson, 2020)."""
DEUTERANOPIA = np.array([[0.367322, 0.860646, -0.227968],
                         [0.280085, 0.672501, 0.047413],
                         [-0.011820, 0.042940, 0.968881]])  # fmt: skip
PROTANOPIA = np.array([[0.152286, 1.052583, -0.204868],
                       [0.114503, 0.786281, 0.099216],
                       [-0.003882, -0.048116, 1.051998]])  # fmt: skip
"""Linear sRGB as it is seen without the cones for medium and for long waves (Machado et al., 2009)."""


def symbol_colors(number: int) -> list[str]:
    """
    Colours `"#rrggbb"` that are legible on white and on black.

    Up to ten colours are a hand-made palette. Of more, each one is the colour that is farthest from those before it,
    for the eye with the greatest difficulty: one with all cones, or one without those for medium or for long waves.
    Colours therefore differ in lightness where they do not in hue.
    """
    if number <= len(FEW_COLORS):
        return list(FEW_COLORS[:number])
    palette = _distinct_colors()
    return [palette[symbol % len(palette)] for symbol in range(number)]


@cache
def _distinct_colors() -> tuple[str, ...]:
    """`MOST_DISTINCT` colours, each the farthest from those before it."""
    values = np.linspace(0, 1, GRID)
    colors = np.stack(np.meshgrid(values, values, values, indexing="ij"), -1).reshape(-1, 3)
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    usable = (luminance > LUMINANCES[0]) & (luminance < LUMINANCES[1])
    colors, seen = colors[usable], _as_seen(linear[usable])
    chosen = [int(np.abs(colors - [0.267, 0.467, 0.667]).sum(1).argmin())]  # a blue, as in the small palette
    nearest = np.full(len(colors), np.inf)
    for _ in range(MOST_DISTINCT - 1):
        distances = np.linalg.norm(seen - seen[:, chosen[-1], None], axis=-1).min(0)
        nearest = np.minimum(nearest, distances)
        chosen.append(int(nearest.argmax()))
    return tuple("#" + "".join(f"{round(255 * channel):02x}" for channel in colors[index]) for index in chosen)


def _as_seen(linear: np.ndarray) -> np.ndarray:
    """OKLab coordinates of linear sRGB `(n, 3)` for three kinds of eyes, `(3, n, 3)`."""
    eyes = np.stack([linear, linear @ DEUTERANOPIA.T, linear @ PROTANOPIA.T]).clip(0, 1)
    return np.cbrt(eyes @ TO_CONES.T) @ TO_LAB.T
