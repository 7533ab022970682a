"""Strings with masks: what is a mask, what is observed, and completions as strings."""

import pytest

from ldebm_hf import build_tokenizer
from ldebm_hf.model.masked_texts import read_masked_texts

TOKENIZER = build_tokenizer(["the old door is open", "the door is locked"])
SIZE, UNKNOWN = len(TOKENIZER), 1
WORD, SPAN = SIZE, SIZE + 1


def ids(words):
    return TOKENIZER.convert_tokens_to_ids(words.split())


@pytest.mark.parametrize("mask", ["<mask>", "<unk>", "<MASK>"])
def test_word_masks(mask):
    masked = read_masked_texts([f"the {mask} is {mask}"], TOKENIZER, SIZE)
    the, is_ = ids("the is")
    assert masked.token_ids == [[TOKENIZER.bos_token_id, the, WORD, is_, WORD, TOKENIZER.eos_token_id]]
    assert masked.unknown_words == [[]]


@pytest.mark.parametrize("mask", ["<span>", "<extra_id_0>", "<extra_id_12>"])
def test_spans(mask):
    masked = read_masked_texts([f"the {mask} locked", mask], TOKENIZER, SIZE)
    assert [row[1:-1] for row in masked.token_ids] == [[ids("the")[0], SPAN, ids("locked")[0]], [SPAN]]


def test_unknown_words_are_observed_as_written():
    masked = read_masked_texts(["the Purple <mask> is zorkmid", "<mask> open"], TOKENIZER, SIZE)
    assert masked.token_ids[0][1:-1] == [*ids("the"), UNKNOWN, WORD, *ids("is"), UNKNOWN]
    assert [[word.lower() for word in words] for words in masked.unknown_words] == [["purple", "zorkmid"], []]
    inputs = masked.inputs(pad_token_id=TOKENIZER.pad_token_id)
    assert inputs["input_ids"].shape == (2, 7) and inputs["attention_mask"].tolist()[1] == [1] * 4 + [0] * 3
    assert inputs["mask_token_id"] == WORD and inputs["span_token_id"] == SPAN
    assert masked.unread.message == "2 of 5 words (40 %) are unknown to the model, in 1 of 2 texts"
    assert masked[1:].unread.message == ""
    assert masked[1:].token_ids == masked.token_ids[1:] and len(masked[1:]) == 1


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], r"texts must be a list of at least one string, got \[\]"),
        ("the <mask>", "texts must be a list of at least one string, got 'the <mask>'"),
        (["<mask>", None], r"texts\[1\] must be a string, got None"),
        ([""], "texts must have a <mask> or a <span> each, got ''"),
        (["the <mask>", "the door"], "texts must have a <mask> or a <span> each, got 'the door'"),
        (["the <pad> <mask>"], "texts must not contain the reserved <pad>, got 'the <pad> <mask>'"),
        (["the <mask> </s>"], "texts must not contain the reserved </s>, got"),
    ],
)
def test_bad_texts(texts, message):
    with pytest.raises(ValueError, match=message):
        read_masked_texts(texts, TOKENIZER, SIZE)
