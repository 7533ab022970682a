"""The words that a model of documents writes for each symbol."""

import torch
from transformers import PreTrainedTokenizerBase

from .bag_of_words import marks


@torch.no_grad()
def symbol_topics(
    model,
    tokenizer: PreTrainedTokenizerBase,
    *,
    num_words: int = 10,
    relevance: float = 0.6,
    num_samples: int = 500,
    guidance_scale: float | None = None,
    generator: torch.Generator | None = None,
) -> list[list[str]]:
    """
    The words that the generator writes for each symbol y, the most relevant first.

    p(w|y) is the mean of p(w|z) over samples of the prior for y; a word's relevance is
    λ log p(w|y) + (1 - λ) log p(w|y)/p(w) (Sievert and Shirley, 2014), p(w) being its frequency in the training
    corpus.

    Args:
        model ([`LDEBMModel`]): Of documents, in evaluation mode.
        tokenizer (`PreTrainedTokenizerBase`): The model's.
        num_words (`int`, *optional*, defaults to 10): Words per symbol.
        relevance (`float`, *optional*, defaults to 0.6): λ, from 0 (words that set a symbol apart, rare ones first)
            to 1 (its most frequent words).
        num_samples (`int`, *optional*, defaults to 500): Latents per symbol.
        guidance_scale (`float`, *optional*), generator (`torch.Generator`, *optional*): As in `model.sample_latents`.

    Returns:
        `list[list[str]]`: by symbol.

    Raises:
        ValueError: For a model that is not of documents, without symbols or in training mode, and a number that is not
            allowed.
    """
    if not model.modality.is_bag_of_words:
        raise ValueError(f"symbol_topics needs a model of documents, got one of {model.config.modality}s")
    model.require_symbols()
    if model.training:
        raise ValueError("model must be in evaluation mode: call model.eval()")
    check_relevance(relevance)
    no_words = torch.tensor(marks(model.config), device=model.device)
    if not 1 <= num_words <= model.config.vocab_size - len(no_words):
        raise ValueError(f"num_words must be 1 to {model.config.vocab_size - len(no_words)}, got {num_words}")
    frequency = model.decoder.background.log_softmax(-1)
    topics = []
    for symbol in range(model.config.num_labels):
        options = {} if guidance_scale is None else {"guidance_scale": guidance_scale}
        latents = model.sample_latents(num_samples, class_labels=symbol, generator=generator, **options)
        total = sum(model.decoder(part).softmax(-1).sum(0) for part in latents.split(100))
        scores = relevances((total / num_samples).log(), frequency, relevance).index_fill(0, no_words, -torch.inf)
        topics.append(tokenizer.convert_ids_to_tokens(scores.topk(num_words).indices.tolist()))
    return topics


def relevances(log_probability: torch.Tensor, log_frequency: torch.Tensor, relevance: float) -> torch.Tensor:
    """λ log p(w|y) + (1 - λ) log p(w|y)/p(w) of words, from log p(w|y) and log p(w), all of one shape."""
    return log_probability - (1 - relevance) * log_frequency


def check_relevance(relevance: float) -> None:
    """Raise ValueError for a λ that is not between 0 and 1."""
    if not 0 <= relevance <= 1:
        raise ValueError(f"relevance must be between 0 and 1, got {relevance}")
