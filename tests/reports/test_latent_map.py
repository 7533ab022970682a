"""The principal plane of latents, and the latents of its places, against known answers."""

import numpy as np
import pytest

from ldebm_hf.reports.latent_map import LatentMap, PrincipalPlane


def flat_cloud() -> np.ndarray:
    """40 points of the plane spanned by the second and the third of five axes, shifted by 7 along the first."""
    rng = np.random.default_rng(0)
    latents = np.zeros((40, 5))
    latents[:, 1], latents[:, 2], latents[:, 0] = 5 * rng.standard_normal(40), rng.standard_normal(40), 7
    return latents


def test_plane_of_flat_latents_is_theirs():
    latents = flat_cloud()
    plane = PrincipalPlane.fit(latents)
    assert sum(plane.explained) == pytest.approx(1)
    assert plane.explained[0] > 0.9
    back = plane.mean + plane.project(latents) @ plane.axes.T
    np.testing.assert_allclose(back, latents, atol=1e-12)


def test_axes_are_orthonormal_and_their_largest_coordinate_is_positive():
    latents = flat_cloud()
    axes = PrincipalPlane.fit(latents).axes
    np.testing.assert_allclose(axes.T @ axes, np.eye(2), atol=1e-12)
    assert (axes[np.abs(axes).argmax(0), [0, 1]] > 0).all()
    variances, directions = np.linalg.eigh(np.cov(latents.T))
    np.testing.assert_allclose(np.abs(axes), np.abs(directions[:, :-3:-1]), atol=1e-12)


@pytest.mark.parametrize("number", [1, 3])
def test_equal_latents_have_a_plane_that_explains_nothing(number):
    plane = PrincipalPlane.fit(np.ones((number, 4), dtype=np.float32))
    assert plane.explained == [0.0, 0.0] and (plane.project(np.ones((number, 4))) == 0).all()


def test_one_dimension_has_no_second_axis():
    plane = PrincipalPlane.fit(np.array([[0.0], [1.0], [5.0]]))
    assert plane.explained == [1.0, 0.0]
    assert (plane.project(np.array([[9.0]]))[:, 1] == 0).all()


def test_latent_of_a_place_is_at_that_place_and_near_its_texts():
    latents = np.random.default_rng(1).standard_normal((60, 6)).astype(np.float32)
    latents[:30] += 10  # two clusters
    latent_map = LatentMap.fit([str(i) for i in range(60)], latents)
    for index in (3, 40):
        x, y = latent_map.places[index] + 0.05
        latent = latent_map.latent_at(x, y)
        np.testing.assert_allclose(latent_map.plane.project(latent[None])[0], [x, y], atol=1e-9)
        nearest = np.argsort(np.linalg.norm(latents - latent, axis=1))[:10]
        assert (nearest < 30).all() == (index < 30)


def test_latent_on_flat_latents_is_exact():
    latents = flat_cloud()
    latent_map = LatentMap.fit(["a"] * 40, latents)
    np.testing.assert_allclose(latent_map.latent_at(*latent_map.places[8]), latents[8], atol=1e-9)


def test_map_needs_two_texts_with_latents():
    with pytest.raises(ValueError, match="two or more with a latent each, got 1 and 1"):
        LatentMap.fit(["a"], np.zeros((1, 2)))
