"""Symbols against classes: perfect, useless, and by hand."""

import numpy as np
import pytest

from ldebm_hf.scores import symbol_scores

CLASSES = np.random.default_rng(0).integers(16, size=2000)


def test_classes_under_other_names_are_perfect():
    scores = symbol_scores(np.random.default_rng(1).permutation(16)[CLASSES], CLASSES)
    assert scores.v_measure == pytest.approx(1) and scores.adjusted_rand == pytest.approx(1)
    assert scores.v_measure_chance < 0.05 and abs(scores.adjusted_rand_chance) < 0.01


def test_random_symbols_score_chance():
    scores = symbol_scores(np.random.default_rng(1).integers(16, size=2000), CLASSES, num_permutations=50)
    for name in ("v_measure", "adjusted_rand"):
        value, chance, std = (getattr(scores, name + suffix) for suffix in ("", "_chance", "_chance_std"))
        assert abs(value - chance) < 4 * std
    # With 16 symbols a mutual information of about (16 - 1)² / 2n nats comes about by chance, of log 16.
    assert scores.v_measure_chance == pytest.approx(15**2 / 4000 / np.log(16), rel=0.1)


def test_v_measure_by_hand():
    """Two classes in one symbol: complete, homogeneous by half."""
    scores = symbol_scores(np.array([0, 0, 1, 1] * 50), np.array([0, 1, 2, 2] * 50))
    entropy = 1.5 * np.log(2)
    homogeneity = np.log(2) / entropy
    assert scores.v_measure == pytest.approx(2 * homogeneity / (1 + homogeneity))


def test_unknown_classes_are_left_out_and_the_seed_counts():
    symbols = np.random.default_rng(1).integers(16, size=2000)
    hidden = np.where(np.arange(2000) < 500, CLASSES, -100)
    assert symbol_scores(symbols, hidden) == symbol_scores(symbols[:500], CLASSES[:500])
    assert symbol_scores(symbols, CLASSES, seed=1) != symbol_scores(symbols, CLASSES, seed=0)


def test_wrong_classes_are_refused():
    with pytest.raises(ValueError, match="known for some"):
        symbol_scores(CLASSES, np.full(2000, -100))
    with pytest.raises(ValueError, match="one per symbol"):
        symbol_scores(CLASSES, CLASSES[:5])
