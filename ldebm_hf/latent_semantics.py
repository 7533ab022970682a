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
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfTransformer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import Normalizer

        known = {token for ids in token_ids for token in ids}.difference(ignored)
        self.columns = {token: column for column, token in enumerate(sorted(known))}
        most = min(len(token_ids), len(self.columns)) - 1
        if most < 2:
            raise ValueError(
                "token_ids must be of three texts and three different words at least, got "
                f"{len(token_ids)} texts of {len(self.columns)} words"
            )
        svd = TruncatedSVD(min(num_directions, most), random_state=seed)
        self.pipeline = make_pipeline(TfidfTransformer(), svd, Normalizer(copy=False)).fit(self._counts(token_ids))

    def of(self, token_ids: Sequence[Sequence[int]]) -> np.ndarray:
        """Vectors of length 1 of texts, float32 `(len(token_ids), num_directions)`; 0 for one without a known word."""
        return self.pipeline.transform(self._counts(token_ids)).astype(np.float32)

    def _counts(self, token_ids: Sequence[Sequence[int]]):
        """How often every text has every known token, sparse `(len(token_ids), number of known tokens)`."""
        from scipy.sparse import csr_array

        columns = [[self.columns[token] for token in ids if token in self.columns] for ids in token_ids]
        ends = np.cumsum([0, *map(len, columns)])
        flat = np.fromiter((column for row in columns for column in row), dtype=np.int64, count=ends[-1])
        counts = csr_array((np.ones(len(flat)), flat, ends), shape=(len(token_ids), len(self.columns)))
        counts.sum_duplicates()
        return counts
