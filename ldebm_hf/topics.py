"""Topics as lists of words: what a model of documents writes for a symbol, and what LDA finds."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from .bag_of_words import marks
from .modeling_ldebm import LDEBMModel


@torch.no_grad()
def symbol_topics(
    model: LDEBMModel,
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
    if model.config.modality != "document":
        raise ValueError(f"symbol_topics needs a model of documents, got one of {model.config.modality}s")
    model.require_symbols()
    if model.training:
        raise ValueError("model must be in evaluation mode: call model.eval()")
    _check_relevance(relevance)
    no_words = torch.tensor(marks(model.config), device=model.device)
    if not 1 <= num_words <= model.config.vocab_size - len(no_words):
        raise ValueError(f"num_words must be 1 to {model.config.vocab_size - len(no_words)}, got {num_words}")
    frequency = model.decoder.background.log_softmax(-1)
    topics = []
    for symbol in range(model.config.num_labels):
        options = {} if guidance_scale is None else {"guidance_scale": guidance_scale}
        latents = model.sample_latents(num_samples, class_labels=symbol, generator=generator, **options)
        total = sum(model.decoder(part).softmax(-1).sum(0) for part in latents.split(100))
        scores = _relevance((total / num_samples).log(), frequency, relevance).index_fill(0, no_words, -torch.inf)
        topics.append(tokenizer.convert_ids_to_tokens(scores.topk(num_words).indices.tolist()))
    return topics


def lda_topics(
    texts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    num_topics: int,
    *,
    num_words: int = 10,
    relevance: float = 0.6,
    max_iter: int = 10,
    seed: int = 0,
) -> list[list[str]]:
    """
    Topics by latent Dirichlet allocation (Blei et al., 2003; online variational Bayes of scikit-learn) on the words of
    a document tokenizer, ranked as in [`symbol_topics`].

    Args:
        texts (`Sequence[str]`): What is fitted.
        tokenizer (`PreTrainedTokenizerBase`): Of `build_document_tokenizer`; its vocabulary is LDA's.
        num_topics (`int`): K.
        max_iter (`int`, *optional*, defaults to 10): Passes over the texts.
        num_words, relevance, seed: Words per topic, their ranking, and the seed of all noise.
    """
    from sklearn.decomposition import LatentDirichletAllocation

    _check_relevance(relevance)
    counts = count_matrix(texts, tokenizer)
    lda = LatentDirichletAllocation(num_topics, learning_method="online", max_iter=max_iter, random_state=seed)
    components = lda.fit(counts).components_
    with np.errstate(divide="ignore"):
        of_topics = torch.from_numpy(np.log(components / components.sum(1, keepdims=True)))
        frequency = torch.from_numpy(np.log(np.asarray(counts.sum(0)).ravel() / counts.sum()))
    words = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    never = torch.isneginf(frequency)
    scores = [_relevance(row, frequency, relevance).masked_fill(never, -torch.inf) for row in of_topics]
    return [[words[i] for i in row.topk(num_words).indices.tolist()] for row in scores]


def count_matrix(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase):
    """Counts of words, a sparse matrix `(len(texts), len(tokenizer))`; special tokens and `<unk>` are not counted."""
    from scipy.sparse import csr_array

    rows = tokenizer(list(texts), truncation=True)["input_ids"]
    columns = np.concatenate(rows)
    starts = np.cumsum([0, *map(len, rows)])
    counts = csr_array((np.ones(len(columns)), columns, starts), shape=(len(rows), len(tokenizer)))
    special = [*tokenizer.all_special_ids, tokenizer.convert_tokens_to_ids("<unk>")]
    is_word = np.ones(len(tokenizer))
    is_word[special] = 0
    counts = (counts * is_word).tocsr()
    counts.sum_duplicates()
    counts.eliminate_zeros()
    return counts


def _relevance(log_probability: torch.Tensor, log_frequency: torch.Tensor, relevance: float) -> torch.Tensor:
    return log_probability - (1 - relevance) * log_frequency


def _check_relevance(relevance: float) -> None:
    if not 0 <= relevance <= 1:
        raise ValueError(f"relevance must be between 0 and 1, got {relevance}")
