from ldebm_hf.metrics.base import SymbolMetric


class AdjustedRand(SymbolMetric):
    """Adjusted Rand index of a whole set: agreement on pairs of examples, corrected so that its chance level is 0."""

    score_name = "adjusted_rand"
    source = "Hubert and Arabie, Comparing Partitions, Journal of Classification 2, 1985"
