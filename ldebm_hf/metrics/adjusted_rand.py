from ldebm_hf.metrics.base import SymbolMetric


class AdjustedRand(SymbolMetric):
    """Share of the pairs of examples on which symbols and classes agree, corrected so that chance is 0.

    Args:
        predictions (`list[int]`): the symbol of each example.
        references (`list[int]`): its true class; examples with a negative one are left out.
        num_permutations (`int`, *optional*, defaults to 20), seed (`int`, *optional*, defaults to 0): for the chance
            level.

    Returns:
        `dict[str, float]`: `adjusted_rand`, and under random permutations of the symbols its mean
        `adjusted_rand_chance` and standard deviation `adjusted_rand_chance_std`.
    """

    score_name = "adjusted_rand"
    source = "Hubert and Arabie, Comparing Partitions, Journal of Classification 2, 1985"
