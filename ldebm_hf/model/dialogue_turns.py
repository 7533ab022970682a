"""How the turns of a dialogue are marked, on which data and models agree: who speaks, and where it begins."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

BEGIN = "<d>"
"""Stands in a context before the first turn, as a turn of its own."""
ROLE_MARKERS = {"user": "<usr>", "assistant": "<sys>"}
"""By role, as in transformers' chats, what a turn starts with."""
MARKERS = (BEGIN, *ROLE_MARKERS.values())


def context_of(turns: Sequence[str], context_turns: int) -> tuple[str, ...]:
    """What a text is an answer to: of the beginning and all turns before it the last `context_turns`."""
    return (BEGIN, *turns)[-context_turns:]


def marked(text: str, role: str) -> str:
    """A turn behind the marker of who says it."""
    return f"{ROLE_MARKERS[role]} {text}"


def role_of(text: str) -> str | None:
    """The role whose marker a turn starts with, if it does."""
    first = text.split(maxsplit=1)[:1]
    return next((role for role, marker in ROLE_MARKERS.items() if first == [marker]), None)


def without_marker(text: str) -> str:
    """A turn without the marker that it may start with, or several."""
    while role_of(text) is not None:
        text = "".join(text.split(maxsplit=1)[1:]).rstrip()
    return text


def encode_contexts(
    contexts: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerBase, device: torch.device | str = "cpu"
) -> dict[str, torch.Tensor]:
    """Contexts as a model reads them, `context_input_ids` and `context_attention_mask`; turns cut to the tokenizer's
    length. Each has at least one turn, marked as the model's configuration says."""
    turns = [turn for context in contexts for turn in context]
    token_ids = iter(tokenizer(turns, truncation=True)["input_ids"])
    rows = [[next(token_ids) for _ in context] for context in contexts]
    shape = (len(rows), max(map(len, rows)), max(len(turn) for row in rows for turn in row))
    input_ids, is_token = np.full(shape, tokenizer.pad_token_id), np.zeros(shape, dtype=np.int64)
    for number, row in enumerate(rows):
        for place, turn in enumerate(row):
            input_ids[number, place, : len(turn)] = turn
            is_token[number, place, : len(turn)] = 1
    found = {"context_input_ids": input_ids, "context_attention_mask": is_token}
    return {name: torch.from_numpy(array).to(device) for name, array in found.items()}
