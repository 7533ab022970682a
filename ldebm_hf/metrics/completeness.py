from ldebm_hf.metrics.base import SymbolMetric


class Completeness(SymbolMetric):
    """I(symbol; class) / H(symbol) of a whole set: 1 if each class lies in one symbol.

    Args:
        predictions (`list[int]`): the symbol of each example.
        references (`list[int]`): its true class; examples with a negative one are left out.
        num_permutations (`int`, *optional*, defaults to 20), seed (`int`, *optional*, defaults to 0): for the chance
            level.

    Returns:
        `dict[str, float]`: `completeness`, and under random permutations of the symbols its mean
        `completeness_chance` and standard deviation `completeness_chance_std`.
    """

    score_name = "completeness"
    source = "Rosenberg and Hirschberg, V-Measure: A Conditional Entropy-Based External Cluster Evaluation, EMNLP 2007"
