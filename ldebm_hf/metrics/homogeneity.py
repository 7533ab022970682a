from ldebm_hf.metrics.base import SymbolMetric


class Homogeneity(SymbolMetric):
    """Homogeneity of a whole set: I(symbol; class) / H(class), 1 if every symbol has examples of one class only."""

    score_name = "homogeneity"
    source = "Rosenberg and Hirschberg, V-Measure: A Conditional Entropy-Based External Cluster Evaluation, EMNLP 2007"
