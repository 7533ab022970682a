"""Texts of different lengths without their padding."""

from collections.abc import Sequence

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence


def pack(padded: torch.Tensor, lengths: Sequence[int]) -> PackedSequence:
    """
    The first `lengths[i]` entries of each row `i`, step after step.

    Rows that come ordered from long to short, as the training batches do, are packed as they are: no order has to be
    sent to the device, which would have to be waited for.

    Args:
        padded (`torch.Tensor` of shape `(batch_size, length, ...)`): Rows with their padding on the right.
        lengths (`Sequence[int]`): Number of entries of each row, each at least 1; numbers of the host.
    """
    is_ordered = all(first >= second for first, second in zip(lengths, lengths[1:], strict=False))
    return pack_padded_sequence(padded, torch.tensor(lengths), batch_first=True, enforce_sorted=is_ordered)


def text_lengths(input_ids: torch.Tensor, attention_mask: torch.Tensor | None, pad_token_id: int) -> list[int]:
    """
    Number of tokens of each text. Reads the mask on the host: a device has to be waited for.

    Args:
        input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Tokens, padded on the right.
        attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*): 1 for tokens, 0 for
            padding; defaults to 0 at `pad_token_id`.

    Raises:
        ValueError: Without any text or token, and for padding anywhere but on the right.
    """
    if input_ids.ndim != 2 or input_ids.numel() == 0:
        raise ValueError(f"input_ids must have shape (batch_size, sequence_length), got {tuple(input_ids.shape)}")
    if attention_mask is None:
        attention_mask = input_ids != pad_token_id
    if attention_mask.shape != input_ids.shape:
        expected, got = tuple(input_ids.shape), tuple(attention_mask.shape)
        raise ValueError(f"attention_mask must have input_ids' shape {expected}, got {got}")
    is_token = attention_mask.cpu() != 0
    right_padded = is_token[:, 0] & (is_token[:, 1:] <= is_token[:, :-1]).all(-1)
    if not right_padded.all():
        row = right_padded.int().argmin().item()
        raise ValueError(
            "attention_mask must be ones and then zeros, with padding on the right and at least one token, "
            f"got {is_token[row].int().tolist()} in row {row}"
        )
    return is_token.sum(-1).tolist()
