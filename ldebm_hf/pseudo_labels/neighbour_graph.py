"""Probabilities of classes that spread from text to similar text."""

import numpy as np

NUM_NEIGHBOURS = 30
SPREADING = 0.8
"""How much of a text's probabilities comes from its neighbours; the rest is its own."""
NUM_ROUNDS = 30
"""Of which the last changes less than a thousandth (0.8 to the power of 30)."""
SHARPNESS = 3
"""Power of the cosine similarity that weighs a neighbour."""


class NeighbourGraph:
    """
    The nearest neighbours of texts by the cosine of their centred vectors, over which class probabilities are spread
    (Zhou et al., *Learning with local and global consistency*, NIPS 2003).

    scikit-learn's `LabelSpreading` starts from labels alone. This one starts from probabilities of all texts, which is
    worth several points of accuracy where labels are few.

    Args:
        vectors (`np.ndarray` of shape `(n, size)`): Vectors of the texts, at least two.
    """

    def __init__(self, vectors: np.ndarray):
        import scipy.sparse
        from sklearn.neighbors import NearestNeighbors

        if len(vectors) < 2:
            raise ValueError(f"vectors must be of at least two texts, got {len(vectors)}")
        self.center = vectors.mean(0)
        self.neighbours = NearestNeighbors(n_neighbors=min(NUM_NEIGHBOURS, len(vectors) - 1), algorithm="brute")
        self.neighbours.fit(self._directions(vectors))
        weights = self._weights(*self.neighbours.kneighbors())
        weights = weights.maximum(weights.T)
        scale = scipy.sparse.diags_array(np.asarray(weights.sum(1)).ravel() ** -0.5)
        self.transitions = scale @ weights @ scale

    def spread(self, probabilities: np.ndarray) -> np.ndarray:
        """
        What the probabilities of all texts become when each takes on those of its neighbours.

        Args:
            probabilities (`np.ndarray` of shape `(n, num_classes)`): Of the texts of the graph, in their order.

        Returns:
            `np.ndarray` of shape `(n, num_classes)`: Probabilities, too.
        """
        spread = probabilities
        for _ in range(NUM_ROUNDS):
            spread = SPREADING * (self.transitions @ spread) + (1 - SPREADING) * probabilities
        return _to_sum_one(spread)

    def spread_to(self, vectors: np.ndarray, own: np.ndarray, spread: np.ndarray) -> np.ndarray:
        """
        What [`spread`] would make of the probabilities of other texts, which do not change those of the graph.

        Args:
            vectors (`np.ndarray` of shape `(m, size)`), own (`np.ndarray` of shape `(m, num_classes)`): Vectors and
                probabilities of these texts.
            spread (`np.ndarray` of shape `(n, num_classes)`): Result of [`spread`] for the texts of the graph.

        Returns:
            `np.ndarray` of shape `(m, num_classes)`: Probabilities.
        """
        neighbours = self._weights(*self.neighbours.kneighbors(self._directions(vectors))) @ spread
        return SPREADING * _to_sum_one(neighbours) + (1 - SPREADING) * own

    def _directions(self, vectors: np.ndarray) -> np.ndarray:
        from sklearn.preprocessing import normalize

        return normalize(np.asarray(vectors, dtype=np.float32) - self.center)

    def _weights(self, distances: np.ndarray, indices: np.ndarray):
        """A sparse matrix of similarities, `(len(distances), n)`."""
        import scipy.sparse

        cosines = 1 - distances.ravel() ** 2 / 2  # the distances of vectors of unit length
        weights = np.maximum(cosines, 1e-6) ** SHARPNESS
        rows = np.repeat(np.arange(len(distances)), distances.shape[1])
        shape = (len(distances), self.neighbours.n_samples_fit_)
        return scipy.sparse.csr_array((weights, (rows, indices.ravel())), shape=shape)


def _to_sum_one(values: np.ndarray) -> np.ndarray:
    return values / values.sum(1, keepdims=True)
