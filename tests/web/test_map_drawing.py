"""Pictures of the map: the place that a pixel shows is the one that is drawn there."""

import numpy as np
import pytest

from ldebm_hf.reports.latent_map import LatentMap
from ldebm_hf.web.answers import ReverseDiffusion
from ldebm_hf.web.map_drawing import MAP_PIXELS, MapPictures, place_of_pixel


@pytest.fixture(scope="module")
def latent_map():
    latents = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    return LatentMap.fit(["text"] * 50, latents, np.arange(50) % 2)


def pixels(picture) -> np.ndarray:
    return np.asarray(picture.convert("RGBA")).astype(int)


def test_pixel_shows_the_place_that_is_marked_there(latent_map):
    pictures = MapPictures(latent_map, {0: "a", 1: "b"})
    for column, row in ((500.0, 200.0), (150.0, 600.0)):
        place = place_of_pixel(latent_map, column, row)
        marked = pixels(pictures.marked(place))
        assert marked.shape == (MAP_PIXELS, MAP_PIXELS, 4)
        changed = (np.abs(marked - pixels(pictures.plain())) > 60).any(axis=2)
        rows, columns = np.nonzero(changed)
        assert columns.mean() == pytest.approx(column, abs=3)
        assert rows.mean() == pytest.approx(row, abs=3)


def test_mark_is_seen_where_a_name_is(latent_map):
    middle = np.median(latent_map.places[latent_map.symbols == 0], axis=0)
    marked = pixels(MapPictures(latent_map, {0: "a long name", 1: "b"}).marked(tuple(middle)))
    low, high = latent_map.limits
    column, row = ((middle - low) / (high - low) * MAP_PIXELS).astype(int)
    assert (marked[MAP_PIXELS - row, column, :3] < 30).all(), "black, as the star's middle is"


def test_corners_and_what_lies_outside(latent_map):
    low, high = latent_map.limits
    assert place_of_pixel(latent_map, 0, MAP_PIXELS) == pytest.approx(tuple(low))
    assert place_of_pixel(latent_map, 2 * MAP_PIXELS, -5) == pytest.approx(tuple(high))


def test_many_symbols_and_none_are_drawn(latent_map):
    many = LatentMap.fit(latent_map.texts, latent_map.latents, np.arange(50))
    names = {symbol: f"a symbol with a long name {symbol}" for symbol in range(50)}
    on_the_way = pixels(MapPictures(many, names).with_path([(0, 0), (0.5, 0.5)]))
    assert on_the_way.std() > 0
    none = LatentMap.fit(latent_map.texts, latent_map.latents)
    assert (pixels(MapPictures(none, {}).plain()) != on_the_way).any()


def test_background_is_that_of_the_page(latent_map):
    pictures = MapPictures(latent_map, {0: "a", 1: "b"})
    for picture in (pictures.plain(), pictures.marked((0, 0)), pictures.with_path([(0, 0), (1, 1)])):
        assert (pixels(picture)[..., 3] == 0).mean() > 0.5


def test_every_level_of_reverse_diffusion_shows_its_latents(latent_map):
    pictures = MapPictures(latent_map, {0: "a", 1: "b"})
    places = np.stack([np.full((2, 2), 0.0), np.full((2, 2), 0.5), np.full((2, 2), 1e6)])
    found = ReverseDiffusion(places, np.array([0, 1]), [["x", "y"]] * 3)
    nowhere = ReverseDiffusion(places[:, :0], None, [["x"]] * 3)
    drawn = pixels(pictures.reverse_diffusion(found))
    changed = (np.abs(drawn - pixels(pictures.reverse_diffusion(nowhere))) > 60).any(axis=2)
    columns = changed.any(axis=0).nonzero()[0]
    assert all(((columns >= left) & (columns < left + 300)).any() for left in (8, 316, 624)), "the last one at an edge"
