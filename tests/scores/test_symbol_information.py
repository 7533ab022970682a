"""Mutual information and symbol usage against closed forms."""

import numpy as np
import pytest

from ldebm_hf.scores import SymbolUsage, mutual_information, symbol_usage


def test_one_symbol_for_each_text_is_all_the_information_there_is():
    scores = mutual_information(np.eye(8)[np.arange(80) % 8])
    assert scores.mutual_information == pytest.approx(np.log(8)) == scores.marginal_entropy
    assert scores.conditional_entropy == 0 and scores.mutual_information_std_error == pytest.approx(0, abs=1e-12)


def test_symbols_that_do_not_depend_on_the_text_carry_none():
    for row in ([0.125] * 8, [0.7, 0.2, 0.1, 0, 0, 0, 0, 0]):
        scores = mutual_information(np.tile(row, (50, 1)))
        assert scores.mutual_information == pytest.approx(0, abs=1e-12)
        assert scores.conditional_entropy == pytest.approx(scores.marginal_entropy)


def test_mutual_information_by_hand():
    scores = mutual_information([[0.5, 0.5], [1, 0]])
    marginal, conditional = -0.75 * np.log(0.75) - 0.25 * np.log(0.25), np.log(2) / 2
    assert scores.marginal_entropy == pytest.approx(marginal)
    assert scores.conditional_entropy == pytest.approx(conditional)
    assert scores.mutual_information == pytest.approx(marginal - conditional)


def test_standard_error_is_the_spread_over_sets():
    """Over 400 sets of 300 texts, whose spread has a relative error of 1/√800 = 3.5 %; to 4 of these."""
    rng = np.random.default_rng(0)
    sets = [mutual_information(rng.dirichlet([0.2, 0.5, 1], size=300)) for _ in range(400)]
    spread = np.std([scores.mutual_information for scores in sets])
    assert np.mean([scores.mutual_information_std_error for scores in sets]) == pytest.approx(spread, rel=0.14)


def test_single_precision_probabilities_are_accepted_and_others_refused():
    logits = np.random.default_rng(0).normal(size=(40, 125)).astype(np.float32)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert 0 < mutual_information(probabilities).mutual_information < np.log(125)
    for wrong in ([[0.5, 0.4]], [[1.5, -0.5]], [[np.nan, 1.0]]):
        with pytest.raises(ValueError, match="row 0"):
            mutual_information(wrong)
    for wrong in ([0.5, 0.5], [], np.ones((0, 3))):
        with pytest.raises(ValueError, match="shape"):
            mutual_information(wrong)
    with pytest.raises(ValueError, match="must be rows of numbers, all of one length, got lengths 1, 2$"):
        mutual_information([[0.5, 0.5], [1.0]])


def test_usage_by_hand():
    assert symbol_usage([3, 3, 3], 4) == SymbolUsage(0, 1, 1, 3)
    even = symbol_usage(np.arange(100) % 5, 8)
    assert (even.symbols_used, even.dead_symbols) == (5, 3)
    assert even.usage_entropy == pytest.approx(np.log(5)) and even.usage_perplexity == pytest.approx(5)
    assert symbol_usage([0, 1, 1, 1], 2).usage_entropy == pytest.approx(-0.75 * np.log(0.75) - 0.25 * np.log(0.25))


@pytest.mark.parametrize("symbols", [[0, 4], [-1, 2], []])
def test_symbols_that_do_not_exist_are_refused(symbols):
    with pytest.raises(ValueError, match="symbols must be one or more of 0 to 3"):
        symbol_usage(symbols, 4)
