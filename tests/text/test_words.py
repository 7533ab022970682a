"""Words of any script, and bags of words that tell classes apart in each."""

import unicodedata

import numpy as np
import pytest
from code_words import SCRIPTS, code_corpus
from sklearn.naive_bayes import MultinomialNB
from transformers import AutoTokenizer

from ldebm_hf import build_document_tokenizer
from ldebm_hf.text.document_tokenization import count_content_words
from ldebm_hf.text.word_counts import count_rows
from ldebm_hf.text.words import split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("the food, don't!", ["the", "food", "don", "t"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("क्\u200dष", ["क्\u200dष"]),
        ("தமிழ் மொழி", ["தமிழ்", "மொழி"]),
        ("北京大学 3 我", ["北京", "京大", "大学", "3", "我"]),
        ("ไม่ดี", ["ไม่", "ม่ดี"]),
        ("カタカナのひと", ["カタカナ", "のひ", "ひと"]),
        ("한국 snake_case", ["한국", "snake_case"]),
    ],
)
def test_words(text, words):
    assert split_words(text) == words


def test_decomposed_words_stay_whole():
    assert split_words(unicodedata.normalize("NFD", "tiếng việt")) == ["tiếng", "việt"]


def test_another_way_to_split_text_without_spaces():
    assert split_words("go 北京大学", list) == ["go", "北", "京", "大", "学"]


def document_accuracy(script: str) -> float:
    """Of naive Bayes on the tokens of half of a corpus of three classes, on the other half."""
    rows = code_corpus(script)
    texts, labels = [text for text, _ in rows], np.array([label for _, label in rows])
    tokenizer = build_document_tokenizer(texts[:150])
    counts = count_rows(tokenizer(texts, add_special_tokens=False)["input_ids"], len(tokenizer))
    return MultinomialNB(alpha=0.1).fit(counts[:150], labels[:150]).score(counts[150:], labels[150:])


@pytest.mark.parametrize("script", [script for script in SCRIPTS if script != "latin"])
def test_documents_are_told_apart_in_every_script_as_in_latin(script):
    assert document_accuracy("latin") > 0.9
    assert document_accuracy(script) > document_accuracy("latin") - 0.05


def test_documents_without_spaces_are_saved_and_loaded(tmp_path):
    texts = ["北京大学 hello world banana", "北京 an hello 大学", "大学北京"]
    build_document_tokenizer(texts).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.tokenize("hello bananas 北京大学 上海") == ["hello", "<unk>", "北京", "大学", "<unk>"]
    vocabulary = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    assert vocabulary[:4] == ["<pad>", "<unk>", "<s>", "</s>"] and len(set(vocabulary)) == len(vocabulary)
    small = build_document_tokenizer(texts, 7)
    assert len(small) == 7, "pieces are more frequent than what is made of them, so any number of them serves"


def test_counted_words_of_any_script():
    assert count_content_words(["the oil", "कल की खबर", "北京大学", "no", "한국", ""]) == [1, 3, 3, 0, 1, 0]
