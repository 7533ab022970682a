from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from ldebm_hf.metrics.base import RESPONSES, ScoreMetric, word_vectors
from ldebm_hf.scores import response_retrieval


class ResponseRetrieval(ScoreMetric):
    """How often a response is nearer, by its word vectors, to its own reference than to another one; 0.5 is chance.

    Args:
        predictions (`list[str]`): The responses, with words separated by white space.
        references (`list[str]`): One reference per response.
        vectors (`WordVectors`, gensim's `KeyedVectors`, `str` or `Path`): Word vectors, or a file of them in the text
            format of GloVe or word2vec.
        training_texts (`Iterable[str]`): Texts to train word vectors on, in place of `vectors`.
        seed (`int`, *optional*, defaults to 0): Seed of the training of vectors.

    Returns:
        `dict[str, float]`: `retrieval`; its standard error `retrieval_std_error`; and `num_responses`, of those whose
        reference has a word with a vector.
    """

    inputs = RESPONSES
    source = "Lowe et al., The Ubuntu Dialogue Corpus, SIGDIAL 2015"

    def _compute(
        self,
        predictions,
        references,
        vectors: Any = None,
        training_texts: Iterable[str] | None = None,
        seed: int = 0,
    ) -> dict[str, float]:
        scores = asdict(response_retrieval(predictions, references, word_vectors(vectors, training_texts, seed)))
        return {name: float(value) for name, value in scores.items()}
