"""Pictures of the map: the place that a pixel shows is the one that is drawn there."""

import numpy as np
import pytest

from ldebm_hf.reports.latent_map import LatentMap
from ldebm_hf.web.map_drawing import MAP_PIXELS, draw_map, place_of_pixel


@pytest.fixture(scope="module")
def latent_map():
    latents = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    return LatentMap.fit(["text"] * 50, latents, np.arange(50) % 2)


def test_pixel_shows_the_place_that_is_marked_there(latent_map):
    for column, row in ((500.0, 200.0), (150.0, 600.0)):
        place = place_of_pixel(latent_map, column, row)
        marked = draw_map(latent_map, {0: "a", 1: "b"}, mark=place)
        assert marked.shape == (MAP_PIXELS, MAP_PIXELS, 3)
        changed = (marked != draw_map(latent_map, {0: "a", 1: "b"})).any(axis=2)
        rows, columns = np.nonzero(changed)
        assert columns.mean() == pytest.approx(column, abs=3)
        assert rows.mean() == pytest.approx(row, abs=3)


def test_mark_is_seen_where_a_name_is(latent_map):
    middle = np.median(latent_map.places[latent_map.symbols == 0], axis=0)
    marked = draw_map(latent_map, {0: "a long name", 1: "b"}, mark=tuple(middle))
    low, high = latent_map.limits
    column, row = ((middle - low) / (high - low) * MAP_PIXELS).astype(int)
    assert (marked[MAP_PIXELS - row, column] < 30).all(), "black, as the star's middle is"


def test_corners_and_what_lies_outside(latent_map):
    low, high = latent_map.limits
    assert place_of_pixel(latent_map, 0, MAP_PIXELS) == pytest.approx(tuple(low))
    assert place_of_pixel(latent_map, 2 * MAP_PIXELS, -5) == pytest.approx(tuple(high))


def test_many_symbols_and_none_are_drawn(latent_map):
    many = LatentMap.fit(latent_map.texts, latent_map.latents, np.arange(50))
    names = {symbol: f"a symbol with a long name {symbol}" for symbol in range(50)}
    assert draw_map(many, names, path=[(0, 0), (0.5, 0.5)]).std() > 0
    none = LatentMap.fit(latent_map.texts, latent_map.latents)
    assert (draw_map(none, {}) != draw_map(many, names)).any()
