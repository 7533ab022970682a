"""Subwords: every text of every script comes back, nothing is unknown, and the saved file does the same."""

import unicodedata

import pytest
from code_words import SCRIPTS, code_corpus
from transformers import AutoTokenizer

from ldebm_hf import build_subword_tokenizer, build_tokenizer
from ldebm_hf.model.text_reading import decode_words, is_word_level, word_groups, words_of

TEXTS = [
    "The food was great!", "I don't like the food.", "हिन्दी में ख़बर क्\u200dष", "我们喜欢北京大学", "ภาษาไทยง่ายมาก",
    "日本語のテキストです", "தமிழ் மொழி", unicodedata.normalize("NFD", "Tiếng Việt rất hay"), "한국어 문장",
]  # fmt: skip
UNSEEN = ["Ünbekannt 😀 ¿qué?", "  two  spaces\n\tand a line ", "上海 ქართული", "<unk> 10,000 e\u0301", "", "x" * 300]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("subwords")
    build_subword_tokenizer(TEXTS * 3, 800, max_length=12, markers=["<usr>", "<sys>"]).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("text", [*TEXTS, *UNSEEN])
def test_every_text_comes_back_and_has_no_unknown_token(tokenizer, text):
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == unicodedata.normalize("NFC", text)
    assert ids[0] == 2 and ids[-1] == 3 and 1 not in ids


def test_tokens(tokenizer):
    assert tokenizer.tokenize("The food was great!") == ["▁The", "▁food", "▁was", "▁great", "!"]
    assert tokenizer.tokenize("great food") == ["▁great", "▁food"], "a word is the same at the start of a text"
    assert tokenizer.tokenize("हिन्दी") == ["▁हिन्दी"], "no vowel sign is torn off"
    assert max(map(len, tokenizer.tokenize("我们喜欢北京大学"))) <= 2
    assert sorted(tokenizer.get_vocab().values()) == list(range(len(tokenizer)))
    assert tokenizer.convert_ids_to_tokens(range(5)) == ["<pad>", "<unk>", "<s>", "</s>", "<0x00>"]
    assert build_subword_tokenizer(TEXTS * 3, 800).get_vocab() == build_subword_tokenizer(TEXTS * 3, 800).get_vocab()


def test_same_texts_give_the_same_tokenizer_where_rare_characters_are_left_out():
    rare = [chr(0x4E00 + number) for number in range(200)]
    texts = [f"the food {first}{second}" for first, second in zip(rare, reversed(rare), strict=True)] * 2
    vocabularies = [build_subword_tokenizer(iter(texts), 300).get_vocab() for _ in range(4)]
    assert all(vocabulary == vocabularies[0] for vocabulary in vocabularies)
    kept = sorted(token for token in vocabularies[0] if token in rare)
    assert 0 < len(kept) < 40 and kept == rare[: len(kept)], "of characters of the same count the first ones"
    assert {*"thefod", "▁"} <= vocabularies[0].keys(), "the most frequent characters"


def test_lengths_padding_and_markers(tokenizer):
    batch = tokenizer(["food " * 30, "food"], truncation=True, padding=True)
    assert [len(ids) for ids in batch["input_ids"]] == [12, 12] and batch["input_ids"][0][-1] == 3
    ids = tokenizer("<usr> great food")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids[1:3]) == ["<usr>", "▁great"]
    assert decode_words(tokenizer, [ids]) == ["<usr> great food"]
    assert tokenizer.convert_tokens_to_ids("<usr>") == 260


def test_lowercase():
    tokenizer = build_subword_tokenizer(TEXTS, lowercase=True)
    assert tokenizer.decode(tokenizer("THE Food")["input_ids"], skip_special_tokens=True) == "the food"


def test_words_of_subwords(tokenizer):
    assert words_of(tokenizer, "The foodie, I don't!") == ["The", "foodie", ",", "I", "don't", "!"]
    assert words_of(tokenizer, "北京 大学ab") == [*tokenizer.tokenize("北京"), *tokenizer.tokenize("大学"), "ab"]
    assert words_of(tokenizer, "上海") == ["上", "海"], "characters, not bytes"
    ids = tokenizer("The foodie, é!", add_special_tokens=False)["input_ids"]
    words = [tokenizer.decode([ids[place] for place in group]).strip() for group in word_groups(tokenizer, ids)]
    assert words == ["The", "foodie", ",", "é", "!"]
    assert not is_word_level(tokenizer) and is_word_level(build_tokenizer(["a b"]))


@pytest.mark.parametrize("script", SCRIPTS)
def test_code_words_are_few_tokens_in_every_script(script):
    texts = [text for text, _ in code_corpus(script)]
    tokenizer = build_subword_tokenizer(texts, 2000)
    lengths = [len(ids) - 2 for ids in tokenizer(texts)["input_ids"]]
    assert 5 < sum(lengths) / len(lengths) < 13, "six words"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"texts": "one text"}, "texts must be a list of strings"),
        ({"texts": [""]}, "texts hold no character"),
        ({"vocab_size": 260}, "vocab_size must be at least 261 .* got 260"),
        ({"max_length": 2}, "max_length must be at least 3 .* got 2"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_subword_tokenizer(**{"texts": TEXTS, **arguments})
