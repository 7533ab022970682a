"""Markers of turns, and contexts of dialogues as tensors."""

import torch

from ldebm_hf import build_tokenizer
from ldebm_hf.model.dialogue_turns import MARKERS, context_of, encode_contexts, pad_turns, role_of, without_marker


def test_markers():
    assert context_of(["a", "b"], 5) == ("<d>", "a", "b") and context_of(["a", "b"], 2) == ("a", "b")
    assert without_marker("<usr> a b") == without_marker("<usr> <sys> a b") == "a b"
    assert without_marker("a <usr>") == "a <usr>"
    assert without_marker("<usr>\na b") == "a b" and without_marker(" <usr>\t<sys>  a\tb ") == "a\tb"
    assert role_of("<sys>") == "assistant" and role_of("") is None and without_marker("<usr>") == ""


def test_turns_are_padded_on_the_right_to_the_most_turns_and_the_longest():
    padded = pad_turns([[[5, 6], [7]], [[8, 0, 9]]], pad_token_id=1)
    assert padded["context_input_ids"].tolist() == [[[5, 6, 1], [7, 1, 1]], [[8, 0, 9], [1, 1, 1]]]
    assert padded["context_attention_mask"].tolist() == [[[1, 1, 0], [1, 0, 0]], [[1, 1, 1], [0, 0, 0]]]
    assert all(tensor.dtype == torch.int64 for tensor in padded.values())


def test_contexts_are_tokenized_and_cut_turn_by_turn():
    tokenizer = build_tokenizer(["a b c"], markers=MARKERS, max_length=4)
    contexts = [("<d>",), ("<usr> a", "a b c a b c")]
    encoded = encode_contexts(contexts, tokenizer)
    token_ids = [[tokenizer(turn, truncation=True)["input_ids"] for turn in turns] for turns in contexts]
    expected = pad_turns(token_ids, tokenizer.pad_token_id)
    assert encoded.keys() == expected.keys() and all(torch.equal(encoded[name], expected[name]) for name in expected)
    assert encoded["context_input_ids"].shape == (2, 2, 4)
