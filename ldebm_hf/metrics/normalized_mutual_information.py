from ldebm_hf.metrics.base import SymbolMetric


class NormalizedMutualInformation(SymbolMetric):
    """I(symbol; class) of a whole set, divided by the mean of the two entropies; equals the V-measure."""

    score_name = "normalized_mutual_information"
    source = "Strehl and Ghosh, Cluster Ensembles, Journal of Machine Learning Research 3, 2002"
