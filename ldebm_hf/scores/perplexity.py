"""Perplexity of texts under a language model of this package."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedTokenizerBase

if TYPE_CHECKING:
    from ..model.modeling_ldebm import LDEBMModel


@dataclass(frozen=True)
class PerplexityScores:
    """
    How well a language model predicts a set of texts.

    Args:
        perplexity (`float`): Exponential of the mean negative log-likelihood of a token.
        nats_per_text (`float`): Mean negative log-likelihood of a text, in nats.
        num_tokens (`int`): Number of tokens: all words and one end-of-text token per text.
        num_unknown (`int`): Number of those tokens that are not in the vocabulary.
    """

    perplexity: float
    nats_per_text: float
    num_tokens: int
    num_unknown: int


@torch.no_grad()
def corpus_perplexity(
    model: LDEBMModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], batch_size: int = 128
) -> PerplexityScores:
    """
    Perplexity of all texts together, over all their tokens; no text is truncated.

    A word that is not in the vocabulary counts as the token `<unk>`, whose probability is that of all such words
    together. Texts with many of them look more predictable than they are, and perplexities under different
    vocabularies are not comparable. `num_unknown` is their number.

    Args:
        model ([`LDEBMModel`]): A language model (`prior="none"`, preset `rnn_lm`) in evaluation mode.
        tokenizer (`PreTrainedTokenizerBase`): Its tokenizer.
        texts (`Sequence[str]`): At least one text; of an empty one, only the end is scored.
        batch_size (`int`, *optional*, defaults to 128): Texts per batch; affects speed and memory only.

    Raises:
        ValueError: The model has a latent variable, so that its likelihood is not known exactly; the model is in
            training mode; the tokenizer is not the model's; or there are no texts.
    """
    if model.config.has_latent:
        raise ValueError(f'model must be a language model, with prior="none", got prior={model.config.prior!r}')
    if model.training:
        raise ValueError("model must be in evaluation mode, without dropout: call model.eval()")
    if len(tokenizer) != model.config.vocab_size:
        expected = f"the model's, of {model.config.vocab_size} tokens"
        raise ValueError(f"tokenizer must be {expected}, got one of {len(tokenizer)}")
    if isinstance(texts, str) or len(texts) == 0:
        raise ValueError(f"texts must be a list of at least one string, got {texts!r}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    by_length = sorted(texts, key=len, reverse=True)  # batches of similar length need the least padding
    nats, num_tokens, num_unknown = 0.0, 0, 0
    for start in range(0, len(texts), batch_size):
        part = by_length[start : start + batch_size]
        batch = tokenizer(part, return_tensors="pt", padding=True, verbose=False).to(model.device)
        latents = torch.zeros(len(batch["input_ids"]), 0, device=model.device)
        nats -= model.conditional_log_likelihood(latents, **batch).double().sum().item()
        num_tokens += int(batch["attention_mask"][:, 1:].sum())
        num_unknown += int((batch["input_ids"] == model.config.unk_token_id).sum())
    return PerplexityScores(math.exp(nats / num_tokens), nats / len(texts), num_tokens, num_unknown)
