"""Codes of several categorical variables, and the symbols that number their joint values (first variable slowest)."""

import torch
from torch.nn import functional as F


def joint_logits(code_logits: torch.Tensor) -> torch.Tensor:
    """
    Log probabilities of the joint values of independent variables.

    Args:
        code_logits (`torch.Tensor` of shape `(batch_size, num_variables, num_categories)`): Of each variable, up to
            constants.

    Returns:
        `torch.Tensor` of shape `(batch_size, num_categories ** num_variables)`.
    """
    first, *others = code_logits.log_softmax(-1).unbind(1)
    for logits in others:
        first = (first[:, :, None] + logits[:, None]).flatten(1)
    return first


def one_hot_codes(symbols: torch.Tensor, num_variables: int, num_categories: int) -> torch.Tensor:
    """The codes that symbols `(n,)` number, as one-hot vectors `(n, num_variables, num_categories)`, int64."""
    place_values = num_categories ** torch.arange(num_variables - 1, -1, -1, device=symbols.device)
    return F.one_hot(symbols[:, None] // place_values % num_categories, num_categories)
