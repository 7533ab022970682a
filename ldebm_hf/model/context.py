"""Contexts of texts: the turns of a dialogue before a text, encoded as one vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.utils.rnn import pad_packed_sequence, pad_sequence

from .noise import at_least_float32
from .recurrent import GRU, pack
from .token_embedding import TokenEmbedding

if TYPE_CHECKING:
    from .configuration_ldebm import LDEBMConfig

TurnLengths = Sequence[Sequence[int]]


class SelfAttentionPooling(nn.Module):
    """
    Mean of vectors h, weighted by softmax of v·tanh(W h) (Lin et al., ICLR 2017).

    Args:
        size (`int`): Size of the vectors.
        hidden_size (`int`): Size of W h.
    """

    def __init__(self, size: int, hidden_size: int):
        super().__init__()
        self.hidden, self.score = nn.Linear(size, hidden_size), nn.Linear(hidden_size, 1, bias=False)

    def forward(self, vectors: torch.Tensor, is_valid: torch.Tensor) -> torch.Tensor:
        """
        Means, `(n, size)`.

        Args:
            vectors (`torch.Tensor` of shape `(n, length, size)`): h.
            is_valid (`torch.BoolTensor` of shape `(n, length)`): `False` at padding.
        """
        scores = at_least_float32(self.score(self.hidden(vectors).tanh()))
        weights = scores.masked_fill(~is_valid[..., None], -torch.inf).softmax(1)
        return (weights.to(vectors.dtype) * vectors).sum(1)


class ContextEncoder(nn.Module):
    """
    Hierarchical encoder: a bidirectional GRU reads each turn, self-attention pools its states, and a second GRU reads
    the pooled turns, the oldest first. Its last state is the context vector. Padding is never read.

    Args:
        config ([`LDEBMConfig`]): Settings of the model.
    """

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.config = config
        size = 2 * config.context_hidden_size
        self.embedding = TokenEmbedding(config.vocab_size, config.embedding_size)
        self.of_tokens = GRU(config.embedding_size, config.context_hidden_size, batch_first=True, bidirectional=True)
        self.pooling = SelfAttentionPooling(size, config.context_hidden_size)
        self.of_turns = GRU(size, config.context_size, batch_first=True)

    def forward(
        self,
        context_input_ids: torch.Tensor,
        context_attention_mask: torch.Tensor | None = None,
        context_lengths: TurnLengths | None = None,
    ) -> torch.Tensor:
        """
        Args:
            context_input_ids (`torch.LongTensor` of shape `(batch_size, num_turns, turn_length)`): Turns, the oldest
                first, with their tokens padded on the right. Turns without tokens are padding and may be anywhere. Of
                the others, the last `config.context_turns` are read.
            context_attention_mask (`torch.Tensor` of the same shape, *optional*): 0 at padding; defaults to 0 at
                `pad_token_id`.
            context_lengths (`Sequence[Sequence[int]]`, *optional*): Number of tokens of each turn of each context,
                where padding turns at the end may be left out. If given, the mask is not read, which avoids a GPU
                synchronisation.

        Returns:
            `torch.Tensor` of shape `(batch_size, context_size)`.

        Raises:
            ValueError: If a shape is wrong, a turn is padded anywhere but on the right, or a context has no token.
        """
        if context_lengths is None:
            context_lengths = turn_lengths(context_input_ids, context_attention_mask, self.config.pad_token_id)
        else:
            _require_lengths_that_fit(context_lengths, context_input_ids.shape)
        rows, places, lengths, counts = [], [], [], []
        for row, turn_sizes in enumerate(context_lengths):
            read = [place for place, length in enumerate(turn_sizes) if length][-self.config.context_turns :]
            rows += [row] * len(read)
            places += read
            lengths += [turn_sizes[place] for place in read]
            counts.append(len(read))
        where = torch.tensor([rows, places]).to(context_input_ids.device, non_blocking=True)
        turns = context_input_ids[where[0], where[1], : max(lengths)]
        states, _ = self.of_tokens.read(self.embedding, turns, lengths)
        states, num_tokens = pad_packed_sequence(states, batch_first=True)
        is_token = (torch.arange(states.shape[1]) < num_tokens[:, None]).to(states.device, non_blocking=True)
        pooled = self.pooling(states, is_token)
        _, last = self.of_turns(pack(pad_sequence(pooled.split(counts), batch_first=True), counts))
        return last[0]


def turn_lengths(
    context_input_ids: torch.Tensor, context_attention_mask: torch.Tensor | None, pad_token_id: int
) -> list[list[int]]:
    """Number of tokens of each turn of each context; arguments and errors as in [`ContextEncoder`]."""
    shape = tuple(context_input_ids.shape)
    if len(shape) != 3 or 0 in shape:
        raise ValueError(f"context_input_ids must have shape (batch_size, num_turns, turn_length), got {shape}")
    if context_attention_mask is None:
        context_attention_mask = context_input_ids != pad_token_id
    if tuple(context_attention_mask.shape) != shape:
        got = tuple(context_attention_mask.shape)
        raise ValueError(f"context_attention_mask must have context_input_ids' shape {shape}, got {got}")
    is_token = context_attention_mask.cpu() != 0
    if (is_token[..., 1:] > is_token[..., :-1]).any():
        raise ValueError("context_attention_mask must be ones and then zeros in every turn: padding on the right")
    empty = (~is_token.flatten(1).any(1)).nonzero().flatten().tolist()
    if empty:
        raise ValueError(
            f"context_input_ids must hold at least one token for every text, got none in row {empty[0]}: the context "
            "of the first turn of a dialogue is the begin marker"
        )
    return is_token.sum(-1).tolist()


def _require_lengths_that_fit(context_lengths: TurnLengths, shape: Sequence[int]) -> None:
    num_contexts, num_turns, turn_length = shape
    fits = len(context_lengths) == num_contexts
    fits = fits and all(len(turns) <= num_turns and max(turns) <= turn_length for turns in context_lengths)
    if not fits:
        raise ValueError(f"context_lengths must fit context_input_ids of shape {tuple(shape)}, got {context_lengths}")
