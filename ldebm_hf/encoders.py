"""Inference networks q_φ(z|x) = N(μ(x), diag σ²(x))."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from .configuration_ldebm import LDEBMConfig
from .packing import pack, text_lengths
from .recurrent import GRU


class TextEncoder(nn.Module):
    """Bidirectional GRU over tokens; its two final states, padding never read, give the posterior."""

    main_input_name = "input_ids"  # read by transformers' generate

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.head_activation = config.encoder_head_activation
        self.pad_token_id = config.pad_token_id
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
        self.rnn = GRU(config.embedding_size, config.encoder_hidden_size, batch_first=True, bidirectional=True)
        self.mean = nn.Linear(2 * config.encoder_hidden_size, config.latent_size)
        self.log_variance = nn.Linear(2 * config.encoder_hidden_size, config.latent_size)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        lengths: Sequence[int] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Tokens, padded on the right.
            attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*): 1 for tokens, 0 for
                padding; defaults to 0 at `pad_token_id`.
            lengths (`Sequence[int]`, *optional*): Number of tokens of each text, on the host. With them the mask is
                neither read nor checked, and no device is waited for.

        Returns:
            Mean and log variance, both `(batch_size, latent_size)`.

        Raises:
            ValueError: Without any text or token, and for padding anywhere but on the right.
        """
        if lengths is None:
            lengths = text_lengths(input_ids, attention_mask, self.pad_token_id)
        tokens = pack(input_ids, lengths)
        _, final = self.rnn.read(self.embedding, tokens)  # (2, batch_size, hidden_size)
        features = torch.cat([final[0], final[1]], dim=-1)
        if self.head_activation:
            features = F.leaky_relu(features, 0.01)
        return self.mean(features), self.log_variance(features)
