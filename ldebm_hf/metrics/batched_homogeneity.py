from dataclasses import asdict

import datasets

from ldebm_hf.metrics.base import ScoreMetric
from ldebm_hf.scores import batched_homogeneity


class BatchedHomogeneity(ScoreMetric):
    """Homogeneity within consecutive batches, averaged, as in published figures; read it with its chance level.

    Args:
        predictions (`list[int]`): the symbol of each example, in the order that makes the batches.
        references (`list[int]`): its true class; examples with a negative one are left out.
        batch_size (`int`, *optional*, defaults to 128): examples per batch.
        drop_last (`bool`, *optional*, defaults to `True`): leave out a smaller last batch, as published.
        num_permutations (`int`, *optional*, defaults to 20), seed (`int`, *optional*, defaults to 0): for the chance
            level.

    Returns:
        `dict[str, float]`: `batched_homogeneity`, and under random permutations of the symbols its mean
        `batched_homogeneity_chance` and standard deviation `batched_homogeneity_chance_std`.
    """

    inputs = datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")})
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
