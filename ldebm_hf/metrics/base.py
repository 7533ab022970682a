"""Base classes of the metrics: of all, of comparisons of symbols or responses, and of perplexities."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from itertools import product
from typing import Any

import datasets
import evaluate

from ldebm_hf.scores import (
    WordVectors,
    embedding_scores,
    load_word_vectors,
    symbol_scores,
    train_vectors_by_neighbours,
)
from ldebm_hf.scores.lstm_language_model import LanguageModelSettings

LABELS = (datasets.Value("string"), datasets.Value("int64"))
"""A label is a name or an id. Names come first: evaluate would read the name "1" as the id 1."""
PAIRS_OF_LABELS = [
    datasets.Features({"predictions": prediction, "references": reference})
    for prediction, reference in product(LABELS, LABELS)
]
SYMBOL_USAGE = """\
Args:
    predictions (`list[int]` or `list[str]`): The symbol of each example, by id or by name.
    references (`list[int]` or `list[str]`): The true class of each example, by id or by name; examples with a negative
        id are ignored.
    num_permutations (`int`, *optional*, defaults to 20): Random permutations for the chance level.
    seed (`int`, *optional*, defaults to 0): Seed of the permutations.

Returns:
    `dict[str, float]`: `{name}`, and its mean `{name}_chance` and standard deviation `{name}_chance_std` over random
    permutations of the symbols."""
RESPONSES = datasets.Features({"predictions": datasets.Value("string"), "references": datasets.Value("string")})
EMBEDDING_USAGE = """\
Args:
    predictions (`list[str]`): The responses, with words separated by white space.
    references (`list[str]`): One reference per response.
    vectors (`WordVectors`, gensim's `KeyedVectors`, `str` or `Path`): Word vectors, or a file of them in the text
        format of GloVe or word2vec.
    training_texts (`Iterable[str]`): Texts to train word vectors on, in place of `vectors`.
    num_shuffles (`int`, *optional*, defaults to 5): Random assignments of responses for the chance level.
    seed (`int`, *optional*, defaults to 0): Seed of the random assignments and of the training of vectors.

Returns:
    `dict[str, float]`: `{name}`; its mean `{name}_chance` and standard deviation `{name}_chance_std` for responses
    that are assigned at random; `coverage`, the fraction of the words that have a vector; and `num_pairs`."""


class ScoreMetric(evaluate.Metric, ABC):
    """
    A metric whose description is its docstring, and whose `compute` returns a plain `dict[str, float]`.

    The class is abstract because `evaluate.load` takes the first class of a file that is not.

    Attributes:
        inputs (`datasets.Features` or a list of them): What `add_batch` and `compute` take for each example.
        source (`str`): The publication of the score.
    """

    inputs: datasets.Features | list[datasets.Features]
    source: str

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=inspect.getdoc(type(self)),
            citation=self.source,
            inputs_description=self.usage(),
            features=self.inputs,
        )

    def usage(self) -> str:
        """Arguments and result of `compute`; by default the docstring."""
        return inspect.getdoc(type(self))

    @abstractmethod
    def _compute(self, **inputs) -> dict[str, float]:
        """The scores of all examples that were added; other arguments are those of `compute`."""


class SymbolMetric(ScoreMetric):
    """One field of [`ldebm_hf.scores.SymbolScores`], named `score_name`, with its chance level."""

    inputs = PAIRS_OF_LABELS

    @property
    @abstractmethod
    def score_name(self) -> str:
        """Name of the field."""

    def usage(self) -> str:
        return SYMBOL_USAGE.format(name=self.score_name)

    def _compute(self, predictions, references, num_permutations: int = 20, seed: int = 0) -> dict[str, float]:
        scores = asdict(symbol_scores(predictions, references, num_permutations, seed))
        return {name: scores[name] for name in (self.score_name + suffix for suffix in ("", "_chance", "_chance_std"))}


class EmbeddingMetric(ScoreMetric):
    """One field of [`ldebm_hf.scores.EmbeddingScores`], named `score_name`, with chance level, coverage and pairs."""

    inputs = RESPONSES

    @property
    @abstractmethod
    def score_name(self) -> str:
        """Name of the field."""

    def usage(self) -> str:
        return EMBEDDING_USAGE.format(name=self.score_name)

    def _compute(
        self,
        predictions,
        references,
        vectors: Any = None,
        training_texts: Iterable[str] | None = None,
        num_shuffles: int = 5,
        seed: int = 0,
    ) -> dict[str, float]:
        vectors = word_vectors(vectors, training_texts, seed)
        scores = asdict(embedding_scores(predictions, references, vectors, num_shuffles=num_shuffles, seed=seed))
        names = [self.score_name + suffix for suffix in ("", "_chance", "_chance_std")] + ["coverage", "num_pairs"]
        return {name: float(scores[name]) for name in names}


def word_vectors(vectors: Any, training_texts: Iterable[str] | None, seed: int) -> WordVectors:
    """
    The word vectors that `compute` is given, or those of the texts that it is given instead.

    Raises:
        ValueError: Neither or both are given.
    """
    if (vectors is None) == (training_texts is None):
        got = "neither" if vectors is None else "both"
        raise ValueError(f"either vectors or training_texts must be given, got {got}")
    if training_texts is not None:
        return train_vectors_by_neighbours(training_texts, seed=seed)
    if hasattr(vectors, "key_to_index"):  # gensim's KeyedVectors
        return WordVectors(vectors.key_to_index, vectors.vectors)
    if isinstance(vectors, WordVectors):
        return vectors
    return load_word_vectors(vectors)


class PerplexityMetric(ScoreMetric):
    """Perplexity under an LSTM language model, which is trained first."""

    inputs = datasets.Features({"predictions": datasets.Value("string")})

    @property
    @abstractmethod
    def score(self):
        """[`ldebm_hf.scores.reverse_perplexity`] or [`ldebm_hf.scores.forward_perplexity`]."""

    def _scores(self, predictions: Sequence[str], others: Sequence[str], options: dict) -> dict[str, float]:
        names = {field.name for field in fields(LanguageModelSettings)} & options.keys()
        settings = LanguageModelSettings(**{name: options.pop(name) for name in names})
        scores = self.score(predictions, others, settings, **options)
        name = self.score.__name__
        return {name: scores.perplexity, "unknown_share": scores.num_unknown / scores.num_tokens}
