"""Inference networks q_φ(z|x) = N(μ(x), diag σ²(x))."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence

from .configuration_ldebm import LDEBMConfig


class TextEncoder(nn.Module):
    """Bidirectional GRU over tokens; its two final states, padding never read, give the posterior."""

    main_input_name = "input_ids"  # read by transformers' generate

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.head_activation = config.encoder_head_activation
        self.pad_token_id = config.pad_token_id
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
        self.rnn = nn.GRU(config.embedding_size, config.encoder_hidden_size, batch_first=True, bidirectional=True)
        self.mean = nn.Linear(2 * config.encoder_hidden_size, config.latent_size)
        self.log_variance = nn.Linear(2 * config.encoder_hidden_size, config.latent_size)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Tokens, padded on the right.
            attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*): 1 for tokens, 0 for
                padding; defaults to 0 at `pad_token_id`.

        Returns:
            Mean and log variance, both `(batch_size, latent_size)`.

        Raises:
            ValueError: Without any text or token, and for padding anywhere but on the right.
        """
        if attention_mask is None:
            attention_mask = input_ids != self.pad_token_id
        lengths = _lengths(input_ids, attention_mask)
        packed = pack_padded_sequence(self.embedding(input_ids), lengths, batch_first=True, enforce_sorted=False)
        _, final = self.rnn(packed)  # (2, batch_size, hidden_size)
        features = torch.cat([final[0], final[1]], dim=-1)
        if self.head_activation:
            features = F.leaky_relu(features, 0.01)
        return self.mean(features), self.log_variance(features)


def _lengths(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """Number of tokens of each text, `(batch_size,)` on the CPU, where packing needs it and checks are free."""
    if input_ids.ndim != 2 or input_ids.numel() == 0:
        raise ValueError(f"input_ids must have shape (batch_size, sequence_length), got {tuple(input_ids.shape)}")
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
    return is_token.sum(-1)
