"""Topics as lists of words: those of LDA, and how good any are, as what a model's symbols write."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from ..model.distinctive_words import check_relevance, relevances
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
    Topics by latent Dirichlet allocation (Blei et al., 2003; variational Bayes of scikit-learn) on the words of a
    document tokenizer, ranked as in [`~ldebm_hf.model.explanation.symbol_topics`].

    Args:
        texts (`Sequence[str]`): What is fitted.
        tokenizer (`PreTrainedTokenizerBase`): Of `build_document_tokenizer`; its vocabulary is LDA's.
        num_topics (`int`): K.
        max_iter (`int`, *optional*, defaults to 30): Passes over the texts, each an update by all of them: online
            updates found topics of unrelated words in 18,000 short texts.
        num_words, relevance, seed: Words per topic, their ranking, and the seed of all noise.
    """
    from sklearn.decomposition import LatentDirichletAllocation

    check_relevance(relevance)
    counts = count_matrix(texts, tokenizer)
    lda = LatentDirichletAllocation(num_topics, learning_method="batch", max_iter=max_iter, random_state=seed)
    components = lda.fit(counts).components_
    with np.errstate(divide="ignore"):
        of_topics = torch.from_numpy(np.log(components / components.sum(1, keepdims=True)))
        frequency = torch.from_numpy(np.log(np.asarray(counts.sum(0)).ravel() / counts.sum()))
    words = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    never = torch.isneginf(frequency)
    scores = [relevances(row, frequency, relevance).masked_fill(never, -torch.inf) for row in of_topics]
    return [[words[i] for i in row.topk(num_words).indices.tolist()] for row in scores]


def count_matrix(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase):
    """Counts of words, a sparse matrix `(len(texts), len(tokenizer))`; special tokens and `<unk>` are not counted."""
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
    How well the words of topics go together in texts, and how much the topics differ.

    Args:
        topics (`Sequence[Sequence[str]]`): Top words of each.
        texts (`Sequence[str]`): Those that no topic was fitted on tell most.
        tokenizer (`PreTrainedTokenizerBase`): Of `build_document_tokenizer`.

    Returns:
        `dict`: `coherence`, the mean of `coherence_of_topics` (NPMI), and `diversity`.
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
    Topics beside as many of LDA with as many words, fitted on the training texts.

    Args:
        topics (`Sequence[Sequence[str]]`): At least one, of the same number of words each.
        train_texts (`Sequence[str]`): What LDA is fitted on.
        texts (`Sequence[str]`): What all are scored on. Of a few hundred texts, none has most pairs of rarer words.
        tokenizer (`PreTrainedTokenizerBase`): Of `build_document_tokenizer`; its vocabulary is LDA's.
        seed (`int`, *optional*, defaults to 0): LDA's.

    Returns:
        `dict`: `num_words` of a topic, `num_texts` that all are scored on, and, as [`topic_scores`] returns them,
        `own` and `lda`, the latter with its `words`.
    """
    num_words = len(topics[0])
    of_lda = lda_topics(train_texts, tokenizer, len(topics), num_words=num_words, seed=seed)
    return {
        "num_words": num_words,
        "num_texts": len(texts),
        "own": topic_scores(topics, texts, tokenizer),
        "lda": {"words": of_lda, **topic_scores(of_lda, texts, tokenizer)},
    }
