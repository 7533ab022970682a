"""Codes: values of M categorical variables of C categories each, and the symbols that number the joint values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from .noise import at_least_float32, draw

if TYPE_CHECKING:
    from .configuration_ldebm import LDEBMConfig


def joint_logits(code_logits: torch.Tensor) -> torch.Tensor:
    """
    Log probabilities of the joint values of independent variables. The first variable is the slowest to change.

    Args:
        code_logits (`torch.Tensor` of shape `(batch_size, num_variables, num_categories)`): Log probabilities of each
            variable's categories, up to constants.

    Returns:
        `torch.Tensor` of shape `(batch_size, num_categories ** num_variables)`.
    """
    first, *others = code_logits.log_softmax(-1).unbind(1)
    for logits in others:
        first = (first[:, :, None] + logits[:, None]).flatten(1)
    return first


def one_hot_codes(symbols: torch.Tensor, num_variables: int, num_categories: int) -> torch.Tensor:
    """The codes that symbols `(n,)` number, as one-hot vectors `(n, num_variables, num_categories)` of int64."""
    place_values = num_categories ** torch.arange(num_variables - 1, -1, -1, device=symbols.device)
    return F.one_hot(symbols[:, None] // place_values % num_categories, num_categories)


class CodeDistribution(nn.Module):
    """
    Prior p(c) of independent code variables: uniform, or p(c|context) = softmax of a linear map of the context.

    Args:
        config ([`LDEBMConfig`]): Settings of the model.
    """

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.shape = (config.num_code_variables, config.code_categories)
        self.of_context = nn.Linear(config.context_size, math.prod(self.shape)) if config.context_size else None

    def log_probability(self, context: torch.Tensor | None) -> torch.Tensor | float:
        """
        Log probability of every category of every variable, `(batch_size, num_variables, num_categories)`; without a
        context a single number, because the distribution is uniform.
        """
        if self.of_context is None:
            return -math.log(self.shape[1])
        logits = self.of_context(context.to(self.of_context.weight.dtype))
        return at_least_float32(logits).unflatten(-1, self.shape).log_softmax(-1)

    def sample(
        self,
        num_samples: int,
        symbols: torch.Tensor | None,
        like: torch.Tensor,
        generator: torch.Generator | None,
        context: torch.Tensor | None,
    ) -> torch.Tensor:
        """
        Draw codes, or look up those of given symbols.

        Args:
            num_samples (`int`): Number of codes.
            symbols (`torch.LongTensor` of shape `(num_samples,)`, *optional*): Joint codes to return instead of draws.
            like (`torch.Tensor`): Tensor whose dtype and device the result has.
            generator (`torch.Generator`, *optional*): Source of noise.
            context (`torch.Tensor` of shape `(num_samples, context_size)`, *optional*): Context vectors.

        Returns:
            One-hot vectors, `(num_samples, num_variables, num_categories)`.
        """
        num_variables, categories = self.shape
        if symbols is not None:
            return one_hot_codes(symbols, num_variables, categories).to(like.dtype)
        uniform = draw(torch.rand, (num_samples, num_variables), like, generator)
        drawn = (uniform * categories).long()
        if context is not None:  # inverse of the cumulative distribution function
            drawn = (self.log_probability(context).exp().cumsum(-1) <= uniform[..., None]).sum(-1)
        drawn = drawn.clamp(max=categories - 1)
        return F.one_hot(drawn, categories).to(like.dtype)
