"""Class probabilities that spread from text to similar text."""

import numpy as np
import pytest

from ldebm_hf.pseudo_labels.neighbour_graph import SPREADING, NeighbourGraph


def two_arcs(per_arc: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Directions on two arcs of a circle, with a gap between them, and the arc of each."""
    rng = np.random.default_rng(seed)
    arcs = np.repeat([0, 1], per_arc)
    angles = rng.uniform(0.1, np.pi - 0.1, 2 * per_arc) + np.pi * arcs
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(0.5, 2, (2 * per_arc, 1))
    return vectors.astype(np.float32), arcs


def test_a_single_text_decides_over_the_arc_that_it_lies_on():
    vectors, arcs = two_arcs(200)
    start = np.full((400, 2), 0.5)
    start[0], start[200] = (1, 0), (0, 1)
    spread = NeighbourGraph(vectors).spread(start)
    np.testing.assert_allclose(spread.sum(1), 1)
    assert (spread.argmax(1) == arcs).mean() > 0.95


def test_spreading_solves_its_linear_equation():
    """F = α S F + (1 − α) Y, with each row then scaled to a sum of 1 (Zhou et al.)."""
    vectors, _ = two_arcs(40)
    graph = NeighbourGraph(vectors)
    start = np.random.default_rng(1).dirichlet([1, 1, 1], 80)
    exact = np.linalg.solve(np.eye(80) - SPREADING * graph.transitions.toarray(), (1 - SPREADING) * start)
    np.testing.assert_allclose(graph.spread(start), exact / exact.sum(1, keepdims=True), atol=2e-3)
    weights = graph.transitions.toarray()
    np.testing.assert_allclose(weights, weights.T)
    np.testing.assert_allclose(np.linalg.eigvalsh(weights).max(), 1, atol=1e-6)


def test_other_texts_have_the_class_of_their_neighbours_and_a_part_of_their_own():
    vectors, arcs = two_arcs(200)
    graph = NeighbourGraph(vectors)
    others, other_arcs = two_arcs(50, seed=1)
    own = np.tile([0.0, 1.0], (100, 1))
    found = graph.spread_to(others, own, np.eye(2)[arcs])
    assert (found.argmax(1) == other_arcs).mean() > 0.95
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    assert (found[:, 1] >= 1 - SPREADING - 1e-6).all()


def test_few_texts_have_fewer_neighbours():
    spread = NeighbourGraph(np.eye(3, dtype=np.float32)).spread(np.eye(3))
    assert (spread.argmax(1) == [0, 1, 2]).all()
    with pytest.raises(ValueError, match="at least two texts, got 1"):
        NeighbourGraph(np.ones((1, 3), dtype=np.float32))
