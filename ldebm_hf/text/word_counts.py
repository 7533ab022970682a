"""How often texts have which words, as sparse matrices."""

from collections.abc import Iterable, Sequence

import numpy as np


class WordCounts:
    """Counts of the tokens that some texts have, of these or of other texts.

    Args:
        token_ids (`Sequence[Sequence[int]]`): of the texts whose tokens are known from then on, not padded.
        ignored (`Iterable[int]`, *optional*): tokens that say nothing, as those of a tokenizer's `all_special_ids`.
    """

    def __init__(self, token_ids: Sequence[Sequence[int]], ignored: Iterable[int] = ()):
        known = {token for ids in token_ids for token in ids}.difference(ignored)
        self.columns = {token: column for column, token in enumerate(sorted(known))}

    def count(self, token_ids: Sequence[Sequence[int]]):
        """How often every text has every known token, sparse `(len(token_ids), len(columns))`."""
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
