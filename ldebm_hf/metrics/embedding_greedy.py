from ldebm_hf.metrics.base import EmbeddingMetric


class EmbeddingGreedy(EmbeddingMetric):
    """Likeness of responses to references by matching each word with its nearest in the other text: -1 to 1.

    Args:
        predictions (`list[str]`): the responses, words at white space.
        references (`list[str]`): one for each.
        vectors (`WordVectors`, gensim's `KeyedVectors`, `str` or `Path`): word vectors, or a file of them (GloVe's or
            word2vec's text format).
        training_texts (`Iterable[str]`): in place of those, texts to train vectors on, by scikit-learn.
        num_shuffles (`int`, *optional*, defaults to 5), seed (`int`, *optional*, defaults to 0): of the chance level.

    Returns:
        `dict[str, float]`: `greedy`, its mean `greedy_chance` and standard deviation `greedy_chance_std` for
        shuffled responses, `coverage` (share of the words that have a vector) and `num_pairs`.
    """

    score_name = "greedy"
    source = "Rus and Lintean, A Comparison of Greedy and Optimal Assessment of Student Input, BEA 2012"
