"""Every kind of error makes what it says; corrupted texts are never real ones, and a seed gives the same ones."""

from collections import Counter

import numpy as np
import pytest

from ldebm_hf.baselines.corrupted_texts import TextCorruption

TEXTS = [
    "the food was really good and we loved it .",
    "the waiters were slow , but they served us a table !",
    "i walk to the old bistro because it is cheap .",
    "she walks in the park , and walked home with her dog .",
    "never again !",
    "walking is good for you .",
    "good",
]
WORDS = TEXTS[0].split()


@pytest.fixture(scope="module")
def corruption() -> TextCorruption:
    return TextCorruption(TEXTS)


def many(corruption, kind: str, words=WORDS, number=50) -> list[list[str]]:
    rng, edit = np.random.default_rng(0), getattr(corruption, kind)
    return [edit(list(words), rng) for _ in range(number)]


def without(words: list[str], place: int) -> list[str]:
    return words[:place] + words[place + 1 :]


def differing(one: list[str], other: list[str]) -> list[int]:
    """The places at which two texts of the same length differ."""
    assert len(one) == len(other)
    return [place for place in range(len(one)) if one[place] != other[place]]


def test_drop_leaves_out_any_one_word(corruption):
    expected = [without(WORDS, place) for place in range(len(WORDS))]
    found = many(corruption, "drop", number=200)
    assert all(words in expected for words in found) and all(words in found for words in expected)
    assert corruption.drop(["good"], np.random.default_rng(0)) is None


def test_double_repeats_any_one_word(corruption):
    expected = [[*WORDS[:place], WORDS[place], *WORDS[place:]] for place in range(len(WORDS))]
    found = many(corruption, "double", number=200)
    assert all(words in expected for words in found) and all(words in found for words in expected)


def test_swap_exchanges_neighbours_that_differ(corruption):
    for words in many(corruption, "swap"):
        first, second = differing(words, WORDS)
        assert second == first + 1 and (words[first], words[second]) == (WORDS[second], WORDS[first])
    assert corruption.swap(["no", "no", "no"], np.random.default_rng(0)) is None
    assert corruption.swap(["no", "no", "!"], np.random.default_rng(0)) == ["no", "!", "no"]


def test_replace_takes_a_word_of_like_frequency():
    texts = [" ".join([f"word{number}"] * (400 - number)) for number in range(400)]  # word n has rank n
    corruption = TextCorruption(texts)
    for word, reach in (("word0", 10), ("word20", 10), ("word200", 50), ("word399", 99)):
        ranks = [int(replaced.removeprefix("word")) for (replaced,) in many(corruption, "replace", [word], 300)]
        rank = int(word.removeprefix("word"))
        assert all(0 < abs(other - rank) <= reach for other in ranks)
        assert max(abs(other - rank) for other in ranks) > 0.8 * reach
    assert corruption.replace(["unknown"], np.random.default_rng(0)) is None


def test_insert_adds_words_by_their_frequency():
    corruption = TextCorruption(["a a a b", "a a"])
    found = many(corruption, "insert", ["x", "y"], 2000)
    assert all([word for word in words if word in "xy"] == ["x", "y"] and words[-1] == "y" for words in found)
    share = np.mean(["a" in words for words in found])
    assert abs(share - 5 / 6) < 4 * (5 / 36 / 2000) ** 0.5  # four standard errors


def test_function_words_are_confused_within_their_group(corruption):
    found = many(corruption, "confuse", number=200)
    changed = {(WORDS[place], words[place]) for words in found for place in differing(words, WORDS)}
    assert all(len(differing(words, WORDS)) == 1 for words in found)
    # "an", "these", "been" and others are not in the texts.
    assert changed == {("the", "a"), ("was", "is"), ("was", "were"), ("we", "us")}
    assert corruption.confuse(["food", "!"], np.random.default_rng(0)) is None


def test_other_forms_of_a_word_are_those_in_the_texts(corruption):
    assert corruption.forms("walk") == ["walked", "walking", "walks"]
    assert corruption.forms("walked") == ["walk", "walking", "walks"]
    assert corruption.forms("walking") == ["walk", "walked", "walks"]
    assert corruption.forms("food") == corruption.forms("is") == []
    found = many(corruption, "inflect", ["i", "walk", "home"], 100)
    assert {tuple(words) for words in found} == {("i", form, "home") for form in corruption.forms("walk")}
    assert corruption.inflect(["the", "food"], np.random.default_rng(0)) is None


def test_cut_keeps_at_least_half_and_the_mark(corruption):
    found = many(corruption, "cut", number=200)  # nine words and a mark
    assert {len(words) for words in found} == {6, 7, 8, 9}
    assert all(words == [*WORDS[: len(words) - 1], "."] for words in found)
    assert corruption.cut(["so", "good"], np.random.default_rng(0)) == ["so"]
    assert corruption.cut(["good", "."], np.random.default_rng(0)) is None


def test_join_has_a_half_of_each_of_two_texts(corruption):
    halves = [text.split()[len(text.split()) // 2 :] for text in TEXTS if " " in text]
    found = [words for words in many(corruption, "join", number=200) if words]
    assert all(words[:5] == WORDS[:5] and words[5:] in halves for words in found)
    assert all(WORDS[:5] + half in found for half in halves)


def test_redrawn_words_follow_the_word_before_them(corruption):
    for words in many(corruption, "redraw"):
        same = next((place for place in range(min(len(words), 10)) if words[place] != WORDS[place]), len(words))
        rest = len(WORDS) - same - 3  # at most three words are redrawn
        assert rest <= 0 or words[len(words) - rest :] == WORDS[-rest:]


@pytest.mark.parametrize(("kind", "num_before"), [("bigrams", 1), ("trigrams", 2)])
def test_drawn_texts_follow_the_ngram_model(corruption, kind, num_before):
    """Shares of the word after "the" at the beginning: within 4.5 standard errors of the model's probabilities."""
    the = corruption.rank["the"]
    found = [words for words in many(corruption, kind, number=10_000) if words[:1] == ["the"]]
    assert all(len(words) <= 2 * len(WORDS) for words in found)
    ends = [corruption.rank[words[1]] if len(words) > 1 else corruption.end for words in found]
    expected = corruption.ngrams.probabilities([corruption.begin, the][-num_before:])
    expected[corruption.begin] = 0  # a begin token is drawn again
    drawn = np.bincount(ends, minlength=len(expected)) / len(found)
    assert (abs(drawn - expected) < 4.5 * np.sqrt(expected / len(found)) + 0.01).all()
    assert not np.allclose(expected, corruption.ngrams.probabilities([corruption.begin, the][num_before - 3 :]))


def test_corrupted_texts_are_not_real_and_the_same_for_a_seed(corruption):
    texts = TEXTS * 30
    corrupted = corruption(texts, seed=1)
    assert len(corrupted) == len(texts)
    assert not set(corrupted) & set(TEXTS)
    assert corrupted == TextCorruption(TEXTS)(texts, seed=1)
    assert corrupted != corruption(texts, seed=2)


def test_half_of_the_texts_have_errors_of_words_and_half_another_error(monkeypatch):
    """Errors that only mark where they were made: 2,000 texts, shares within four standard errors."""
    corruption = TextCorruption(TEXTS)
    for errors in (corruption.word_errors, corruption.text_errors):
        for name in errors:
            monkeypatch.setitem(errors, name, lambda words, rng, name=name: [*words, f"+{name}"])
    marks = [[word[1:] for word in text.split() if word[0] == "+"] for text in corruption([TEXTS[0]] * 2000)]
    assert {mark for of_text in marks for mark in of_text} == corruption.word_errors.keys() | corruption.text_errors
    of_text_as_a_whole = [of_text for of_text in marks if of_text[0] in corruption.text_errors]
    assert {len(of_text) for of_text in of_text_as_a_whole} == {1}
    assert abs(len(of_text_as_a_whole) - 1000) < 4 * (2000 / 4) ** 0.5
    numbers = Counter(len(of_text) for of_text in marks if of_text[0] in corruption.word_errors)
    assert numbers.keys() == {1, 2, 3} and min(numbers.values()) > 333 - 4 * (2000 * 5 / 36) ** 0.5


@pytest.mark.parametrize(
    ("texts", "message"),
    [(["good", " "], "texts must include at least 2 with words, got 1"), ([], "at least 2 with words, got 0")],
)
def test_too_few_texts_are_refused(texts, message):
    with pytest.raises(ValueError, match=message):
        TextCorruption(texts)


def test_texts_that_cannot_be_corrupted_are_named(corruption):
    with pytest.raises(ValueError, match="texts must have at least one word each, got ' '"):
        corruption(["good", " "])
    no_room = TextCorruption(["a " * number for number in range(1, 40)])
    with pytest.raises(ValueError, match="every error that was tried makes a real text of 'a a'"):
        no_room(["a a"])
