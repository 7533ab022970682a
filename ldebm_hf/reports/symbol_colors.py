"""Colours that distinguish symbols on a light and on a dark background."""

import colorsys

import numpy as np

FEW_COLORS = (
    "#4477aa", "#ee6677", "#228833", "#c9a400", "#3fa9cc", "#aa3377", "#e07b39", "#7a6ff0", "#5f8a8b", "#996644",
)  # fmt: skip
GOLDEN_ANGLE = 0.381966
"""Difference of successive hues as a fraction of a turn, which keeps them far apart however many there are."""
LUMINANCES = (0.15, 0.24, 0.35)


def symbol_colors(number: int) -> list[str]:
    """
    Colours `"#rrggbb"` that are legible on white and on black.

    Up to ten colours are all distinct. Of more, neighbours are distinct but not every pair is.
    """
    if number <= len(FEW_COLORS):
        return list(FEW_COLORS[:number])
    hues = [symbol * GOLDEN_ANGLE % 1 for symbol in range(number)]
    return [_color(hue, LUMINANCES[symbol % len(LUMINANCES)]) for symbol, hue in enumerate(hues)]


def _color(hue: float, luminance: float) -> str:
    """The colour of a hue, with saturation 0.6, that is nearest to a relative luminance as defined by WCAG."""
    lightness = np.arange(0.15, 0.86, 0.01)
    channels = np.array([colorsys.hls_to_rgb(hue, value, 0.6) for value in lightness])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    nearest = np.abs(linear @ [0.2126, 0.7152, 0.0722] - luminance).argmin()
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in channels[nearest])
