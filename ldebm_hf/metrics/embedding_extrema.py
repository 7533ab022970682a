from ldebm_hf.metrics.base import EmbeddingMetric


class EmbeddingExtrema(EmbeddingMetric):
    """Cosine similarity, -1 to 1, of the most extreme values of the word vectors of response and reference."""

    score_name = "extrema"
    source = "Forgues et al., Bootstrapping Dialog Systems with Word Embeddings, NIPS workshop 2014"
