from ldebm_hf.metrics.base import SymbolMetric


class VMeasure(SymbolMetric):
    """Harmonic mean of homogeneity and completeness of a whole set.

    Args:
        predictions (`list[int]`): the symbol of each example.
        references (`list[int]`): its true class; examples with a negative one are left out.
        num_permutations (`int`, *optional*, defaults to 20), seed (`int`, *optional*, defaults to 0): for the chance
            level.

    Returns:
        `dict[str, float]`: `v_measure`, and under random permutations of the symbols its mean
        `v_measure_chance` and standard deviation `v_measure_chance_std`.
    """

    score_name = "v_measure"
    source = "Rosenberg and Hirschberg, V-Measure: A Conditional Entropy-Based External Cluster Evaluation, EMNLP 2007"
