"""The n-gram model worked out by hand and against its properties; infilling against all fillings."""

import itertools
import math

import numpy as np
import pytest
import torch

from ldebm_hf.baselines.ngrams import NgramModel

BEGIN, END, A, B, C = 0, 1, 2, 3, 4
MASK = 5
TEXTS = [[BEGIN, A, B, END], [BEGIN, A, C, END], [BEGIN, B, A, B, END], [BEGIN, C, END]]
WORDS = torch.tensor([False, False, True, True, True])


def log_probability(model, text):
    return sum(math.log(model.probabilities(text[:end])[text[end]]) for end in range(1, len(text)))


def test_bigrams_by_hand():
    """After A: B twice, C once. Of 8 kinds of bigrams, END follows B and C, B follows A and the beginning, …"""
    model = NgramModel(TEXTS, 5, order=2, discount=0.5)
    kinds = {END: 2, A: 2, B: 2, C: 2}  # {B,C} END, {^,B} A, {A,^} B, {A,^} C
    unigrams = {word: (number - 0.5) / 8 + (0.5 * 4 / 8) / 5 for word, number in kinds.items()}
    unigrams[BEGIN] = (0.5 * 4 / 8) / 5
    rest = 0.5 * 2 / 3
    expected = {word: rest * share for word, share in unigrams.items()}
    expected[B] += (2 - 0.5) / 3
    expected[C] += (1 - 0.5) / 3
    found = model.probabilities([BEGIN, A])
    for word, share in expected.items():
        assert found[word] == pytest.approx(share, rel=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_probabilities_add_up_after_any_words(order):
    model = NgramModel(TEXTS, 5, order=order)
    for context in itertools.product(range(5), repeat=3):
        found = model.probabilities(context)
        assert found.sum() == pytest.approx(1, abs=1e-12) and (found > 0).all()


def test_unseen_context_backs_off_to_the_shorter_one():
    model = NgramModel(TEXTS, 5, order=3)
    assert np.array_equal(model.probabilities([C, C, A]), NgramModel.probabilities(model, [BEGIN, C, A]))
    assert not np.array_equal(model.probabilities([BEGIN, A]), model.probabilities([B, A]))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_infilling_finds_the_likeliest_of_all_fillings(order):
    model = NgramModel(TEXTS, 5, order=order)
    masked = [[BEGIN, MASK, B, MASK, END], [BEGIN, C, MASK, MASK, MASK, END], [MASK]]
    filled = model.infill(masked, MASK, may_fill=WORDS, begin_token_id=BEGIN, end_token_id=END, num_beams=27)
    for tokens, found in zip(masked, filled, strict=True):
        inner = [token for token in tokens if token not in (BEGIN, END)]
        choices = itertools.product(*[(A, B, C) if token == MASK else (token,) for token in inner])
        best = max(choices, key=lambda words: log_probability(model, [BEGIN, *words, END]))
        assert log_probability(model, [BEGIN, *found, END]) == pytest.approx(
            log_probability(model, [BEGIN, *best, END]), abs=1e-6
        )
        assert len(found) == len(inner)


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ([], {}, "texts must contain a text of at least two tokens, got none"),
        ([[BEGIN]], {}, "texts must contain a text of at least two tokens"),
        (TEXTS, {"order": 0}, "order must be at least 1, got 0"),
        (TEXTS, {"discount": 1.0}, r"discount must be between 0 and 1 \(both excluded\), got 1.0"),
    ],
)
def test_bad_arguments(texts, options, message):
    with pytest.raises(ValueError, match=message):
        NgramModel(texts, 5, **options)


def test_words_are_drawn_with_their_probabilities():
    """20,000 draws after each of several contexts: within 4.5 standard errors of every probability."""
    model, rng, number = NgramModel(TEXTS, 5, order=3), np.random.default_rng(0), 20_000
    for context in ([BEGIN, A], [A], [C, C, A], [BEGIN], [C, B]):
        expected = model.probabilities(context)
        drawn = np.bincount([model.draw_word(context, rng) for _ in range(number)], minlength=5) / number
        assert (abs(drawn - expected) < 4.5 * np.sqrt(expected * (1 - expected) / number)).all(), context
