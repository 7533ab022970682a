from ldebm_hf.metrics.base import SymbolMetric


class Homogeneity(SymbolMetric):
    """I(symbol; class) / H(class) of a whole set: 1 if each symbol has members of one class only.

    Args:
        predictions (`list[int]`): the symbol of each example.
        references (`list[int]`): its true class; examples with a negative one are left out.
        num_permutations (`int`, *optional*, defaults to 20), seed (`int`, *optional*, defaults to 0): for the chance
            level.

    Returns:
        `dict[str, float]`: `homogeneity`, and under random permutations of the symbols its mean
        `homogeneity_chance` and standard deviation `homogeneity_chance_std`.
    """

    score_name = "homogeneity"
    source = "Rosenberg and Hirschberg, V-Measure: A Conditional Entropy-Based External Cluster Evaluation, EMNLP 2007"
