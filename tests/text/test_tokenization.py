import pytest
from transformers import AutoTokenizer

from ldebm_hf.data import load_corpus
from ldebm_hf.model.text_reading import decode_words
from ldebm_hf.text.tokenization import SPECIAL_TOKENS, build_tokenizer, count_words

TEXTS = ["the cat saw the dog", "the dog saw a cat", "the <unk> ran"]


def test_vocabulary_is_ordered_by_count_then_alphabet():
    tokenizer = build_tokenizer(TEXTS)
    expected = [*SPECIAL_TOKENS, "the", "cat", "dog", "saw", "a", "ran"]
    assert tokenizer.convert_ids_to_tokens(range(len(tokenizer))) == expected
    assert build_tokenizer(reversed(TEXTS)).get_vocab() == tokenizer.get_vocab()


def test_vocab_size_counts_the_special_tokens():
    tokenizer = build_tokenizer(TEXTS, vocab_size=6)
    assert len(tokenizer) == 6 and sorted(tokenizer.get_vocab().values()) == list(range(6))
    assert tokenizer("the cat ran").input_ids == [2, 4, 5, 1, 3]


def test_special_token_ids():
    tokenizer = build_tokenizer(TEXTS)
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 2, 3)
    assert tokenizer.convert_tokens_to_ids("<unk>") == 1
    assert tokenizer.model_input_names == ["input_ids", "attention_mask"] and tokenizer.model_max_length == 40


def test_unknown_words_share_the_token_of_the_corpus_and_stay_visible():
    tokenizer = build_tokenizer(TEXTS)
    ids = tokenizer("the zebra ran <unk>").input_ids
    assert ids == [2, 4, 1, 9, 1, 3]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "the <unk> ran <unk>"


def test_truncation_keeps_the_end_and_padding_is_on_the_right():
    tokenizer = build_tokenizer(TEXTS, max_length=5)
    batch = tokenizer(["the cat saw the dog", "the cat", ""], truncation=True, padding=True)
    assert batch["input_ids"] == [[2, 4, 5, 7, 3], [2, 4, 5, 3, 0], [2, 3, 0, 0, 0]]
    assert batch["attention_mask"] == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0], [1, 1, 0, 0, 0]]
    assert tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True) == ["the cat saw", "the cat", ""]


def test_lowercase_and_split_punctuation():
    texts = ["Don't stop, <unk>, NOW!!"]
    plain = build_tokenizer(texts)
    assert plain.tokenize(texts[0]) == ["Don't", "stop,", "<unk>,", "NOW!!"]
    tokenizer = build_tokenizer(texts, lowercase=True, split_punctuation=True)
    expected = ["don", "'", "t", "stop", ",", "<unk>", ",", "now", "!!"]
    assert tokenizer.tokenize(texts[0]) == tokenizer.tokenize(texts[0].upper()) == expected
    assert "NOW" not in tokenizer.get_vocab() and "stop" in tokenizer.get_vocab()


@pytest.mark.parametrize("split_punctuation", [False, True])
def test_reload_gives_identical_ids(tmp_path, split_punctuation):
    corpus = load_corpus("synthetic")
    tokenizer = build_tokenizer(corpus.train.texts, 200, lowercase=True, split_punctuation=split_punctuation)
    tokenizer.save_pretrained(tmp_path)
    reloaded = AutoTokenizer.from_pretrained(tmp_path)
    texts = [*corpus.validation.texts, "Never <unk> SEEN, before!", "x " * 60]
    batch, again = (t(texts, truncation=True, padding=True) for t in (tokenizer, reloaded))
    assert batch["input_ids"] == again["input_ids"] and batch["attention_mask"] == again["attention_mask"]
    decoded = [t.batch_decode(batch["input_ids"], skip_special_tokens=True) for t in (tokenizer, reloaded)]
    assert decoded[0] == decoded[1] and "<unk>" in decoded[1][-1]
    assert len(reloaded) == len(tokenizer) == 200 and reloaded.model_max_length == 40


@pytest.mark.parametrize(
    ("texts", "settings", "message"),
    [
        ([], {}, "texts hold no word"),
        (["", " <unk> "], {}, "texts hold no word"),
        ("a single string", {}, "texts must be a list of strings"),
        (TEXTS, {"vocab_size": 4}, "vocab_size must be at least 5 .* got 4"),
        (TEXTS, {"markers": {"<d>", "<usr>"}}, "markers must be a list of strings in an order, which a set does not"),
        (TEXTS, {"max_length": 2}, "max_length must be at least 3 .* got 2"),
    ],
)
def test_refuses(texts, settings, message):
    with pytest.raises(ValueError, match=message):
        build_tokenizer(texts, **settings)


def test_penn_treebank(data_dir):
    corpus = load_corpus("ptb", data_dir=data_dir / "ptb")
    tokenizer = build_tokenizer(corpus.train.texts, vocab_size=10_000)
    assert len(tokenizer) == 10_000 and max(tokenizer.get_vocab().values()) == 9_999
    ids = tokenizer(corpus.validation.texts).input_ids
    words = [word for text in corpus.validation.texts for word in text.split()]
    # 9,998 words and 4 special tokens: the two last of the rarest words are left out.
    assert words.count("<unk>") == 3_485 and words.count("swapo") + words.count("wachter") == 13
    assert sum(row.count(1) for row in ids) == 3_485 + 13
    assert decode_words(tokenizer, ids[:100]) == corpus.validation.texts[:100]


def test_counting_many_words_keeps_the_frequent_ones_exactly_and_memory_bounded():
    texts = [["the", f"rare{i}", "of"] for i in range(1000)]
    counts = count_words(texts, max_words=50)
    assert len(counts) <= 50
    assert counts["the"] == counts["of"] == 1000
    assert count_words(texts)["rare7"] == 1 and len(count_words(texts)) == 1002


def test_markers_are_words_of_their_own():
    texts = ["<usr> hello!", "hello <d>there"]
    tokenizer = build_tokenizer(texts, split_punctuation=True, lowercase=True, markers=["<d>", "<usr>", "<sys>"])
    assert tokenizer.convert_ids_to_tokens(range(7)) == ["<pad>", "<unk>", "<s>", "</s>", "<d>", "<usr>", "<sys>"]
    assert tokenizer.tokenize("<USR> Hello<sys>!?") == ["<usr>", "hello", "<sys>", "<unk>"]
    assert tokenizer.decode(tokenizer("<usr> hello")["input_ids"], skip_special_tokens=True) == "<usr> Hello"
    small = build_tokenizer(texts, vocab_size=6, markers=["<d>", "<usr>"])
    assert len(small) == 6
