"""SVEBM's energy network: a plain GELU perceptron f_α(z) ∈ R^K for a prior of one level (Pang & Wu, ICML 2021)."""

import torch
from torch import nn
from torch.nn import functional as F

from .energy import TiltedEnergy


class EnergyMLP(nn.Module):
    """
    Args:
        latent_size (`int`): Size d of the latent.
        num_symbols (`int`): Number K of symbols, one output each.
        hidden_size (`int`, *optional*, defaults to 200): Width.
        num_layers (`int`, *optional*, defaults to 2): Hidden layers (published: 2 for text, 1 for points).
        context_size (`int`, *optional*, defaults to 0): Size of a context, read beside the latent, if any.
    """

    def __init__(
        self, latent_size: int, num_symbols: int, hidden_size: int = 200, num_layers: int = 2, context_size: int = 0
    ):
        super().__init__()
        self.latent_size = latent_size
        widths = [latent_size + context_size, *[hidden_size] * num_layers]
        self.hidden = nn.ModuleList(nn.Linear(*pair) for pair in zip(widths[:-1], widths[1:], strict=True))
        self.head = nn.Linear(widths[-1], num_symbols)

    def forward(
        self, latents: torch.Tensor, level: torch.Tensor | None = None, context: torch.Tensor | None = None
    ) -> torch.Tensor:
        """
        f(z), `(batch_size, num_symbols)`, of `latents` `(batch_size, latent_size)` in `context`
        `(batch_size, context_size)`, if it has one; there is one level.
        """
        features = latents if context is None else torch.cat([latents, context], -1)
        for layer in self.hidden:
            features = F.gelu(layer(features))
        return self.head(features)

    def tilted(
        self, level, free_energy_weight, logit_weight=None, context=None, dtype=None, compile=False
    ) -> TiltedEnergy:
        """w F + c·f with today's weights; arguments as in [`TiltedEnergy`], and the `context` of each row."""
        return TiltedMLP(self, free_energy_weight, logit_weight, context, dtype or self.head.bias.dtype, compile)


class TiltedMLP(TiltedEnergy):
    """[`TiltedEnergy`] of an [`EnergyMLP`]; the context becomes a bias per row of the first layer."""

    def __init__(self, energy: EnergyMLP, free_energy_weight, logit_weight, context, dtype, compile=False):
        super().__init__(_evaluate, free_energy_weight, logit_weight, dtype, compile)
        *self.hidden, self.head = [
            (layer.weight.detach().to(dtype), layer.bias.detach().to(dtype)) for layer in (*energy.hidden, energy.head)
        ]
        if context is not None:
            weight, bias = self.hidden[0]
            of_latents, of_context = weight[:, : energy.latent_size], weight[:, energy.latent_size :]
            self.hidden[0] = of_latents.contiguous(), F.linear(context.detach().to(dtype), of_context, bias)


def _evaluate(energy: TiltedMLP, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and ∇E: forward through the network, and back by hand."""
    preactivations = []
    for layer in energy.hidden:
        weight, bias = layer
        preactivations.append(torch.addmm(bias, latents, weight.T))
        latents = F.gelu(preactivations[-1])
    logits = F.linear(latents, *energy.head)
    gradient = energy.logit_gradient(logits) @ energy.head[0]
    for (weight, _), preactivation in zip(reversed(energy.hidden), reversed(preactivations), strict=True):
        gradient = torch.ops.aten.gelu_backward(gradient, preactivation) @ weight
    return logits, gradient
