"""Classification with few labels: models and baselines that learn from the same labels, on the same held-out texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from transformers import PreTrainedTokenizerBase

from ..baselines.few_label_classifiers import (
    Baseline,
    feature_head,
    feature_regression,
    fit_selected,
    hard_em,
    self_training,
    tfidf_regression,
    vector_regression,
)
from ..data import Corpus, Split
from ..data.splits import keep_labels
from ..pseudo_labels.naive_bayes import class_probabilities
from ..scores.classification import classification_scores
from ..scores.held_out_texts import read_texts
from ..text.word_vectors import load_word_vectors, train_vectors_by_texts

if TYPE_CHECKING:
    from ..model.modeling_ldebm import LDEBMModel

GIVEN_VECTORS = "given_vectors"
"""Name of the baseline that needs a file of word vectors."""
MAX_VECTOR_SIZE = 300


def in_domain_vectors(train_texts: Sequence[str]) -> Baseline:
    """Return the baseline on averaged word vectors of the training texts: 300 dimensions, fewer for few texts."""
    size = max(1, min(MAX_VECTOR_SIZE, len(train_texts) // 10))
    return vector_regression(train_texts, train_vectors_by_texts(train_texts, size))


TEXT_BASELINES: dict[str, Callable[[Sequence[str]], Baseline]] = {
    "tfidf_regression": tfidf_regression,
    "in_domain_vectors": in_domain_vectors,
    "self_training": self_training,
    "hard_em": hard_em,
}
FEATURE_BASELINES = {"feature_regression": feature_regression, "feature_head": feature_head}
"""Baselines on the features of a pretrained encoder, by name."""


def for_selection(corpus: Corpus, split: str) -> tuple[Corpus, Split]:
    """Return the corpus with the texts to select on as its validation split, and the texts to score.

    To score the validation split, every second text is selected on and the others are scored. To score another split,
    the whole validation split is selected on.
    """
    if split != "validation":
        return corpus, corpus.splits[split]
    whole = corpus.validation
    first, second = (whole.select(range(start, len(whole), 2)) for start in (0, 1))
    return replace(corpus, validation=first), second


def text_baseline_scores(
    name: str,
    corpus: Corpus,
    split: str,
    label_counts: Sequence[int],
    seed: int,
    word_vectors: str | Path | None = None,
    features: Callable[[Sequence[str]], np.ndarray] | None = None,
) -> dict[str, float]:
    """Score a baseline that needs no model of this package, for each number of labels.

    Args:
        name (`str`): One of `TEXT_BASELINES`, or `GIVEN_VECTORS`, or with `features` one of `FEATURE_BASELINES`.
        corpus (`Corpus`): The corpus with all labels.
        split (`str`): The split to score; see [`for_selection`].
        label_counts (`Sequence[int]`): Numbers of known labels, the same for each class.
        seed (`int`): Decides which labels are known.
        word_vectors (`str` or `Path`, *optional*): File of word vectors in GloVe's format, for `GIVEN_VECTORS`.
        features (`Callable`, *optional*): Maps texts to the features of a pretrained encoder, `(n, feature_size)`.

    Raises:
        ValueError: If the name is unknown, or the file is not given.
        FileNotFoundError: If there is no such file.
    """
    corpus, scored = for_selection(corpus, split)
    texts = corpus.train.texts
    coverage = {}
    if name == GIVEN_VECTORS:
        if word_vectors is None:
            raise ValueError(f"{GIVEN_VECTORS} needs word_vectors, a file")
        vectors = load_word_vectors(word_vectors)
        coverage = {"word_coverage": vectors.coverage(scored.texts)}
        baseline = vector_regression(texts, vectors)
    elif features is not None and name in FEATURE_BASELINES:
        baseline = FEATURE_BASELINES[name](features(texts), features)
    elif name in TEXT_BASELINES:
        baseline = TEXT_BASELINES[name](texts)
    else:
        known = ", ".join([*TEXT_BASELINES, GIVEN_VECTORS])
        raise ValueError(f"unknown baseline {name!r}: there are {known}")
    return _fitted_scores(baseline, corpus, scored, label_counts, seed) | coverage


def latent_classifier_scores(
    model: LDEBMModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    scored: Split,
    label_counts: Sequence[int],
    seed: int,
) -> dict[str, float]:
    """Score logistic regression on the posterior means of a model that was trained without labels.

    Args:
        model ([`LDEBMModel`]): The trained model, in evaluation mode.
        tokenizer (`PreTrainedTokenizerBase`): Its tokenizer.
        corpus (`Corpus`), scored (`Split`): From [`for_selection`]; the training texts have all labels.
        label_counts, seed: As in [`text_baseline_scores`].
    """

    def means(texts: Sequence[str]) -> np.ndarray:
        return read_texts(model, tokenizer, texts, reconstruct=False).means

    baseline = feature_regression(means(corpus.train.texts), means)
    return _fitted_scores(baseline, corpus, scored, label_counts, seed)


def symbol_scores(
    model: LDEBMModel, tokenizer: PreTrainedTokenizerBase, scored: Split, label_count: int
) -> dict[str, float]:
    """Score p(y|x) of a model that has learned from `label_count` labels, on texts that it was not selected on."""
    probabilities = read_texts(model, tokenizer, scored.texts, reconstruct=False).probabilities
    return _named(probabilities, scored, label_count)


def _fitted_scores(
    baseline: Baseline, corpus: Corpus, scored: Split, label_counts: Sequence[int], seed: int
) -> dict[str, float]:
    selection, features = baseline.features(corpus.validation.texts), baseline.features(scored.texts)
    scores: dict[str, float] = {}
    for count in label_counts:
        labels = keep_labels(corpus.train, count, seed).labels
        fit = fit_selected(baseline, labels, selection, corpus.validation.labels)
        scores |= _named(class_probabilities(fit.classifier, features, len(corpus.label_names)), scored, count)
    return scores


def _named(probabilities: np.ndarray, scored: Split, label_count: int) -> dict[str, float]:
    scores = classification_scores(probabilities, np.asarray(scored.labels))
    return {
        f"accuracy_{label_count}_labels": scores.accuracy,
        f"calibration_error_{label_count}_labels": scores.calibration_error,
    }
