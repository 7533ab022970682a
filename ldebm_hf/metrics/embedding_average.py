from ldebm_hf.metrics.base import EmbeddingMetric


class EmbeddingAverage(EmbeddingMetric):
    """Cosine similarity, -1 to 1, of the mean word vectors of response and reference."""

    score_name = "average"
    source = "Mitchell and Lapata, Vector-based Models of Semantic Composition, ACL 2008"
