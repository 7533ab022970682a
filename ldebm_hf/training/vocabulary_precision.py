"""How exactly training multiplies states and words in the reconstruction loss of texts."""

import torch
from accelerate import Accelerator

from .settings import Settings


def vocabulary_dtype(settings: Settings, accelerator: Accelerator) -> torch.dtype | None:
    """
    What the products with the vocabulary are rounded to in training; `None` for nothing.

    Raises:
        ValueError: If `training.vocabulary_precision` is bfloat16 together with mixed precision, which decides about
            all products.
    """
    if settings.training.vocabulary_precision == "float32":
        return None
    if accelerator.mixed_precision != "no":
        raise ValueError(
            "training.vocabulary_precision=bfloat16 needs training.mixed_precision=no, got "
            f"{accelerator.mixed_precision}, which decides about all products"
        )
    return torch.bfloat16
