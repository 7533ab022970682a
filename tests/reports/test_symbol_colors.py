"""Colours of symbols: distinct, and legible on black and on white."""

import re

import numpy as np
import pytest

from ldebm_hf.reports.symbol_colors import DEUTERANOPIA, PROTANOPIA, TO_CONES, TO_LAB, symbol_colors


@pytest.mark.parametrize("number", [1, 10, 11, 125])
def test_colors_differ_and_read_on_black_and_white(number):
    colors = symbol_colors(number)
    assert len(set(colors)) == number and all(re.fullmatch("#[0-9a-f]{6}", color) for color in colors)
    for color in colors:
        channels = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        luminance = linear @ [0.2126, 0.7152, 0.0722]
        assert 1.05 / (luminance + 0.05) > 2.3 and (luminance + 0.05) / 0.05 > 3  # contrasts with white and black


def seen_by(color: str, eye: np.ndarray) -> np.ndarray:
    """OKLab coordinates of a colour as an eye sees it."""
    channels = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return np.cbrt(TO_CONES @ (eye @ linear).clip(0, 1)) @ TO_LAB.T


@pytest.mark.parametrize("eye", [np.eye(3), DEUTERANOPIA, PROTANOPIA], ids=["all cones", "no medium", "no long"])
def test_every_pair_of_125_colors_is_told_apart_by_every_eye(eye):
    seen = np.array([seen_by(color, eye) for color in symbol_colors(125)])
    distances = np.linalg.norm(seen[:, None] - seen, axis=-1) + np.eye(125)
    assert distances.min() > 0.02, "a just noticeable difference"
    lightness = seen[:, 0]
    assert lightness.max() - lightness.min() > 0.2


def test_more_symbols_keep_the_colors_of_the_first():
    assert symbol_colors(400)[:125] == symbol_colors(125)
