from dataclasses import asdict

from ldebm_hf.metrics.base import PAIRS_OF_LABELS, ScoreMetric
from ldebm_hf.scores import batched_homogeneity


class BatchedHomogeneity(ScoreMetric):
    """Mean homogeneity within consecutive batches, as in published figures; read it next to its chance level.

    Args:
        predictions (`list[int]` or `list[str]`): The symbol of each example, by id or by name, in the order that makes
            the batches.
        references (`list[int]` or `list[str]`): The true class of each example, by id or by name; examples with a
            negative id are ignored.
        batch_size (`int`, *optional*, defaults to 128): Examples per batch.
        drop_last (`bool`, *optional*, defaults to `True`): Whether to ignore a smaller last batch, as published.
        num_permutations (`int`, *optional*, defaults to 20): Random permutations for the chance level.
        seed (`int`, *optional*, defaults to 0): Seed of the permutations.

    Returns:
        `dict[str, float]`: `batched_homogeneity`, and its mean `batched_homogeneity_chance` and standard deviation
        `batched_homogeneity_chance_std` over random permutations of the symbols.
    """

    inputs = PAIRS_OF_LABELS
    source = "Yu et al., Latent Diffusion Energy-Based Model for Interpretable Text Modeling, ICML 2022, Table 3"

    def _compute(
        self,
        predictions,
        references,
        batch_size: int = 128,
        drop_last: bool = True,
        num_permutations: int = 20,
        seed: int = 0,
    ) -> dict[str, float]:
        return asdict(batched_homogeneity(predictions, references, batch_size, drop_last, num_permutations, seed))
