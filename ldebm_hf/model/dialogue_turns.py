"""How the turns of a dialogue are marked, which data and models must agree on, and how they become tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

if TYPE_CHECKING:
    from .text_reading import TextReader

BEGIN = "<d>"
"""The begin marker, a turn of its own that precedes the first turn of a dialogue in its context."""
ROLE_MARKERS = {"user": "<usr>", "assistant": "<sys>"}
"""The marker that a turn starts with, by the speaker's role, which is named as in transformers' chat messages."""
MARKERS = (BEGIN, *ROLE_MARKERS.values())


def context_of(turns: Sequence[str], context_turns: int) -> tuple[str, ...]:
    """The context of the text that follows `turns`: the last `context_turns` of the begin marker and these turns."""
    return (BEGIN, *turns)[-context_turns:]


def marked(text: str, role: str) -> str:
    """A turn with the marker of its speaker's role in front."""
    return f"{ROLE_MARKERS[role]} {text}"


def role_of(text: str) -> str | None:
    """The role whose marker a turn starts with, or `None`."""
    first_word = text.split(maxsplit=1)[:1]
    for role, marker in ROLE_MARKERS.items():
        if first_word == [marker]:
            return role
    return None


def without_marker(text: str) -> str:
    """A turn without the role markers at its beginning."""
    while role_of(text) is not None:
        text = "".join(text.split(maxsplit=1)[1:]).rstrip()
    return text


def encode_contexts(
    contexts: Sequence[Sequence[str]],
    tokenizer: PreTrainedTokenizerBase,
    device: torch.device | str = "cpu",
    *,
    reader: TextReader | None = None,
) -> dict[str, torch.Tensor]:
    """
    Tokenize the contexts of texts and turn them into a model's arguments.

    Args:
        contexts (`Sequence[Sequence[str]]`): The turns before each text, at least one, the oldest first, marked as
            `config.speaker_markers` says. Each turn is truncated to the tokenizer's maximum length.
        tokenizer (`PreTrainedTokenizerBase`): The model's tokenizer.
        device (`torch.device` or `str`, *optional*, defaults to `"cpu"`): Device of the tensors.
        reader ([`TextReader`], *optional*): Counts what the model does not see of the turns.

    Returns:
        `dict[str, torch.Tensor]`: `context_input_ids` and `context_attention_mask`, as in [`pad_turns`].
    """
    turns = [turn for context in contexts for turn in context]
    batch = tokenizer(turns, truncation=True)
    if reader is not None:
        reader.count_turns(turns, batch)
    token_ids = iter(batch["input_ids"])
    padded = pad_turns([[next(token_ids) for _ in context] for context in contexts], tokenizer.pad_token_id)
    return {name: tensor.to(device) for name, tensor in padded.items()}


def pad_turns(contexts: Sequence[Sequence[Sequence[int]]], pad_token_id: int) -> dict[str, torch.Tensor]:
    """
    Tensors from the token ids of the turns of contexts, padded on the right to the most turns and the longest turn.

    Args:
        contexts (`Sequence[Sequence[Sequence[int]]]`): The token ids of each turn of each context; at least one turn
            with one token.
        pad_token_id (`int`): Token id of the padding.

    Returns:
        `dict[str, torch.Tensor]`: `context_input_ids` and `context_attention_mask` (1 for tokens, 0 for padding), both
        int64 of shape `(num_contexts, num_turns, turn_length)`.
    """
    num_turns = max(len(turns) for turns in contexts)
    turn_length = max(len(turn) for turns in contexts for turn in turns)
    input_ids = np.full((len(contexts), num_turns, turn_length), pad_token_id, dtype=np.int64)
    is_token = np.zeros_like(input_ids)
    for row, turns in enumerate(contexts):
        for place, turn in enumerate(turns):
            input_ids[row, place, : len(turn)] = turn
            is_token[row, place, : len(turn)] = 1
    return {
        "context_input_ids": torch.from_numpy(input_ids),
        "context_attention_mask": torch.from_numpy(is_token),
    }
