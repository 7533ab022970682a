"""Symbols against classes: perfect and random ones, worked out by hand, and against scikit-learn."""

from dataclasses import asdict

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from ldebm_hf.scores import seed_agreement, symbol_scores

CLASSES = np.random.default_rng(0).integers(16, size=2000)
SCIKIT_LEARN = {
    "homogeneity": sklearn_metrics.homogeneity_score,
    "completeness": sklearn_metrics.completeness_score,
    "v_measure": sklearn_metrics.v_measure_score,
    "adjusted_rand": sklearn_metrics.adjusted_rand_score,
    "normalized_mutual_information": sklearn_metrics.normalized_mutual_info_score,
}


def test_classes_under_other_names_are_perfect():
    scores = symbol_scores(np.random.default_rng(1).permutation(16)[CLASSES], CLASSES)
    for name in SCIKIT_LEARN:
        assert getattr(scores, name) == pytest.approx(1), name
    assert scores.v_measure_chance < 0.05 and abs(scores.adjusted_rand_chance) < 0.01


def test_random_symbols_score_chance():
    scores = symbol_scores(np.random.default_rng(1).integers(16, size=2000), CLASSES, num_permutations=50)
    for name in SCIKIT_LEARN:
        value, chance, std = (getattr(scores, name + suffix) for suffix in ("", "_chance", "_chance_std"))
        assert abs(value - chance) < 4 * std, name
    # With 16 symbols a mutual information of about (16 - 1)² / 2n nats comes about by chance, of log 16.
    assert scores.v_measure_chance == pytest.approx(15**2 / 4000 / np.log(16), rel=0.1)


def test_two_classes_in_one_symbol_by_hand():
    """Two of the classes share a symbol: completeness 1, homogeneity 2/3."""
    scores = symbol_scores(np.array([0, 0, 1, 1] * 50), np.array([0, 1, 2, 2] * 50))
    entropy = 1.5 * np.log(2)
    homogeneity = np.log(2) / entropy
    assert scores.homogeneity == pytest.approx(homogeneity) and scores.completeness == pytest.approx(1)
    assert scores.v_measure == pytest.approx(2 * homogeneity / (1 + homogeneity))


def test_scores_and_chance_are_scikit_learns():
    rng = np.random.default_rng(2)
    symbols = np.where(rng.random(2000) < 0.3, CLASSES, rng.integers(40, size=2000))
    scores = asdict(symbol_scores(symbols, CLASSES, num_permutations=3, seed=5))
    assert len(scores) == 3 * len(SCIKIT_LEARN)
    permutations = np.random.default_rng(5)
    shuffled = [permutations.permutation(symbols) for _ in range(3)]
    for name, score in SCIKIT_LEARN.items():
        chance = [score(CLASSES, permuted) for permuted in shuffled]
        expected = score(CLASSES, symbols), np.mean(chance), np.std(chance)
        assert [scores[name + suffix] for suffix in ("", "_chance", "_chance_std")] == pytest.approx(expected), name


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
    with pytest.raises(ValueError, match="one per symbol"):
        symbol_scores(CLASSES[:, None], CLASSES[:, None])
    with pytest.raises(ValueError, match="num_permutations must be at least 1, got 0"):
        symbol_scores(CLASSES, CLASSES, num_permutations=0)


def test_seeds_that_divide_alike_agree_whatever_the_numbers_are():
    renamed = np.random.default_rng(1).permutation(16)[CLASSES]
    assert seed_agreement([CLASSES, renamed]).tolist() == pytest.approx([1, 1])
    names = np.array([f"symbol {symbol}" for symbol in renamed])
    assert seed_agreement([CLASSES, names]).tolist() == pytest.approx([1, 1])


def test_each_seed_has_its_mean_agreement_with_the_others():
    """The third seed is independent of the two others, which are equal: 1 and 0, within 0.01 on 2,000 texts."""
    independent = np.random.default_rng(1).integers(16, size=2000)
    agreement = seed_agreement([CLASSES, CLASSES, independent])
    assert agreement.shape == (3,) and agreement.tolist() == pytest.approx([0.5, 0.5, 0], abs=0.01)


def test_agreement_of_two_seeds_by_hand():
    """
    Six texts, 15 pairs. Together: 6 pairs in the first division (two of three), 3 in the second (three of two), 2 in
    both; by chance 6 · 3 / 15 = 6/5. The index is (2 - 6/5) / ((6 + 3) / 2 - 6/5) = 8/33.
    """
    assert seed_agreement([[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 2, 2]])[0] == pytest.approx(8 / 33)


def test_a_single_symbol_agrees_with_nothing():
    one = np.zeros(2000, dtype=int)
    assert seed_agreement([one, one]).tolist() == [0, 0]
    assert seed_agreement([one, CLASSES]).tolist() == [0, 0]


def test_agreement_needs_two_seeds_of_the_same_texts():
    with pytest.raises(ValueError, match="symbols must be of at least two seeds, got 1"):
        seed_agreement([CLASSES])
    with pytest.raises(ValueError, match=r"symbols must be of the same texts for every seed, got shapes"):
        seed_agreement([CLASSES, CLASSES[:5]])
