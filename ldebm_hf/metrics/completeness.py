from ldebm_hf.metrics.base import SymbolMetric


class Completeness(SymbolMetric):
    """Completeness of a whole set: I(symbol; class) / H(symbol), 1 if all examples of a class have one symbol."""

    score_name = "completeness"
    source = "Rosenberg and Hirschberg, V-Measure: A Conditional Entropy-Based External Cluster Evaluation, EMNLP 2007"
