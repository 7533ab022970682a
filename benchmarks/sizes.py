"""How large the models and batches of a comparison are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Sizes:
    """
    Args:
        settings (`Mapping[str, Any]`): Fields of `LDEBMConfig` that differ from the published sizes.
        batch_size (`int`, *optional*, defaults to 128): Texts of a training step.
        num_samples (`int`, *optional*, defaults to 1024): Latents and sentences that are sampled at once.
        published_batch (`int`, *optional*, defaults to 100): The same of the published style.
        num_clustered (`int`, *optional*, defaults to 500000): Posterior means that are clustered.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = 128
    num_samples: int = 1024
    published_batch: int = 100
    num_clustered: int = 500_000


PUBLISHED = Sizes()
SMALL = Sizes(
    {
        "embedding_size": 16,
        "encoder_hidden_size": 16,
        "decoder_hidden_size": 16,
        "latent_size": 8,
        "energy_hidden_size": 16,
        "energy_num_blocks": 2,
    },
    batch_size=4,
    num_samples=6,
    published_batch=3,
    num_clustered=1000,
)
"""Sizes with which every comparison takes seconds on a CPU; their figures say nothing about speed."""
