"""Latent semantic analysis of token ids: what texts are about, by their words alone."""

from collections.abc import Iterable, Sequence

import numpy as np

from ..text.word_counts import WordCounts

NUM_DIRECTIONS = 100


class LatentSemantics:
    """TF-IDF of tokens, projected to its main directions and scaled to length 1 (Deerwester et al., JASIS 1990).

    Args:
        token_ids (`Sequence[Sequence[int]]`): of the texts that it is fitted on, not padded.
        ignored (`Iterable[int]`, *optional*): tokens that say nothing, as those of a tokenizer's `all_special_ids`.
        num_directions (`int`, *optional*, defaults to 100): at most; fewer than texts and than different tokens.
        seed (`int`, *optional*, defaults to 0): of the randomised decomposition.

    Raises:
        ValueError: fewer than three texts or than three different tokens.
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
        counts = self.counts.of(token_ids)
        if min(counts.shape) < 3:
            raise ValueError(
                "token_ids must be of three texts and three different words at least, got "
                f"{counts.shape[0]} texts of {counts.shape[1]} words"
            )
        directions = main_directions(counts.shape, num_directions, seed)
        self.pipeline = make_pipeline(TfidfTransformer(), directions).fit(counts)

    def of(self, token_ids: Sequence[Sequence[int]]) -> np.ndarray:
        """Vectors of length 1 of texts, float32 `(len(token_ids), num_directions)`; 0 for one without a known word."""
        return self.pipeline.transform(self.counts.of(token_ids)).astype(np.float32)


def main_directions(shape: tuple[int, int], num_directions: int, seed: int):
    """What is to be fitted on TF-IDF vectors of this shape, a pipeline of scikit-learn: their main directions, at most
    so many and fewer than texts and than words, and then length 1."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer

    svd = TruncatedSVD(min(num_directions, min(shape) - 1), random_state=seed)
    return make_pipeline(svd, Normalizer(copy=False))
