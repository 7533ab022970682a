"""Latent semantic analysis of token ids: what texts are about, by their words alone."""

from collections.abc import Iterable, Sequence

import numpy as np

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

        known = {token for ids in token_ids for token in ids}.difference(ignored)
        self.columns = {token: column for column, token in enumerate(sorted(known))}
        if min(len(token_ids), len(self.columns)) < 3:
            raise ValueError(
                "token_ids must be of three texts and three different words at least, got "
                f"{len(token_ids)} texts of {len(self.columns)} words"
            )
        counts = self._counts(token_ids)
        directions = main_directions(counts.shape, num_directions, seed)
        self.pipeline = make_pipeline(TfidfTransformer(), directions).fit(counts)

    def of(self, token_ids: Sequence[Sequence[int]]) -> np.ndarray:
        """Vectors of length 1 of texts, float32 `(len(token_ids), num_directions)`; 0 for one without a known word."""
        return self.pipeline.transform(self._counts(token_ids)).astype(np.float32)

    def _counts(self, token_ids: Sequence[Sequence[int]]):
        """How often every text has every known token, sparse `(len(token_ids), number of known tokens)`."""
        columns = [[self.columns[token] for token in ids if token in self.columns] for ids in token_ids]
        return count_rows(columns, len(self.columns))


def count_rows(rows: Sequence[Sequence[int]], num_columns: int):
    """How often each row names each column, a sparse matrix `(len(rows), num_columns)`."""
    from scipy.sparse import csr_array

    ends = np.cumsum([0, *map(len, rows)])
    flat = np.fromiter((column for row in rows for column in row), dtype=np.int64, count=ends[-1])
    counts = csr_array((np.ones(len(flat)), flat, ends), shape=(len(rows), num_columns))
    counts.sum_duplicates()
    return counts


def main_directions(shape: tuple[int, int], num_directions: int, seed: int):
    """What is to be fitted on TF-IDF vectors of this shape, a pipeline of scikit-learn: their main directions, at most
    so many and fewer than texts and than words, and then length 1."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer

    svd = TruncatedSVD(min(num_directions, min(shape) - 1), random_state=seed)
    return make_pipeline(svd, Normalizer(copy=False))
