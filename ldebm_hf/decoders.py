"""Generators p_β(x|z)."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from .configuration_ldebm import LDEBMConfig
from .packing import pack
from .recurrent import GRU


class TextDecoder(nn.Module):
    """
    Autoregressive GRU that reads z twice: as its initial state and beside every input embedding.

    The output projection is the input embedding (tied), without bias.
    """

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
        self.initial_state = nn.Linear(config.latent_size, config.decoder_hidden_size, bias=False)
        self.rnn = GRU(config.embedding_size + config.latent_size, config.decoder_hidden_size, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, input_ids: torch.Tensor, latents: torch.Tensor, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Previous tokens.
            latents (`torch.Tensor` of shape `(batch_size, latent_size)`): z.
            state (`torch.Tensor` of shape `(batch_size, hidden_size)`, *optional*): Recurrent state after earlier
                tokens; from z if missing.

        Returns:
            Hidden states `(batch_size, sequence_length, hidden_size)` and the last recurrent state
            `(batch_size, hidden_size)`.
        """
        latents = latents.to(self.embedding.weight.dtype)
        if state is None:
            state = self.initial_state(latents)
        embedded = self.dropout(self.embedding(input_ids))
        every_step = latents[:, None].expand(-1, input_ids.shape[1], -1)
        hidden, state = self.rnn(torch.cat([embedded, every_step.to(embedded.dtype)], -1), state[None].contiguous())
        return self.dropout(hidden), state[0]

    def forward_packed(self, input_ids: torch.Tensor, latents: torch.Tensor, lengths: Sequence[int]) -> PackedSequence:
        """
        As [`forward`] from the beginning, but without computing any padding.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Previous tokens, padded on the
                right.
            latents (`torch.Tensor` of shape `(batch_size, latent_size)`): z.
            lengths (`Sequence[int]`): Number of tokens to read of each row, at least 1; numbers of the host.

        Returns:
            Hidden states, packed as `pack(…, lengths)` packs; `data` is `(sum of lengths, hidden_size)`.
        """
        latents = latents.to(self.embedding.weight.dtype)
        tokens = pack(input_ids, lengths)
        embedded = self.dropout(self.embedding(tokens.data))
        every_step = pack(latents[:, None].expand(-1, input_ids.shape[1], -1), lengths).data
        inputs = tokens._replace(data=torch.cat([embedded, every_step.to(embedded.dtype)], -1))
        hidden, _ = self.rnn(inputs, self.initial_state(latents)[None])
        return hidden._replace(data=self.dropout(hidden.data))

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Next-token logits `(..., vocab_size)` of hidden states `(..., hidden_size)`."""
        return F.linear(hidden, self.embedding.weight)
