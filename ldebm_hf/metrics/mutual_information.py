from dataclasses import asdict

import datasets

from ldebm_hf.metrics.base import ScoreMetric
from ldebm_hf.scores import mutual_information


class MutualInformation(ScoreMetric):
    """Mutual information I(z; y) of latents and symbols over a whole set, H(mean p(y|z)) − mean H(p(y|z)), in nats.

    Args:
        predictions (`list[list[float]]` of shape `(n, K)`): p(y|z) of each text.

    Returns:
        `dict[str, float]`: `mutual_information`; its standard error over the texts, `mutual_information_std_error`;
        and the entropies of which it is the difference, `marginal_entropy` and `conditional_entropy`.
    """

    inputs = datasets.Features({"predictions": datasets.List(datasets.Value("float64"))})
    source = "Yu et al., Latent Diffusion Energy-Based Model for Interpretable Text Modeling, ICML 2022, Eq. 9"

    def _compute(self, predictions) -> dict[str, float]:
        return asdict(mutual_information(predictions))
