from ldebm_hf.metrics.base import SymbolMetric


class VMeasure(SymbolMetric):
    """V-measure of a whole set: the harmonic mean of homogeneity and completeness."""

    score_name = "v_measure"
    source = "Rosenberg and Hirschberg, V-Measure: A Conditional Entropy-Based External Cluster Evaluation, EMNLP 2007"
