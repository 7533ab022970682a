"""The share of texts that a judge with known answers finds acceptable."""

import numpy as np
import pytest

from ldebm_hf.scores.acceptability import acceptability, acceptability_chance


class LengthJudge:
    """Finds texts of an even number of words acceptable, an empty one too."""

    label_names = ["Acceptable", "other"]

    def predict(self, texts, batch_size=256):
        return np.array([len(text.split()) % 2 for text in texts])

    def label_ids(self, names):
        assert names == ["acceptable"]
        return np.array([0])


def test_share_and_its_standard_error():
    scores = acceptability(LengthJudge(), ["so good", "very", "a b c d", "a b c", "no"])
    assert scores == {"acceptability": 0.4, "acceptability_std_error": pytest.approx((0.4 * 0.6 / 5) ** 0.5)}


def test_texts_without_words_are_not_acceptable():
    assert acceptability(LengthJudge(), ["", "  ", "so good"])["acceptability"] == pytest.approx(1 / 3)


def test_chance_is_the_share_of_corrupted_texts():
    assert acceptability_chance(LengthJudge(), ["a b", "a", "b", "c"]) == {"acceptability_chance": 0.25}
    assert acceptability_chance(LengthJudge(), []) == acceptability_chance(None, ["a"]) == {}


def test_no_texts_are_refused():
    with pytest.raises(ValueError, match="texts must contain at least one text, got none"):
        acceptability(LengthJudge(), [])
