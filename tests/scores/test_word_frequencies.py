"""Divergence of word frequencies, worked out by hand."""

import math

import pytest

from ldebm_hf.scores import word_divergence


def test_by_hand():
    """q: a 1/2, b 1/4, new 1/4. p: a 1/5, b 3/5, c 1/5."""
    found = word_divergence(["a b", "new  a"], ["a b b", "b c"])
    assert found.word_kl == pytest.approx(0.5 * math.log(2.5) + 0.25 * math.log(0.25 / 0.6))
    smoothed = [(3, 2), (2, 4), (2, 1), (1, 2)]  # a, b, new, c of 8 and of 9
    assert found.word_kl_smoothed == pytest.approx(sum(q / 8 * math.log((q / 8) / (p / 9)) for q, p in smoothed))
    assert found.new_word_share == 0.25


def test_the_same_words_in_another_order_do_not_diverge():
    found = word_divergence(["a b c a"], iter(["c a", "a b"]))
    assert vars(found) == pytest.approx({"word_kl": 0, "word_kl_smoothed": 0, "new_word_share": 0})


def test_new_words_cost_nothing_as_published_and_something_smoothed():
    found = word_divergence(["new new new a"], ["a"] * 3 + ["b"])
    assert found.word_kl == pytest.approx(0.25 * math.log(0.25 / 0.75)) and found.word_kl < 0
    assert found.word_kl_smoothed > 0


@pytest.mark.parametrize(("texts", "training_texts", "name"), [([""], ["a"], "texts"), (["a"], [], "training_texts")])
def test_texts_without_words_are_refused(texts, training_texts, name):
    with pytest.raises(ValueError, match=f"^{name} must contain at least one word"):
        word_divergence(texts, training_texts)
    with pytest.raises(ValueError, match="texts must be a list of strings, got 'a b'"):
        word_divergence("a b", ["a"])


def test_real_held_out_sentences_have_the_published_order_of_magnitude(data_dir):
    """0.14 is published for the test split, which is not here."""
    texts = [(data_dir / "ptb" / f"ptb.{split}.txt").read_text("utf-8").splitlines() for split in ("valid", "train")]
    assert 0.1 < word_divergence(*texts).word_kl < 0.2
