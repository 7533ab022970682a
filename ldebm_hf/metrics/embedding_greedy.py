from ldebm_hf.metrics.base import EmbeddingMetric


class EmbeddingGreedy(EmbeddingMetric):
    """Cosine similarity, -1 to 1, of each word with its most similar word in the other text."""

    score_name = "greedy"
    source = "Rus and Lintean, A Comparison of Greedy and Optimal Assessment of Student Input, BEA 2012"
