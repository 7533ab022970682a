from ldebm_hf.metrics.base import SymbolMetric


class NormalizedMutualInformation(SymbolMetric):
    """I(symbol; class) over the mean of the two entropies, of a whole set: the V-measure's other name.

    Args:
        predictions (`list[int]`): the symbol of each example.
        references (`list[int]`): its true class; examples with a negative one are left out.
        num_permutations (`int`, *optional*, defaults to 20), seed (`int`, *optional*, defaults to 0): for the chance
            level.

    Returns:
        `dict[str, float]`: `normalized_mutual_information`, and under random permutations of the symbols its mean
        `normalized_mutual_information_chance` and standard deviation `normalized_mutual_information_chance_std`.
    """

    score_name = "normalized_mutual_information"
    source = "Strehl and Ghosh, Cluster Ensembles, Journal of Machine Learning Research 3, 2002"
