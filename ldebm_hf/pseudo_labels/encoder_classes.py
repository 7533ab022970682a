"""Classes of texts of which few have a label, from vectors of a pretrained encoder and from words."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from .naive_bayes import NUM_FOLDS, WordClasses, class_probabilities, label_folds
from .neighbour_graph import NeighbourGraph

PENALTIES = (1.0, 10.0, 100.0)
"""Inverse strengths of the penalty of logistic regression, of which cross-validation chooses one."""
MAX_TEXTS = 50_000
"""Largest number of texts to fit on, because the time to find the neighbours of texts grows with its square."""


class EvidenceWeights(NamedTuple):
    """
    How much each source of evidence counts: exponents of its probabilities in a product.

    Args:
        words (`float`): Of naive Bayes over words, beside regression on vectors.
        own (`float`): Of both together, beside what has spread from neighbours.
    """

    words: float
    own: float


CHOICES = tuple(EvidenceWeights(words, own) for words in (0.2, 0.0) for own in (0.5, 1.0, 2.0, 0.0))
"""The weights that cross-validation chooses from; of equally good ones the first."""


class EncoderClasses:
    """
    p(y|x) of texts of which few have a label, from vectors of a pretrained encoder.

    Logistic regression on the vectors of the labelled texts, multiplied by naive Bayes over words ([`WordClasses`]),
    gives every text a p(y|x) of its own. It spreads over the nearest neighbours of all texts, labelled or not
    ([`NeighbourGraph`]), and what has spread is multiplied by the text's own once more. Cross-validation on the
    labelled texts chooses the penalty of the regression and the weights in both products.

    Args:
        vectors (`np.ndarray` of shape `(n, size)`): Vectors of the texts to fit on. Of more than 50,000 a random
            sample is taken, which holds all that have a label if these are not more.
        labels (`np.ndarray` of shape `(n,)`): Class ids of these texts, negative where unknown.
        num_classes (`int`): Number of classes. Classes without any label have probability 0.
        token_ids (`Sequence[Sequence[int]]`, *optional*): Tokens of the texts, without padding; by default words do
            not count.
        ignored (`Iterable[int]`, *optional*): Tokens to ignore, for instance a tokenizer's `all_special_ids`.

    Attributes:
        accuracies (`dict[EvidenceWeights, float]`): The accuracy of each choice in cross-validation; empty if a class
            has a single label, because then nothing can be held out.
        weights ([`EvidenceWeights`]): The best choice.
        fair_accuracy (`float`, *optional*): The accuracy in cross-validation of choosing so, to compare it with a
            method that has nothing to choose: texts of a fold count as the choice that is best on the other folds
            has them. The accuracy of the best of several choices is too high, the more so the fewer labels there are
            (Varma & Simon, BMC Bioinformatics 2006). `None` if nothing can be held out.

    Raises:
        ValueError: If there are labels of fewer than two classes.
    """

    def __init__(
        self,
        vectors: np.ndarray,
        labels: np.ndarray,
        num_classes: int,
        token_ids: Sequence[Sequence[int]] | None = None,
        ignored: Iterable[int] = (),
    ):
        rows = _sample(labels)
        self.num_classes, self.vectors, self.labels = num_classes, np.asarray(vectors[rows]), labels[rows]
        classes, counts = np.unique(self.labels[self.labels >= 0], return_counts=True)
        if len(classes) < 2:
            raise ValueError(f"labels must be of at least two classes, got {classes.tolist()}")
        self.num_folds = min(NUM_FOLDS, int(counts.min()))
        self.words = None
        if token_ids is not None:
            self.words = WordClasses([token_ids[row] for row in rows], self.labels, num_classes, ignored)
        self.graph = NeighbourGraph(self.vectors)
        self.penalty = self._best_penalty()
        num_right = self._cross_validated()
        num_labels = int(counts.sum())
        self.accuracies = {choice: sum(folds) / num_labels for choice, folds in num_right.items()}
        self.weights = max(self._choices, key=lambda choice: self.accuracies.get(choice, 0.0))
        self.fair_accuracy = fairly_chosen(list(num_right.values())) / num_labels if num_right else None
        self.regression = self._fitted_regression(self.labels)
        self.spread = self._spread(self._own(self.regression, self.labels, self.weights.words), self.labels)

    def features(self, vectors: np.ndarray, token_ids: Sequence[Sequence[int]] | None = None) -> np.ndarray:
        """
        p(y|x) of texts, float32 `(n, num_classes)`.

        Args:
            vectors (`np.ndarray` of shape `(n, size)`): Vectors of the texts, the fitted ones or others.
            token_ids (`Sequence[Sequence[int]]`, *optional*): Their tokens; without them their words do not count.
        """
        found = np.empty((len(vectors), self.num_classes), dtype=np.float32)
        for start in range(0, len(vectors), MAX_TEXTS):
            part = slice(start, start + MAX_TEXTS)
            own = self._regressed(self.regression, np.asarray(vectors[part]))
            if self.words is not None and token_ids is not None:
                own = _product(own, self.words.features(token_ids[part]), self.weights.words)
            spread = self.graph.spread_to(np.asarray(vectors[part]), own, self.spread)
            found[part] = _product(spread, own, self.weights.own)
        return found

    @property
    def _choices(self) -> list[EvidenceWeights]:
        return [choice for choice in CHOICES if self.words is not None or not choice.words]

    def _cross_validated(self) -> dict[EvidenceWeights, list[int]]:
        """For each choice the number of labelled texts in each fold that it names right; empty without folds."""
        if self.num_folds < 2:
            return {}
        num_right: dict[EvidenceWeights, list[int]] = {choice: [] for choice in self._choices}
        for held_out, kept in label_folds(self.labels):
            regression = self._fitted_regression(kept)
            for words in {choice.words for choice in self._choices}:
                own = self._own(regression, kept, words)
                spread = self._spread(own, kept)
                for choice in (choice for choice in self._choices if choice.words == words):
                    found = _product(spread[held_out], own[held_out], choice.own).argmax(1)
                    num_right[choice].append(int((found == self.labels[held_out]).sum()))
        return num_right

    def _own(self, regression, labels: np.ndarray, words: float) -> np.ndarray:
        """p(y|x) of the fitted texts by regression, times what words say that have learned from these labels."""
        own = self._regressed(regression, self.vectors)
        return _product(own, self.words.of_training_texts(labels), words) if words else own

    def _spread(self, own: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """What spreads if texts with a label have it for certain."""
        known, start = labels >= 0, own.copy()
        start[known] = np.eye(self.num_classes)[labels[known]]
        return self.graph.spread(start)

    def _best_penalty(self) -> float:
        from sklearn.model_selection import GridSearchCV

        if self.num_folds < 2:
            return PENALTIES[0]
        known = self.labels >= 0
        search = GridSearchCV(_regression(), {"C": PENALTIES}, scoring="neg_log_loss", cv=self.num_folds, refit=False)
        return search.fit(self.vectors[known] - self.graph.center, self.labels[known]).best_params_["C"]

    def _fitted_regression(self, labels: np.ndarray):
        known = labels >= 0
        return _regression(C=self.penalty).fit(self.vectors[known] - self.graph.center, labels[known])

    def _regressed(self, regression, vectors: np.ndarray) -> np.ndarray:
        return class_probabilities(regression, vectors - self.graph.center, self.num_classes)


def fairly_chosen(num_right: Sequence[Sequence[int]]) -> int:
    """
    The number of texts that are right if those of each fold are named by the choice that is best on the other folds.

    Args:
        num_right (`Sequence[Sequence[int]]`): For each choice the number of texts in each fold that it names right.
    """
    table = np.asarray(num_right)  # (num_choices, num_folds)
    on_other_folds = table.sum(1, keepdims=True) - table
    return int(table[on_other_folds.argmax(0), np.arange(table.shape[1])].sum())


def _regression(**settings: float):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000, **settings)


def _sample(labels: np.ndarray) -> np.ndarray:
    """Rows of at most [`MAX_TEXTS`] texts in their order, those with a label first."""
    order = np.random.default_rng(0).permutation(len(labels))
    return np.sort(order[np.argsort(labels[order] < 0, kind="stable")][:MAX_TEXTS])


def _product(probabilities: np.ndarray, others: np.ndarray, weight: float) -> np.ndarray:
    """The product of probabilities `(n, num_classes)` and the powers of others, with sums of 1."""
    product = probabilities * np.maximum(others, 1e-9) ** weight
    return product / product.sum(1, keepdims=True)
