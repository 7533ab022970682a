"""Word counts of documents: which tokens are words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .token_embedding import outside_of_range

if TYPE_CHECKING:
    from .configuration_ldebm import LDEBMConfig


def word_counts(input_ids: torch.Tensor, attention_mask: torch.Tensor | None, config: LDEBMConfig) -> torch.Tensor:
    """
    How often each token counts: 1 for a word, 0 for padding, begin and end marks and unknown words.

    Args:
        input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Tokens.
        attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*): 0 at tokens that are not
            part of the document.
        config ([`LDEBMConfig`]): Settings of the model, for its special tokens.

    Returns:
        `torch.LongTensor` of shape `(batch_size, sequence_length)`.

    Raises:
        ValueError: If there is no document or no token, or the mask has another shape; on the CPU, for a token that is
            not in the vocabulary.
    """
    if input_ids.ndim != 2 or input_ids.numel() == 0:
        raise ValueError(f"input_ids must have shape (batch_size, sequence_length), got {tuple(input_ids.shape)}")
    if input_ids.device.type == "cpu" and not 0 <= input_ids.min() <= input_ids.max() < config.vocab_size:
        raise ValueError(outside_of_range("token ids", input_ids, config.vocab_size, "vocab_size"))
    is_word = ~torch.isin(input_ids, torch.tensor(marks(config), device=input_ids.device))
    if attention_mask is not None:
        if attention_mask.shape != input_ids.shape:
            expected, got = tuple(input_ids.shape), tuple(attention_mask.shape)
            raise ValueError(f"attention_mask must have input_ids' shape {expected}, got {got}")
        is_word = is_word & (attention_mask != 0)
    return is_word.long()


def marks(config: LDEBMConfig) -> list[int]:
    """The tokens that are not words: padding, the unknown word, begin and end marks."""
    tokens = (config.pad_token_id, config.unk_token_id, config.bos_token_id, *config.eos_token_ids)
    return sorted({token for token in tokens if token is not None})
