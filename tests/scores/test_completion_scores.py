"""Recovery of masked words, worked out by hand, and the choice of words to mask."""

import pytest

from ldebm_hf.scores import mask_positions, recovery_scores

pytest.importorskip("sacrebleu")


def test_scores_by_hand():
    """Two texts with 2 + 1 masked words, of which 1 + 1 are recovered.

    N-grams with a masked place, found / all: 1-grams a . | e -> 2/3; 2-grams "a b", "x c" and "b x" -> "a b" of 3 in
    the first, "d e", "e f" of 2 in the second: 3/5; 3-grams "a b x", "b x c" and "d e f": 1/3; 4-grams none of 1.
    """
    originals = [["a", "b", "y", "c"], ["d", "e", "f"]]
    completions = [["a", "b", "x", "c"], ["d", "e", "f"]]
    scores = recovery_scores(completions, originals, [[0, 2], [1]])
    assert scores.word_accuracy == pytest.approx(2 / 3)
    assert scores.text_accuracy == 0.5 and scores.num_words == 3 and scores.num_texts == 2
    assert scores.word_accuracy_std_error == pytest.approx(((1 - 4 / 3) ** 2 + (1 - 2 / 3) ** 2) ** 0.5 / 3)
    assert scores.bleu == 0  # no 4-gram


def test_bleu_counts_ngrams_with_a_masked_word_only():
    """One text of 5 words, of which the last is masked and wrong: all counted n-grams are wrong."""
    original = list("abcde")
    assert recovery_scores([list("abcdx")], [original], [[4]]).bleu == 0
    # The middle of three texts is right: 1-grams 1/2, 2-grams 2/3, 3-grams 3/4, 4-grams 2/3.
    completions, originals = [list("abcde"), list("abcdx")], [original, original]
    scores = recovery_scores(completions, originals, [[2], [4]])
    assert scores.bleu == pytest.approx(100 * (1 / 2 * 2 / 3 * 3 / 4 * 2 / 3) ** 0.25)


def test_perfect_and_short_texts():
    """A text of two words has no 3-grams, which then do not count."""
    scores = recovery_scores([["a", "b"], ["c"]], [["a", "b"], ["c"]], [[1], []])
    assert scores.bleu == pytest.approx(100) and scores.word_accuracy == scores.text_accuracy == 1
    assert scores.num_texts == 1 and scores.word_accuracy_std_error == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([["a"]], [["a"], ["b"]], [[0]]), "must have the same length, got 1, 2 and 1"),
        (([["a", "b"]], [["a"]], [[0]]), "must keep all observed words, text 0 does not: "),
        (([["a", "b"]], [["x", "b"]], [[1]]), r"must keep all observed words, text 0 does not: \['a', 'b'\]"),
        (([["a"]], [["a"]], [[]]), "positions must contain at least one masked word, got none"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        recovery_scores(*arguments)


def test_masks():
    allowed = [[True] * 20, [True, False] * 10, [False] * 5, [True], [False, True, False, False]]
    positions = mask_positions(allowed, 0.3, seed=3)
    assert [len(places) for places in positions] == [6, 6, 0, 1, 1]
    for flags, places in zip(allowed, positions, strict=True):
        assert places == sorted(set(places)) and all(flags[place] for place in places)
    assert positions == mask_positions(allowed, 0.3, seed=3) != mask_positions(allowed, 0.3, seed=4)
    assert mask_positions([[True, False, True]], 1.0) == [[0, 2]]


def test_masked_words_are_spread_evenly():
    """Each of 10 words is masked in 30 % of 2,000 texts, within 4 standard errors."""
    counts = [0] * 10
    for places in mask_positions([[True] * 10] * 2000, 0.3):
        for place in places:
            counts[place] += 1
    assert all(abs(count - 600) < 4 * (2000 * 0.3 * 0.7) ** 0.5 for count in counts)


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01])
def test_fractions(fraction):
    with pytest.raises(ValueError, match=f"fraction must be above 0 and at most 1, got {fraction}"):
        mask_positions([[True]], fraction)
