"""Latent semantic analysis: vectors of texts from the words in them."""

from collections.abc import Iterable, Sequence

import numpy as np

from ..text.word_counts import WordCounts

NUM_DIRECTIONS = 100


class LatentSemantics:
    """TF-IDF vectors, projected to their principal directions and scaled to length 1 (Deerwester et al., JASIS 1990).

    Args:
        token_ids (`Sequence[Sequence[int]]`): the texts to fit on, without padding.
        ignored (`Iterable[int]`, *optional*): tokens to ignore, for instance a tokenizer's `all_special_ids`.
        num_directions (`int`, *optional*, defaults to 100): number of directions, reduced to less than the numbers of
            texts and of distinct tokens.
        seed (`int`, *optional*, defaults to 0): seed of the randomised decomposition.

    Raises:
        ValueError: fewer than three texts or three distinct tokens.
    """

    def __init__(
        self,
        token_ids: Sequence[Sequence[int]],
        ignored: Iterable[int] = (),
        *,
        num_directions: int = NUM_DIRECTIONS,
        seed: int = 0,
    ):
        from sklearn.feature_extraction.text import TfidfTransformer
        from sklearn.pipeline import make_pipeline

        self.counts = WordCounts(token_ids, ignored)
        counts = self.counts.count(token_ids)
        if min(counts.shape) < 3:
            raise ValueError(
                "token_ids must be at least three texts with three distinct words, got "
                f"{counts.shape[0]} texts with {counts.shape[1]} words"
            )
        directions = latent_semantic_projection(counts.shape, num_directions, seed)
        self.pipeline = make_pipeline(TfidfTransformer(), directions).fit(counts)

    def features(self, token_ids: Sequence[Sequence[int]]) -> np.ndarray:
        """The vectors of texts, float32 `(len(token_ids), num_directions)`.

        They have length 1, or 0 for a text without any known word.
        """
        return self.pipeline.transform(self.counts.count(token_ids)).astype(np.float32)


def latent_semantic_projection(shape: tuple[int, int], num_directions: int, seed: int):
    """A pipeline of scikit-learn that projects TF-IDF vectors to their principal directions, and scales to length 1.

    Args:
        shape (`tuple[int, int]`): the numbers of texts and of words that it will be fitted on.
        num_directions (`int`): number of directions, reduced to less than both of these.
        seed (`int`): seed of the randomised decomposition.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer

    svd = TruncatedSVD(min(num_directions, min(shape) - 1), random_state=seed)
    return make_pipeline(svd, Normalizer(copy=False))
