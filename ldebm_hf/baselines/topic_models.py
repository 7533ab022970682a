"""Topics of latent Dirichlet allocation, and their scores next to those of a model's symbols."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from ..model.distinctive_words import relevances
from ..model.validation import Number
from ..scores.topics import topic_coherence, topic_diversity
from ..text.word_counts import count_rows


def lda_topics(
    texts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    num_topics: int,
    *,
    num_words: int = 10,
    relevance: float = 0.6,
    max_iter: int = 30,
    seed: int = 0,
) -> list[list[str]]:
    """
    Topics by latent Dirichlet allocation (Blei et al., 2003), fitted by scikit-learn's variational Bayes on the words
    of a document tokenizer. Words are ranked as in [`~ldebm_hf.model.explanation.symbol_topics`].

    Args:
        texts (`Sequence[str]`): Texts to fit the topics on.
        tokenizer (`PreTrainedTokenizerBase`): A tokenizer of `build_document_tokenizer`, whose vocabulary is used.
        num_topics (`int`): Number of topics.
        num_words (`int`, *optional*, defaults to 10): Number of words per topic.
        relevance (`float`, *optional*, defaults to 0.6): Weight of a word's probability in the ranking, as in
            [`~ldebm_hf.model.explanation.symbol_topics`].
        max_iter (`int`, *optional*, defaults to 30): Number of passes over the texts, with one update per pass. Online
            updates found topics of unrelated words in 18,000 short texts.
        seed (`int`, *optional*, defaults to 0): Seed of the initialisation.

    Returns:
        `list[list[str]]`: The words of each topic, the most relevant first.
    """
    from sklearn.decomposition import LatentDirichletAllocation

    relevance = Number(at_least=0, at_most=1)("relevance", relevance)
    counts = count_matrix(texts, tokenizer)
    lda = LatentDirichletAllocation(num_topics, learning_method="batch", max_iter=max_iter, random_state=seed)
    components = lda.fit(counts).components_
    with np.errstate(divide="ignore"):
        topics = torch.from_numpy(np.log(components / components.sum(1, keepdims=True)))
        frequency = torch.from_numpy(np.log(np.asarray(counts.sum(0)).ravel() / counts.sum()))
    words = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    never = torch.isneginf(frequency)
    scores = [relevances(row, frequency, relevance).masked_fill(never, -torch.inf) for row in topics]
    return [[words[i] for i in row.topk(num_words).indices.tolist()] for row in scores]


def count_matrix(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase):
    """Word counts, a sparse matrix `(len(texts), len(tokenizer))`; special tokens and `<unk>` are not counted."""
    counts = count_rows(tokenizer(list(texts), truncation=True)["input_ids"], len(tokenizer))
    special = [*tokenizer.all_special_ids, tokenizer.convert_tokens_to_ids("<unk>")]
    is_word = np.ones(len(tokenizer))
    is_word[special] = 0
    counts = (counts * is_word).tocsr()
    counts.eliminate_zeros()
    return counts


def topic_scores(
    topics: Sequence[Sequence[str]], texts: Sequence[str], tokenizer: PreTrainedTokenizerBase
) -> dict[str, Any]:
    """
    Coherence and diversity of topics.

    Args:
        topics (`Sequence[Sequence[str]]`): Top words of each topic.
        texts (`Sequence[str]`): Texts to score the topics on. Held-out texts, on which no topic was fitted, are
            the most informative.
        tokenizer (`PreTrainedTokenizerBase`): A tokenizer of `build_document_tokenizer`.

    Returns:
        `dict`: `coherence`, the mean NPMI over the topics; `coherence_of_topics`, the NPMI of each; and `diversity`.
    """
    words = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    documents = ([words[i] for i in row] for row in tokenizer(list(texts), truncation=True)["input_ids"])
    coherence = topic_coherence(topics, documents)
    return {
        "coherence": float(coherence.mean()),
        "diversity": topic_diversity(topics),
        "coherence_of_topics": coherence.tolist(),
    }


def compare_with_lda(
    topics: Sequence[Sequence[str]],
    train_texts: Sequence[str],
    texts: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """
    Compare topics with the same number of topics of LDA, with the same number of words.

    Args:
        topics (`Sequence[Sequence[str]]`): At least one topic; all have the same number of words.
        train_texts (`Sequence[str]`): Texts to fit LDA on.
        texts (`Sequence[str]`): Texts to score the topics on. A few hundred are not enough: most pairs of rarer words
            occur in none of them.
        tokenizer (`PreTrainedTokenizerBase`): A tokenizer of `build_document_tokenizer`, whose vocabulary is used.
        seed (`int`, *optional*, defaults to 0): Seed of LDA.

    Returns:
        `dict`: `num_words` per topic; `num_texts` that were used for scoring; and `own` and `lda`, which are what
        [`topic_scores`] returns, the latter together with its `words`.
    """
    num_words = len(topics[0])
    lda_words = lda_topics(train_texts, tokenizer, len(topics), num_words=num_words, seed=seed)
    return {
        "num_words": num_words,
        "num_texts": len(texts),
        "own": topic_scores(topics, texts, tokenizer),
        "lda": {"words": lda_words, **topic_scores(lda_words, texts, tokenizer)},
    }
