"""Names made of words, and symbols guessed from them, by hand and for texts whose words are drawn at random."""

import numpy as np
import pytest

from ldebm_hf.scores import name_accuracy, name_by_words

NAMES = {0: ["soup", "bread"], 1: ["rain"], 7: ["soup", "refund"]}


def test_names_are_the_words_of_the_symbol():
    texts = ["The soup, the bread", "Soup and bread", "the rain", "Rain and rain"] * 5
    symbols = np.array([3, 3, 8, 8] * 5)
    names = name_by_words(texts, symbols)
    assert {symbol: set(words) for symbol, words in names.items()} == {3: {"soup", "bread"}, 8: {"rain"}}
    assert all(len(words) == 1 for words in name_by_words(texts, symbols, num_words=1).values())
    assert name_by_words(texts, np.zeros(20, dtype=int)) == {0: []}
    assert name_by_words(["", "!"], np.array([0, 1])) == {0: [], 1: []}


def test_guesses_by_hand():
    """
    The first text has most words of symbol 0; the second as many of 0 as of 7; the third has none of any; the symbol
    of the fourth has no name.
    """
    texts, symbols = ["Soup with bread!", "soup", "hello", "rain"], np.array([0, 7, 1, 5])
    found = name_accuracy(NAMES, texts, symbols)
    assert found.name_accuracy == pytest.approx((1 + 1 / 2 + 1 / 3 + 0) / 4)
    # Each of the symbols 0, 1, 7 has a quarter of the texts, whichever is guessed.
    assert found.name_accuracy_chance == pytest.approx(1 / 4)
    assert name_accuracy(NAMES, ["rain"], np.array([1])).name_accuracy == 1
    # Only the symbol 1 is guessed, which three of four texts have.
    assert name_accuracy(NAMES, ["rain"] * 4, np.array([1, 1, 1, 0])).name_accuracy_chance == pytest.approx(3 / 4)


def test_words_count_once():
    assert name_accuracy(NAMES, ["rain rain and bread and soup"], np.array([0])).name_accuracy == 1


def test_chance_is_that_of_symbols_that_are_dealt_out():
    """The mean over 200 permutations, within 4 of its standard errors."""
    rng = np.random.default_rng(0)
    words = np.array(["soup", "rain", "bread", "refund", "hello"])
    texts = [" ".join(rng.choice(words, 2)) for _ in range(40)]
    symbols = rng.choice([0, 1, 7], size=40, p=[0.6, 0.3, 0.1])
    chance = name_accuracy(NAMES, texts, symbols).name_accuracy_chance
    dealt = np.array([name_accuracy(NAMES, texts, rng.permutation(symbols)).name_accuracy for _ in range(200)])
    assert chance == pytest.approx(dealt.mean(), abs=4 * dealt.std() / 200**0.5)


def test_symbols_of_words_are_guessed_and_symbols_of_nothing_are_not():
    """Every symbol has three words of its own; symbols that are dealt out score chance within 0.05 on 1,000 texts."""
    rng = np.random.default_rng(1)
    symbols = rng.integers(6, size=2000)
    words = np.array([[f"{symbol}{letter}{letter}" for letter in "xyz"] for symbol in "abcdef"])
    texts = [" ".join(rng.choice(words[symbol], 4)) for symbol in symbols]
    (training, held_out), (training_texts, held_out_texts) = np.split(symbols, 2), (texts[:1000], texts[1000:])
    assert name_accuracy(name_by_words(training_texts, training), held_out_texts, held_out).name_accuracy == 1
    dealt = name_accuracy(name_by_words(training_texts, rng.permutation(training)), held_out_texts, held_out)
    assert dealt.name_accuracy_chance == pytest.approx(1 / 6, abs=0.02)
    nothing = rng.permutation(held_out)
    found = name_accuracy(name_by_words(training_texts, training), held_out_texts, nothing)
    assert found.name_accuracy == pytest.approx(found.name_accuracy_chance, abs=0.05)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"symbols must be one per text, 2, got shape \(1,\)"):
        name_by_words(["a", "b"], np.array([0]))
    with pytest.raises(ValueError, match=r"symbols must be one per text, 1, got shape \(2,\)"):
        name_accuracy(NAMES, ["a"], np.array([0, 1]))
    with pytest.raises(ValueError, match="must be at least one, got 0 texts and 3 names"):
        name_accuracy(NAMES, [], np.array([], dtype=int))
    with pytest.raises(ValueError, match="must be at least one, got 1 texts and 0 names"):
        name_accuracy({}, ["a"], np.array([0]))
