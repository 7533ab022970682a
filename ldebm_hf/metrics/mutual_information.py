from dataclasses import asdict

import datasets

from ldebm_hf.metrics.base import ScoreMetric
from ldebm_hf.scores import mutual_information


class MutualInformation(ScoreMetric):
    """I(z; y) of latents and symbols over a whole set, in nats: H(mean p(y|z)) − mean H(p(y|z)).

    Args:
        predictions (`list[list[float]]` of shape `(n, K)`): p(y|z) of each text.

    Returns:
        `dict[str, float]`: `mutual_information` and its standard error over the texts,
        `mutual_information_std_error`; `marginal_entropy` and `conditional_entropy`, whose difference it is.
    """

    inputs = datasets.Features({"predictions": datasets.List(datasets.Value("float64"))})
    source = "Yu et al., Latent Diffusion Energy-Based Model for Interpretable Text Modeling, ICML 2022, Eq. 9"

    def _compute(self, predictions) -> dict[str, float]:
        return asdict(mutual_information(predictions))
