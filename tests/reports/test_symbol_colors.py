"""Colours of symbols: distinct, and legible on black and on white."""

import re

import numpy as np
import pytest

from ldebm_hf.reports.symbol_colors import symbol_colors


@pytest.mark.parametrize("number", [1, 10, 11, 125])
def test_colors_differ_and_read_on_black_and_white(number):
    colors = symbol_colors(number)
    assert len(set(colors)) == number and all(re.fullmatch("#[0-9a-f]{6}", color) for color in colors)
    for color in colors:
        channels = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        luminance = linear @ [0.2126, 0.7152, 0.0722]
        assert 1.05 / (luminance + 0.05) > 2.3 and (luminance + 0.05) / 0.05 > 3  # contrasts with white and black
