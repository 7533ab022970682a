"""Linear probes on latents and symbols with known answers."""

import numpy as np
import pytest

from ldebm_hf.scores import probe_latents, probe_symbols

RNG = np.random.default_rng(0)
CLASSES = RNG.choice(3, size=3000, p=[0.8, 0.15, 0.05])
MAJORITY_F1 = 2 * 0.8 / 1.8 / 3
"""Macro-F1 of always predicting the class that four fifths of the texts have."""


def halves(array):
    return array[:2000], array[2000:]


def probe(score, features):
    (training, held_out), (training_classes, classes) = halves(features), halves(CLASSES)
    return score(training, training_classes, held_out, classes)


def test_latents_from_which_a_line_separates_the_classes_are_perfect():
    """However small the latents are, and wherever they lie."""
    latents = 1e-4 * (np.eye(3)[CLASSES] + 0.02 * RNG.standard_normal((3000, 3))) + 5
    scores = probe(probe_latents, latents)
    assert scores.macro_f1 == 1
    assert scores.macro_f1_chance == pytest.approx(MAJORITY_F1, abs=0.01)


def test_a_line_cannot_separate_what_lies_around_a_circle():
    """The classes are rings; a probe that is not linear would read them."""
    angles, radii = RNG.uniform(0, 2 * np.pi, 3000), 1.0 + CLASSES
    scores = probe(probe_latents, np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1))
    assert scores.macro_f1 < 0.45


def test_what_is_independent_of_the_classes_scores_the_chance_level():
    """Within 0.01: for some of the 1,000 texts another class than the most frequent one may be predicted."""
    for scores in (
        probe(probe_latents, RNG.standard_normal((3000, 4))),
        probe(probe_symbols, RNG.integers(9, size=3000)),
    ):
        assert scores.macro_f1 == pytest.approx(scores.macro_f1_chance, abs=0.01)
        assert scores.macro_f1_chance == pytest.approx(MAJORITY_F1, abs=0.01)


def test_symbols_with_one_class_each_are_perfect_and_new_ones_say_nothing():
    symbols = 10 * CLASSES + RNG.integers(4, size=3000)
    assert probe(probe_symbols, symbols).macro_f1 == 1
    training = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1])
    assert probe_symbols(*training, np.array([0, 1, 7]), np.array([0, 1, 0])).macro_f1 >= 2 / 3
    assert probe_symbols(*training, np.array([7, 7]), np.array([0, 1])).macro_f1 == pytest.approx(1 / 3)


def test_classes_of_held_out_texts_alone_count_and_unknown_ones_do_not():
    training = np.arange(6), np.array([0, 0, 1, 1, 2, 2])
    scores = probe_symbols(*training, np.array([0, 2, 5]), np.array([0, 1, -1]))
    assert scores.macro_f1 == 1 and scores.macro_f1_chance == pytest.approx(1 / 3)
    # The third text is taken for the class 2, which no held-out text has: F1 of 0 is 1 and of 1 is 2/3.
    scores = probe_symbols(*training, np.array([0, 2, 5]), np.array([0, 1, 1]))
    assert scores.macro_f1 == pytest.approx(5 / 6)
    unknown = np.array([0, 0, 1, 1, -100, -100])
    assert probe_symbols(training[0], unknown, np.array([0, 2]), np.array([0, 1])).macro_f1 == 1


def test_latents_that_are_all_the_same_give_one_class():
    assert probe(probe_latents, np.ones((3000, 2))).macro_f1 <= MAJORITY_F1 + 0.01


def test_bad_classes():
    symbols = np.arange(4)
    with pytest.raises(ValueError, match="training_classes must be at least two different ones, got .1."):
        probe_symbols(symbols, np.array([1, 1, -1, 1]), symbols, symbols)
    with pytest.raises(ValueError, match="classes must be known for some texts, got none"):
        probe_symbols(symbols, symbols, symbols, np.full(4, -1))
    with pytest.raises(ValueError, match=r"training_classes must be one per text, 4, got shape \(3,\)"):
        probe_latents(np.zeros((4, 2)), symbols[:3], np.zeros((4, 2)), symbols)
