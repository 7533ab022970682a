"""Classification with few labels: models and baselines on the same draws of labels, selected and scored apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from ..baselines.few_label_classifiers import (
    Baseline,
    feature_regression,
    fit_selected,
    hard_em,
    self_training,
    tfidf_regression,
    vector_regression,
)
from ..data import Corpus, Split
from ..data.splits import keep_labels
from ..model.modeling_ldebm import LDEBMModel
from ..pseudo_labels.naive_bayes import class_probabilities
from ..scores.classification import classification_scores
from ..scores.held_out_texts import read_texts
from ..text.word_vectors import load_word_vectors, train_vectors_by_texts

GIVEN_VECTORS = "given_vectors"
"""The baseline that needs a file of word vectors."""
MAX_VECTOR_SIZE = 300


def in_domain_vectors(train_texts: Sequence[str]) -> Baseline:
    """Averages of word vectors that the training texts themselves gave; of 300 numbers, fewer for few texts."""
    size = max(1, min(MAX_VECTOR_SIZE, len(train_texts) // 10))
    return vector_regression(train_texts, train_vectors_by_texts(train_texts, size))


TEXT_BASELINES: dict[str, Callable[[Sequence[str]], Baseline]] = {
    "tfidf_regression": tfidf_regression,
    "in_domain_vectors": in_domain_vectors,
    "self_training": self_training,
    "hard_em": hard_em,
}


def for_selection(corpus: Corpus, split: str) -> tuple[Corpus, Split]:
    """The corpus with what may be selected on as its validation split, and what is scored.

    Of the validation split that is every second text and the others; of another split, the whole validation split and
    that one.
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
) -> dict[str, float]:
    """Scores of a baseline without a model of this package, by number of labels.

    Args:
        name (`str`): one of `TEXT_BASELINES`, or `GIVEN_VECTORS`.
        corpus (`Corpus`): with all labels.
        split (`str`): what is scored; see [`for_selection`].
        label_counts (`Sequence[int]`): labels that are known, equally many of each class.
        seed (`int`): which ones.
        word_vectors (`str` or `Path`, *optional*): a file in GloVe's format, for `GIVEN_VECTORS`.

    Raises:
        ValueError: a name that is unknown, or no file for it; FileNotFoundError: no such file.
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
    """Scores of logistic regression on the posterior means of a model that was trained without labels.

    Args:
        model ([`LDEBMModel`]), tokenizer (`PreTrainedTokenizerBase`): trained, in evaluation mode.
        corpus (`Corpus`), scored (`Split`): what [`for_selection`] returns, the training texts with all labels.
        label_counts, seed: as in [`text_baseline_scores`].
    """

    def means(texts: Sequence[str]) -> np.ndarray:
        return read_texts(model, tokenizer, texts, reconstruct=False).means

    baseline = feature_regression(means(corpus.train.texts), means)
    return _fitted_scores(baseline, corpus, scored, label_counts, seed)


def symbol_scores(
    model: LDEBMModel, tokenizer: PreTrainedTokenizerBase, scored: Split, label_count: int
) -> dict[str, float]:
    """Scores of p(y|x) by a model that was taught `label_count` labels, on texts that it was not selected on."""
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
