"""The context of a text, the turns of a dialogue before it, as one vector."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.utils.rnn import pad_packed_sequence, pad_sequence

from .configuration_ldebm import LDEBMConfig
from .packing import pack
from .precision import at_least_float32
from .recurrent import GRU

TurnLengths = Sequence[Sequence[int]]


class SelfAttentionPooling(nn.Module):
    """
    The mean of vectors, weighted by softmax of v·tanh(W h) over those that are there (Lin et al., ICLR 2017).

    Args:
        size (`int`): Size of the vectors; hidden_size (`int`): of W h.
    """

    def __init__(self, size: int, hidden_size: int):
        super().__init__()
        self.hidden, self.score = nn.Linear(size, hidden_size), nn.Linear(hidden_size, 1, bias=False)

    def forward(self, vectors: torch.Tensor, is_there: torch.Tensor) -> torch.Tensor:
        """`(n, size)` of `vectors` `(n, length, size)`, of which those count that `is_there` `(n, length)` names."""
        scores = at_least_float32(self.score(self.hidden(vectors).tanh()))
        weights = scores.masked_fill(~is_there[..., None], -torch.inf).softmax(1)
        return (weights.to(vectors.dtype) * vectors).sum(1)


class ContextEncoder(nn.Module):
    """
    Hierarchical: a bidirectional GRU reads each turn, self-attention pools its states, and a GRU reads the turns, the
    oldest first; its last state is the context. Padding, of turns and of tokens, is never read.
    """

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.config = config
        size = 2 * config.context_hidden_size
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
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
                first, their tokens padded on the right. Turns without a token are padding, wherever they stand. Of
                the others the last `config.context_turns` are read.
            context_attention_mask (`torch.Tensor` of the same shape, *optional*): 0 at padding; defaults to 0 at
                `pad_token_id`.
            context_lengths (`Sequence[Sequence[int]]`, *optional*): Number of tokens of each turn of each context, on
                the host, without turns of padding at the end. With them the mask is not read, and no device waited
                for.

        Returns:
            `torch.Tensor` of shape `(batch_size, context_size)`.

        Raises:
            ValueError: For another shape, padding elsewhere, or a context without any token.
        """
        if context_lengths is None:
            context_lengths = turn_lengths(context_input_ids, context_attention_mask, self.config.pad_token_id)
        rows, places, lengths, counts = [], [], [], []
        for row, of_turns in enumerate(context_lengths):
            read = [place for place, length in enumerate(of_turns) if length][-self.config.context_turns :]
            rows += [row] * len(read)
            places += read
            lengths += [of_turns[place] for place in read]
            counts.append(len(read))
        where = torch.tensor([rows, places]).to(context_input_ids.device, non_blocking=True)
        turns = context_input_ids[where[0], where[1], : max(lengths)]
        states, _ = self.of_tokens.read(self.embedding, pack(turns, lengths))
        states, num_tokens = pad_packed_sequence(states, batch_first=True)
        is_token = (torch.arange(states.shape[1]) < num_tokens[:, None]).to(states.device, non_blocking=True)
        pooled = self.pooling(states, is_token)
        _, last = self.of_turns(pack(pad_sequence(pooled.split(counts), batch_first=True), counts))
        return last[0]


def turn_lengths(
    context_input_ids: torch.Tensor, context_attention_mask: torch.Tensor | None, pad_token_id: int
) -> list[list[int]]:
    """Number of tokens of each turn; arguments and errors as in [`ContextEncoder`]. Reads the mask on the host."""
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
            f"context_input_ids must hold at least one token for every text, got none in row {empty[0]}: what opens a "
            "dialogue has the begin marker as its context"
        )
    return is_token.sum(-1).tolist()
