"""What the metrics share: a description from the docstring, and comparisons of symbols, responses and samples."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
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


class ScoreMetric(evaluate.Metric, ABC):
    """A metric whose description is its docstring; `compute` returns a plain `dict[str, float]`.

    Abstract, as `evaluate.load` takes the first class of a file that is not. The class attributes are:

    Args:
        inputs (`datasets.Features`): what `add_batch` and `compute` take, per example.
        source (`str`): where the score is from.
    """

    inputs: datasets.Features
    source: str

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=inspect.getdoc(type(self)),
            citation=self.source,
            inputs_description=inspect.getdoc(type(self)),
            features=self.inputs,
        )

    @abstractmethod
    def _compute(self, **inputs) -> dict[str, float]:
        """The scores of everything that was added; settings that are no inputs come from `compute`."""


class SymbolMetric(ScoreMetric):
    """One field of [`ldebm_hf.scores.SymbolScores`], with its chance level.

    Args:
        score_name (`str`): the field, set by the class.
    """

    inputs = datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")})

    @property
    @abstractmethod
    def score_name(self) -> str:
        """The field."""

    def _compute(self, predictions, references, num_permutations: int = 20, seed: int = 0) -> dict[str, float]:
        scores = asdict(symbol_scores(predictions, references, num_permutations, seed))
        return {name: scores[name] for name in (self.score_name + suffix for suffix in ("", "_chance", "_chance_std"))}


class EmbeddingMetric(ScoreMetric):
    """One field of [`ldebm_hf.scores.EmbeddingScores`], with its chance level, coverage and number of pairs.

    Args:
        score_name (`str`): the field, set by the class.
    """

    inputs = datasets.Features({"predictions": datasets.Value("string"), "references": datasets.Value("string")})

    @property
    @abstractmethod
    def score_name(self) -> str:
        """The field."""

    def _compute(
        self,
        predictions,
        references,
        vectors: Any = None,
        training_texts: Iterable[str] | None = None,
        num_shuffles: int = 5,
        seed: int = 0,
    ) -> dict[str, float]:
        if (vectors is None) == (training_texts is None):
            got = "neither" if vectors is None else "both"
            raise ValueError(f"vectors, or training_texts to train them on, must be given, got {got}")
        if training_texts is not None:
            vectors = train_vectors_by_neighbours(training_texts, seed=seed)
        elif hasattr(vectors, "key_to_index"):  # gensim's
            vectors = WordVectors(vectors.key_to_index, vectors.vectors)
        elif not isinstance(vectors, WordVectors):
            vectors = load_word_vectors(vectors)
        scores = asdict(embedding_scores(predictions, references, vectors, num_shuffles=num_shuffles, seed=seed))
        names = [self.score_name + suffix for suffix in ("", "_chance", "_chance_std")] + ["coverage", "num_pairs"]
        return {name: float(scores[name]) for name in names}


class PerplexityMetric(ScoreMetric):
    """Perplexity under an LSTM language model that is trained for it.

    Args:
        score (`Callable`): of predictions, other texts and settings, set by the class.
    """

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
