"""Texts without their padding: where tokens end up, and what their lengths are."""

import pytest
import torch

from ldebm_hf.model.packing import pack, text_lengths

IDS = torch.tensor([[2, 5, 3, 0], [2, 6, 7, 3], [2, 3, 0, 0]])


def test_packed_tokens_come_step_after_step_without_padding():
    packed = pack(IDS, [3, 4, 2])
    assert packed.data.tolist() == [2, 2, 2, 6, 5, 3, 7, 3, 3]
    assert packed.batch_sizes.tolist() == [3, 3, 2, 1]
    assert packed.sorted_indices.tolist() == [1, 0, 2]


def test_rows_from_long_to_short_are_packed_as_they_are():
    packed = pack(IDS[[1, 0, 2]], [4, 3, 2])
    assert packed.data.tolist() == pack(IDS, [3, 4, 2]).data.tolist()
    assert packed.sorted_indices is None and packed.unsorted_indices is None


def test_lengths_are_counted_from_the_mask_else_from_the_padding_token():
    assert text_lengths(IDS, None, pad_token_id=0) == [3, 4, 2]
    assert text_lengths(IDS, torch.ones_like(IDS), pad_token_id=0) == [4, 4, 4]
    with pytest.raises(ValueError, match=r"attention_mask must be ones and then zeros.*got \[0, 1, 1, 1\] in row 0"):
        text_lengths(IDS, None, pad_token_id=2)
