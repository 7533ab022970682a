"""Which of a document's tokens are its words, whose order does not matter."""

import torch

from .configuration_ldebm import LDEBMConfig


def word_counts(input_ids: torch.Tensor, attention_mask: torch.Tensor | None, config: LDEBMConfig) -> torch.Tensor:
    """
    How often each token counts: 1 for a word, 0 for padding, begin and end marks and unknown words.

    Args:
        input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Tokens.
        attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*): 0 at what does not belong
            to the document.

    Returns:
        `torch.LongTensor` of shape `(batch_size, sequence_length)`.

    Raises:
        ValueError: Without any document or token, and for a mask of another shape.
    """
    if input_ids.ndim != 2 or input_ids.numel() == 0:
        raise ValueError(f"input_ids must have shape (batch_size, sequence_length), got {tuple(input_ids.shape)}")
    is_word = ~torch.isin(input_ids, torch.tensor(marks(config), device=input_ids.device))
    if attention_mask is not None:
        if attention_mask.shape != input_ids.shape:
            expected, got = tuple(input_ids.shape), tuple(attention_mask.shape)
            raise ValueError(f"attention_mask must have input_ids' shape {expected}, got {got}")
        is_word = is_word & (attention_mask != 0)
    return is_word.long()


def marks(config: LDEBMConfig) -> list[int]:
    """The tokens that are no words: padding, the unknown word, begin and end marks."""
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    tokens = (config.pad_token_id, config.unk_token_id, config.bos_token_id, *ends)
    return sorted({token for token in tokens if token is not None})
