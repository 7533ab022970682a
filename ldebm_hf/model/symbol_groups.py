"""Symbols that stand for several outputs of the energy network each, as merged symbols do."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .computed_buffers import ComputedBuffers


class SymbolGroups(ComputedBuffers):
    """
    The logit g_y = log Σ_{k in y} exp f_k of each symbol y, given the outputs f of an energy network.

    Then p(y|z) = softmax g is the sum of the outputs' probabilities, and the free energy logsumexp g = logsumexp f, on
    which the prior depends, is what it is without groups.

    Args:
        symbols (`Sequence[int]`): The symbol of each output of the network; every symbol has at least one.
    """

    def __init__(self, symbols: Sequence[int]):
        super().__init__()
        self.symbols = list(symbols)
        self.register_computed()

    def compute(self) -> dict[str, torch.Tensor]:
        """
        `symbol_of_output` `(num_outputs,)`; the outputs of each symbol, `members`, `(num_symbols, size of the largest
        group)`; and which of these entries only fill up the row of a smaller group, `is_filler`.
        """
        groups: list[list[int]] = [[] for _ in range(max(self.symbols) + 1)]
        for output, symbol in enumerate(self.symbols):
            groups[symbol].append(output)
        size = max(map(len, groups))
        return {
            "symbol_of_output": torch.tensor(self.symbols),
            "members": torch.tensor([group + [0] * (size - len(group)) for group in groups]),
            "is_filler": torch.tensor([[False] * len(group) + [True] * (size - len(group)) for group in groups]),
        }

    def forward(self, outputs: torch.Tensor) -> torch.Tensor:
        """Logits `(*, num_symbols)` of outputs `(*, num_outputs)`."""
        return outputs[..., self.members].masked_fill(self.is_filler, -torch.inf).logsumexp(-1)

    def output_gradient(
        self, logit_gradient: torch.Tensor, logits: torch.Tensor, outputs: torch.Tensor
    ) -> torch.Tensor:
        """
        The gradient with respect to the outputs, `(*, num_outputs)`, of a function of the logits.

        Args:
            logit_gradient (`torch.Tensor` of shape `(*, num_symbols)`): Its gradient with respect to the logits.
            logits (`torch.Tensor` of shape `(*, num_symbols)`): What [`forward`] returned.
            outputs (`torch.Tensor` of shape `(*, num_outputs)`): What that was given.
        """
        share = (outputs - logits[..., self.symbol_of_output]).exp()  # of an output in the probability of its symbol
        return logit_gradient[..., self.symbol_of_output] * share
