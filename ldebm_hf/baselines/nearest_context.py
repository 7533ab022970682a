"""Responses that are copied from the training dialogue whose context is nearest, without any learning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..data import Split

NEAREST_CONTEXT = "nearest_context"
"""Name of the row in a table of responses."""
CONTEXTS_AT_A_TIME = 500
"""Contexts that are compared with all training contexts at once, which bounds the memory."""


def nearest_context_responses(training: Split, contexts: Sequence[Sequence[str]]) -> list[str]:
    """
    Answer every context with what was said in training after the most similar context.

    Contexts are compared by the cosine of their words and pairs of words, weighted by TF-IDF with the logarithm of
    counts. Of equally similar contexts the first one answers. What scores well in this way needs no understanding: the
    held-out dialogue resembles one in training (retrieval as a baseline of dialogues: Lowe et al., SIGDIAL 2015).

    Args:
        training (`Split`): Training texts with their contexts.
        contexts (`Sequence[Sequence[str]]`): The turns to answer, of each context the oldest first.

    Raises:
        ValueError: `training` has no contexts.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    if training.contexts is None:
        raise ValueError("training must have contexts, got a split without")
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\S+", dtype=np.float32)
    known = vectorizer.fit_transform(map(" ".join, training.contexts)).T.tocsr()
    asked = vectorizer.transform(map(" ".join, contexts))
    responses = []
    for start in range(0, len(contexts), CONTEXTS_AT_A_TIME):
        similarities = asked[start : start + CONTEXTS_AT_A_TIME] @ known
        nearest = np.asarray(similarities.argmax(axis=1)).ravel()
        responses += [training.texts[i] for i in nearest]
    return responses
