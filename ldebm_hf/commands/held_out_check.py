"""A check of generated texts by a classifier apart from the model, fitted on texts that the model never saw."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..data import Corpus, Split
from ..training.saved_runs import settings_to_show


class HeldOutCheck:
    """
    A logistic regression on words and pairs of words, fitted on held-out texts of a corpus and scored on others.

    The texts are the test split and the validation split or, without a test split, the halves of the validation split.

    Args:
        corpus (`Corpus`): The corpus that a model was trained on. If the texts to fit on have fewer than two classes,
            the check answers `None` for every text.

    Attributes:
        num_fitted (`int`), num_scored (`int`): Number of texts it was fitted and scored on.
        accuracy (`float`, *optional*): Its accuracy on the latter.
        majority (`float`, *optional*): The accuracy of always answering the most frequent class.
    """

    def __init__(self, corpus: Corpus):
        fit_on, score_on = held_out_halves(corpus)
        self.num_fitted, self.num_scored = len(fit_on), len(score_on)
        self.classifier: Any = None
        self.accuracy = self.majority = None
        if len(fit_on.classes) < 2:
            return
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        words = CountVectorizer(ngram_range=(1, 2), token_pattern=r"\S+")
        self.classifier = make_pipeline(words, LogisticRegression(max_iter=1000))
        self.classifier.fit(fit_on.texts, fit_on.labels)
        self.accuracy = self.classifier.score(score_on.texts, score_on.labels)
        self.majority = Counter(score_on.labels).most_common(1)[0][1] / len(score_on)

    def predict(self, texts: Sequence[str]) -> list[int | None]:
        """Return the label of each text."""
        if self.classifier is None:
            return [None] * len(texts)
        return self.classifier.predict(texts).tolist()

    def describe(self) -> str:
        """Say how good the check is; empty if it has no answers."""
        if self.classifier is None:
            return ""
        return (
            f"held-out check: fitted on {self.num_fitted} texts, right on {self.accuracy:.1%} of {self.num_scored} "
            f"others\n(always the commonest label: {self.majority:.1%})"
        )


def held_out_halves(corpus: Corpus) -> tuple[Split, Split]:
    """Return labelled texts to fit a check on and to score it on; no training text is among them."""
    if corpus.test is not None:
        return _labelled(corpus.test), _labelled(corpus.validation)
    validation = _labelled(corpus.validation)
    return validation.select(range(0, len(validation), 2)), validation.select(range(1, len(validation), 2))


def _labelled(split: Split) -> Split:
    return split.select(i for i, label in enumerate(split.labels) if label >= 0)


def symbols_of_labels(labels: Sequence[int | None], corpus: Corpus, known: dict[str, int]) -> list[int | None]:
    """
    Return the symbol of each label.

    Args:
        labels (`Sequence[int]`): Labels of the corpus.
        corpus (`Corpus`): A label that some training text has was taught as the symbol of the same id, whatever the
            symbol is called now. Any other label is the symbol of its name, if there is one.
        known (`dict[str, int]`): Symbols by name.
    """
    taught = corpus.train.classes
    by_name = {label: known.get(name) for label, name in enumerate(corpus.label_names)}
    return [label if label in taught else by_name.get(label) for label in labels]


def load_training_corpus(
    checkpoint: str, data: str | None = None, validation_file: str | None = None
) -> Corpus | None:
    """
    Load the corpus that a local checkpoint was trained on; `None`, with a note on stderr, if it cannot be read, or is
    in files that the user does not give by `data` and `validation_file`.
    """
    try:
        settings = settings_to_show(checkpoint, data, validation_file)
    except ValueError as error:
        print(f"note: no held-out check: {error}", file=sys.stderr)
        return None
    if settings is None:
        return None
    if settings.data.streaming:
        print(f"note: no held-out check, {settings.data.source} is a stream, too long to read for it", file=sys.stderr)
        return None
    try:
        return settings.load_corpus()
    except (OSError, ValueError, ImportError) as error:
        print(f"note: no held-out check, the corpus cannot be read again: {error}", file=sys.stderr)
        return None
