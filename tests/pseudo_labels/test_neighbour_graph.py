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


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def nearest(cosines: np.ndarray, count: int) -> np.ndarray:
    """The cubes of each row's largest cosines, which are positive; elsewhere 0."""
    is_near = np.argsort(np.argsort(-cosines, 1), 1) < count
    return np.where(is_near, np.maximum(cosines, 1e-6) ** 3, 0)


def test_graph_and_spreading_are_those_of_their_description():
    """30 neighbours by the cosine of centred vectors, cubed; 30 rounds in which a neighbour's share is 0.8."""
    rng = np.random.default_rng(3)
    vectors, others = (rng.normal(size=(n, 2)).astype(np.float32) + 4 for n in (45, 7))
    start, own = rng.dirichlet([1, 1, 1], 45), rng.dirichlet([1, 1, 1], 7)
    directions = unit(vectors - vectors.mean(0))
    cosines = directions @ directions.T
    np.fill_diagonal(cosines, -2)  # no text is its own neighbour
    weights = nearest(cosines, 30)
    weights = np.maximum(weights, weights.T)
    transitions = weights / np.sqrt(weights.sum(1) * weights.sum(1)[:, None])
    graph = NeighbourGraph(vectors)
    np.testing.assert_allclose(graph.transitions.toarray(), transitions, atol=1e-5)
    spread = start
    for _ in range(30):
        spread = 0.8 * transitions @ spread + 0.2 * start
    spread = spread / spread.sum(1, keepdims=True)
    np.testing.assert_allclose(graph.spread(start), spread, atol=1e-5)
    found = nearest(unit(others - vectors.mean(0)) @ directions.T, 30) @ spread
    expected = 0.8 * found / found.sum(1, keepdims=True) + 0.2 * own
    np.testing.assert_allclose(graph.spread_to(others, own, spread), expected, atol=1e-5)


def test_two_texts_are_neighbours_of_each_other():
    graph = NeighbourGraph(np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32))
    np.testing.assert_allclose(graph.transitions.toarray(), [[0, 1], [1, 0]], atol=1e-6)
