from ldebm_hf.metrics.base import EmbeddingMetric


class EmbeddingExtrema(EmbeddingMetric):
    """Likeness of responses to references by the extreme values of their word vectors: the cosine, -1 to 1.

    Args:
        predictions (`list[str]`): the responses, words at white space.
        references (`list[str]`): one for each.
        vectors (`WordVectors`, gensim's `KeyedVectors`, `str` or `Path`): word vectors, or a file of them (GloVe's or
            word2vec's text format).
        training_texts (`Iterable[str]`): in place of those, texts to train vectors on, by scikit-learn.
        num_shuffles (`int`, *optional*, defaults to 5), seed (`int`, *optional*, defaults to 0): of the chance level.

    Returns:
        `dict[str, float]`: `extrema`, its mean `extrema_chance` and standard deviation `extrema_chance_std` for
        shuffled responses, `coverage` (share of the words that have a vector) and `num_pairs`.
    """

    score_name = "extrema"
    source = "Forgues et al., Bootstrapping Dialog Systems with Word Embeddings, NIPS workshop 2014"
