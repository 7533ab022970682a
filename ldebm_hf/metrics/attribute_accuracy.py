import datasets

from ldebm_hf.metrics.base import ScoreMetric
from ldebm_hf.scores import attribute_accuracy


class AttributeAccuracy(ScoreMetric):
    """Share of texts whose attribute, by a judge, is the one that was asked for.

    Args:
        predictions (`list[int]`): the label that a judge gives each text.
        references (`list[int]`): the label asked for; texts with a negative one are left out.
        label_names (`list[str]`, *optional*): names for the keys; default the labels themselves.

    Returns:
        `dict[str, float]`: `accuracy`, its mean `accuracy_chance` and standard deviation `accuracy_chance_std` over
        all permutations of the judge's labels, and `accuracy_NAME` of the texts that each label was asked for; of each
        share the binomial standard error, `…_std_error`.
    """

    inputs = datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")})
    source = "Yu et al., Latent Diffusion Energy-Based Model for Interpretable Text Modeling, ICML 2022, Table 7"

    def _compute(self, predictions, references, label_names: list[str] | None = None) -> dict[str, float]:
        return attribute_accuracy(predictions, references, label_names)
