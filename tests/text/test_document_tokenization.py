"""Which words a bag of words has, and that the saved tokenizer still knows."""

import pytest
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer
from transformers import AutoTokenizer

from ldebm_hf import build_document_tokenizer

TEXTS = [
    "The Oil prices; oil PRICES rise (AP)",
    "an oil-rich state: F16 jets, 300 jets and the naïve rise",
    "nothing of this",
]


def words(tokenizer) -> list[str]:
    return tokenizer.convert_ids_to_tokens(range(len(tokenizer)))


def test_words_are_those_of_the_published_vectorizer():
    """VAMPIRE counts with scikit-learn: 3 to 30 letters, no digits, its English stop words out."""
    vectorizer = CountVectorizer(stop_words="english", token_pattern=r"\b[^\d\W]{3,30}\b").fit(TEXTS)
    tokenizer = build_document_tokenizer(TEXTS)
    assert sorted(words(tokenizer)[4:]) == sorted(vectorizer.get_feature_names_out())
    counts = vectorizer.transform(TEXTS).toarray()
    for text, expected in zip(TEXTS, counts, strict=True):
        ids = [i for i in tokenizer(text)["input_ids"] if i >= 4]
        of_words = {tokenizer.convert_ids_to_tokens(i): ids.count(i) for i in ids}
        assert of_words == {w: n for w, n in zip(vectorizer.get_feature_names_out(), expected, strict=True) if n}


def test_frequent_words_first_and_no_more_than_asked_for():
    assert words(build_document_tokenizer(TEXTS, 7)) == ["<pad>", "<unk>", "<s>", "</s>", "oil", "jets", "prices"]


def test_a_text_of_unknown_words_is_marks_and_unknown_words():
    tokenizer = build_document_tokenizer(TEXTS, 5)
    assert tokenizer("the jets rise")["input_ids"] == [2, 1, 1, 1, 3]
    assert tokenizer("")["input_ids"] == [2, 3]


@pytest.mark.parametrize(
    ("stop_words", "expected"),
    [("none", {"the", "and", "this", "oil"}), (["OIL"], {"the", "and", "this"}), ("english", {"oil"})],
)
def test_stop_words(stop_words, expected):
    known = set(words(build_document_tokenizer(TEXTS, stop_words=stop_words)))
    assert known & {"the", "and", "this", "oil"} == expected


@pytest.mark.parametrize("kind", [set, frozenset])
def test_stop_words_may_be_a_set_such_as_that_of_scikit_learn(kind, tmp_path):
    """A set has no order of its own, and none that is the same in two processes: the saved list is sorted."""
    tokenizer = build_document_tokenizer(TEXTS, stop_words=kind(ENGLISH_STOP_WORDS))
    assert tokenizer.get_vocab() == build_document_tokenizer(TEXTS).get_vocab()
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.init_kwargs["builder"]["stop_words"] == sorted(ENGLISH_STOP_WORDS)
    assert loaded.train_new_from_iterator(TEXTS, 100).get_vocab() == tokenizer.get_vocab()


def test_saved_tokenizer_reads_the_same(tmp_path):
    tokenizer = build_document_tokenizer(TEXTS, max_length=6)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "Oil PRICES: the state of naïve jets"
    assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert len(loaded(text, truncation=True)["input_ids"]) == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"texts": "one text"}, "texts must be a list"),
        ({"texts": ["the 42 of it"]}, "texts hold no word of 3 to 30 letters that is no stop word"),
        ({"vocab_size": 4}, "vocab_size must be at least 5, got 4"),
        ({"min_letters": 5, "max_letters": 4}, "max_letters must be at least 5, got 4"),
        ({"stop_words": "german"}, "stop_words must be 'english', 'none' or a list of words, got 'german'"),
        ({"stop_words": {"a", 3}}, r"stop_words\[\d\] must be a string, got 3"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_document_tokenizer(**{"texts": TEXTS, **arguments})
