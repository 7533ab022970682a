"""Scores of words against their formulas worked out by hand, and the names made of them."""

import math

import numpy as np
import pytest

from ldebm_hf.data import load_corpus
from ldebm_hf.model.distinctive_words import class_tfidf, informative_words, log_odds, short_names, top_words

COUNTS = np.array([[3, 1, 0], [1, 1, 4]])
USED = (True, True)


def test_log_odds_is_the_formula():
    # Prior of 5 words over totals 4, 2, 4 of 10: α = 2, 1, 2. Word 0: 3 + 2 of 4 + 5 in symbol 0, 1 + 2 of 6 + 5 in 1.
    expected = (math.log(5 / 4) - math.log(3 / 8)) / math.sqrt(1 / 5 + 1 / 3)
    scores = log_odds(COUNTS)  # 10 words of 2 symbols: 5 is the default strength
    assert scores[0, 0] == pytest.approx(expected) == -scores[1, 0]
    assert np.allclose(scores, log_odds(COUNTS, prior_strength=5.0))
    # Word 2, never in symbol 0: 0 + 2 of 9 there, 4 + 2 of 11 in the other.
    assert scores[0, 2] == pytest.approx((math.log(2 / 7) - math.log(6 / 5)) / math.sqrt(1 / 2 + 1 / 6))


def test_log_odds_with_a_strong_prior_vanish_and_with_equal_shares_are_zero():
    assert np.abs(log_odds(COUNTS, prior_strength=1e9)).max() < 1e-3
    assert np.allclose(log_odds(np.array([[2, 4, 6], [1, 2, 3]])), 0)


def test_a_single_symbol_has_nothing_to_differ_from():
    assert not log_odds(np.array([[2, 4, 7], [0, 0, 0]])).any()


def test_log_odds_of_random_symbols_are_standard_normal():
    rng = np.random.default_rng(0)
    counts = rng.multinomial(20_000, np.full(400, 1 / 400), size=5)
    scores = log_odds(counts, prior_strength=1.0)
    # 2,000 scores, of which those of a word are dependent: 4 standard errors of 400 independent ones.
    assert abs(scores.std() - 1) < 4 / math.sqrt(2 * 400)


@pytest.mark.parametrize("score", [log_odds, class_tfidf])
def test_symbols_and_words_without_counts_score_zero_and_change_nothing(score):
    padded = np.zeros((4, 5))
    padded[np.ix_([1, 3], [0, 2, 3])] = COUNTS
    scores = score(padded)
    assert np.allclose(scores[np.ix_([1, 3], [0, 2, 3])], score(COUNTS))
    assert not scores[[0, 2]].any() and not scores[:, [1, 4]].any()
    assert not score(np.zeros((2, 3))).any() and not score(np.zeros((1, 1))).any()


def test_one_word_alone_sets_nothing_apart():
    assert not log_odds(np.array([[3], [1]])).any()


def test_class_tfidf_is_the_formula():
    # 10 words of 2 symbols: A = 5. Word 0 is 3 of symbol 0's 4 words and 4 of all; word 2 is 4 of 6, and 4 of all.
    scores = class_tfidf(COUNTS)
    assert scores[0, 0] == pytest.approx(3 / 4 * math.log(1 + 5 / 4))
    assert scores[1, 2] == pytest.approx(4 / 6 * math.log(1 + 5 / 4)) and scores[0, 2] == 0


@pytest.mark.parametrize("counts", [[[1, -1]], [1, 2]])
def test_counts_are_checked(counts):
    for score in (log_odds, class_tfidf):
        with pytest.raises(ValueError, match=r"counts must be \(num_symbols, num_words\) and at least 0"):
            score(np.array(counts))


def test_prior_strength_is_checked():
    with pytest.raises(ValueError, match="prior_strength must be positive, got 0"):
        log_odds(COUNTS, prior_strength=0)


def test_top_words_are_positive_own_and_in_order():
    scores = np.array([[1.0, 3.0, 3.0, -1.0, 5.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    counts = np.array([[9, 1, 2, 9, 0], [1, 1, 1, 1, 1]])
    first, second = top_words(scores, counts, 10)
    assert first.tolist() == [2, 1, 0] and second.tolist() == []
    assert top_words(scores, counts, 2)[0].tolist() == [2, 1]


def test_informative_words_leave_stop_words_out_if_something_remains():
    assert informative_words(["the", "Refund", "?", "refund", "39", "b", "Back"]) == ["Refund", "Back"]
    assert informative_words(["of", "?", "of"]) == ["of", "?"]
    assert informative_words(["茶", "is"]) == ["茶"] and informative_words(["<usr>", "what", "address"]) == ["address"]


def test_names_are_the_first_words():
    names = short_names([["the", "refund", "money", "back", "want"], ["?", "do"]], USED)
    assert names == ["refund, money, back", "?, do"]


def test_names_grow_until_they_differ():
    words = [["a1", "b1", "c1", "d1"], ["a1", "b1", "c1", "e1"], ["a1", "b1", "c1"]]
    assert short_names(words, [True] * 3) == ["a1, b1, c1, d1", "a1, b1, c1, e1", "a1, b1, c1"]
    assert short_names([["x1"], ["x1"]], USED) == ["x1 (0)", "x1 (1)"]


def test_names_of_symbols_without_texts_or_words_say_so_and_no_name_is_a_number():
    names = short_names([[], [], ["7"], []], [False, True, True, False])
    assert names == ["no texts (0)", "no words of its own (1)", "7 (2)", "no texts (3)"]


def test_words_of_real_sentiments(data_dir):
    split = load_corpus("yelp", data_dir=data_dir / "yelp").validation
    vocabulary = sorted({word for text in split.texts for word in text.split()})
    ids = {word: i for i, word in enumerate(vocabulary)}
    counts = np.zeros((2, len(vocabulary)))
    for text, label in zip(split.texts, split.labels, strict=True):
        for word in text.split():
            counts[label, ids[word]] += 1
    words = {}
    for score in (log_odds, class_tfidf):
        columns = top_words(score(counts), counts, 50)
        words[score] = negative, positive = [[vocabulary[i] for i in own] for own in columns]
        assert {"not", "no"} <= set(negative) and {"great", "delicious", "friendly"} <= set(positive)
    negative, positive = words[log_odds]
    assert not set(negative) & set(positive)
    names = short_names([negative, positive], USED)
    assert "great" in names[1] and "great" not in names[0]
