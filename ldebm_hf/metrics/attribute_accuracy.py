from ldebm_hf.metrics.base import PAIRS_OF_LABELS, ScoreMetric
from ldebm_hf.scores import attribute_accuracy


class AttributeAccuracy(ScoreMetric):
    """Fraction of texts that have the requested attribute, according to a judge.

    Args:
        predictions (`list[int]` or `list[str]`): The label that a judge assigns to each text, by id or by name.
        references (`list[int]` or `list[str]`): The requested label of each text, by id or by name; texts with a
            negative id are ignored.
        label_names (`list[str]`, *optional*): Names of the labels for the keys; by default the labels themselves.
            Needed if one of the two has ids and the other one names.

    Returns:
        `dict[str, float]`: `accuracy`; its mean `accuracy_chance` and standard deviation `accuracy_chance_std` over
        all permutations of the judge's labels; `accuracy_NAME` for the texts of each requested label; and the binomial
        standard error of each accuracy, `accuracy_std_error` and `accuracy_NAME_std_error`.
    """

    inputs = PAIRS_OF_LABELS
    source = "Yu et al., Latent Diffusion Energy-Based Model for Interpretable Text Modeling, ICML 2022, Table 7"

    def _compute(self, predictions, references, label_names: list[str] | None = None) -> dict[str, float]:
        return attribute_accuracy(predictions, references, label_names)
