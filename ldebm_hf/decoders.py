"""Generators p_β(x|z)."""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from .configuration_ldebm import LDEBMConfig
from .encoders import perceptron
from .noise import gaussian_like
from .packing import pack
from .precision import at_least_float32
from .recurrent import GRU


class TextDecoder(nn.Module):
    """
    Autoregressive GRU that reads z twice: as its initial state and beside every input embedding.

    The output projection is the input embedding (tied), without bias.
    """

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
        self.initial_state = None
        if config.total_latent_size:
            self.initial_state = nn.Linear(config.total_latent_size, config.decoder_hidden_size, bias=False)
        self.rnn = GRU(config.embedding_size + config.total_latent_size, config.decoder_hidden_size, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, input_ids: torch.Tensor, latents: torch.Tensor, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Previous tokens.
            latents (`torch.Tensor` of shape `(batch_size, total_latent_size)`): z.
            state (`torch.Tensor` of shape `(batch_size, hidden_size)`, *optional*): Recurrent state after earlier
                tokens; from z if missing.

        Returns:
            Hidden states `(batch_size, sequence_length, hidden_size)` and the last recurrent state
            `(batch_size, hidden_size)`.
        """
        latents = latents.to(self.embedding.weight.dtype)
        if state is None:
            state = self._first_state(latents)
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
            latents (`torch.Tensor` of shape `(batch_size, total_latent_size)`): z.
            lengths (`Sequence[int]`): Number of tokens to read of each row, at least 1; numbers of the host.

        Returns:
            Hidden states, packed as `pack(…, lengths)` packs; `data` is `(sum of lengths, hidden_size)`.
        """
        latents = latents.to(self.embedding.weight.dtype)
        tokens = pack(input_ids, lengths)
        inputs = self.dropout(self.embedding(tokens.data))
        if latents.shape[1]:  # without a latent there is nothing to pack
            every_step = pack(latents[:, None].expand(-1, input_ids.shape[1], -1), lengths).data
            inputs = torch.cat([inputs, every_step.to(inputs.dtype)], -1)
        hidden, _ = self.rnn(tokens._replace(data=inputs), self._first_state(latents)[None])
        return hidden._replace(data=self.dropout(hidden.data))

    def _first_state(self, latents: torch.Tensor) -> torch.Tensor:
        if self.initial_state is None:
            return latents.new_zeros(len(latents), self.rnn.hidden_size)
        return self.initial_state(latents)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Next-token logits `(..., vocab_size)` of hidden states `(..., hidden_size)`."""
        return F.linear(hidden, self.embedding.weight)


class PointDecoder(nn.Module):
    """p(x|z) = N(g(z), s² I) with a perceptron g of ReLUs, on points centred and scaled."""

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.std = config.point_std
        self.network = perceptron(
            config.total_latent_size, config.point_hidden_size, config.point_size, config.point_decoder_layers
        )

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """g(z), `(batch_size, point_size)`, in float32 at least, of latents `(batch_size, total_latent_size)`."""
        return at_least_float32(self.network(latents.to(self.network[0].weight.dtype)))

    def log_likelihood(self, latents: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """log p(x|z) in nats, `(batch_size,)`, of `points` `(batch_size, point_size)`."""
        offset = (points - self(latents)) / self.std
        return -(offset.square() + math.log(2 * math.pi * self.std**2)).sum(-1) / 2

    def sample(self, latents: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """A draw of x for each latent, `(batch_size, point_size)`."""
        mean = self(latents)
        return mean + self.std * gaussian_like(mean, generator)


def build_decoder(config: LDEBMConfig) -> nn.Module:
    """The decoder of the modality."""
    return PointDecoder(config) if config.modality == "point" else TextDecoder(config)
