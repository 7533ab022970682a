"""The energy network f_α(z̃, t) ∈ R^K and the free energy F = logsumexp_K f."""

import functools
import logging
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm

logger = logging.getLogger(__name__)

SLOPE = 0.2  # of every LeakyReLU here


def sinusoidal_embedding(num_positions: int, size: int) -> torch.Tensor:
    """The transformer's position table, `(num_positions, size)`: sines in even, cosines in odd columns, base 10000."""
    position = torch.arange(num_positions, dtype=torch.float64)[:, None]
    frequency = 10000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    angle = position * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :size].float()


class SpectralNorm(_SpectralNorm):
    """torch's, but quick on the meta device, where its first iterations compute nothing and took seconds per load."""

    def _power_method(self, weight_mat: torch.Tensor, n_power_iterations: int) -> None:
        if not weight_mat.is_meta:
            super()._power_method(weight_mat, n_power_iterations)


class LevelEmbedding(nn.Module):
    """Sinusoidal embedding of the level followed by two linear maps, `(batch_size,)` to `(batch_size, size)`."""

    def __init__(self, num_levels: int, size: int, linear):
        super().__init__()
        self.num_levels, self.size = num_levels, size
        self.register_buffer("table", self.compute(), persistent=False)
        self.hidden = linear(size, size)
        self.output = linear(size, size)

    def compute(self) -> torch.Tensor:
        return sinusoidal_embedding(self.num_levels, self.size)

    def forward(self, level: torch.Tensor) -> torch.Tensor:
        return self.output(F.leaky_relu(self.hidden(self.table[level]), SLOPE))


class EnergyNetwork(nn.Module):
    """
    Residual multilayer perceptron with spectral normalisation and a level embedding.

    Args:
        latent_size (`int`): Size d of the latent.
        num_symbols (`int`): Number K of symbols, one output each.
        num_levels (`int`): Number T of noise levels.
        hidden_size (`int`, *optional*, defaults to 200): Width.
        num_blocks (`int`, *optional*, defaults to 12): Residual blocks h + W LeakyReLU(h).
        context_size (`int`, *optional*, defaults to 0): Size of a context that the energy depends on, if any.
        normalize (`bool`, *optional*, defaults to `True`): Divide every weight by its largest singular value. It is
            estimated by one power iteration per training-mode forward; inside
            `torch.nn.utils.parametrize.cached()` once per block, so that a whole training step, Langevin chains
            included, sees one energy.
    """

    def __init__(
        self,
        latent_size: int,
        num_symbols: int,
        num_levels: int,
        hidden_size: int = 200,
        num_blocks: int = 12,
        normalize: bool = True,
        context_size: int = 0,
    ):
        super().__init__()

        def linear(inputs: int, outputs: int) -> nn.Linear:
            layer = nn.Linear(inputs, outputs)
            if normalize:
                parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight))
            return layer

        self.latent_hidden = linear(latent_size, hidden_size)
        self.latent_output = linear(hidden_size, hidden_size)
        self.level = LevelEmbedding(num_levels, hidden_size, linear)
        self.context_hidden = self.context_output = None
        if context_size:
            self.context_hidden = linear(context_size, hidden_size)
            self.context_output = linear(hidden_size, hidden_size)
        self.merge = linear((3 if context_size else 2) * hidden_size, hidden_size)
        self.blocks = nn.ModuleList(linear(hidden_size, hidden_size) for _ in range(num_blocks))
        self.head = linear(hidden_size, num_symbols)

    def forward(
        self, scaled: torch.Tensor, level: torch.Tensor, context: torch.Tensor | None = None
    ) -> torch.Tensor:
        """
        Args:
            scaled (`torch.Tensor` of shape `(batch_size, latent_size)`): z̃_t.
            level (`torch.LongTensor` of shape `(batch_size,)`): t per row.
            context (`torch.Tensor` of shape `(batch_size, context_size)`): For a network with a context.

        Returns:
            `torch.Tensor` of shape `(batch_size, num_symbols)`: f(z̃, t).
        """
        latent = self.latent_output(F.leaky_relu(self.latent_hidden(scaled), SLOPE))
        merged = torch.cat([latent, *self.context_features(context), self.level(level)], dim=-1)
        hidden = self.merge(F.leaky_relu(merged, SLOPE))
        for block in self.blocks:
            hidden = hidden + block(F.leaky_relu(hidden, SLOPE))
        return self.head(F.leaky_relu(hidden, SLOPE))

    def context_features(self, context: torch.Tensor | None) -> list[torch.Tensor]:
        """What the merge reads of a context: one tensor, `(batch_size, hidden_size)`, or none without a context."""
        if self.context_hidden is None:
            return []
        return [self.context_output(F.leaky_relu(self.context_hidden(context), SLOPE))]

    def tilted(self, level, free_energy_weight, logit_weight=None, **options) -> "TiltedNetwork":
        """A [`TiltedNetwork`] of this network with today's effective weights; arguments as there."""
        return TiltedNetwork(self, level, free_energy_weight, logit_weight, **options)


class TiltedEnergy:
    """
    E(z̃) = w F(z̃, t) + c·f(z̃, t) of frozen logits f for one batch, with ∇E in closed form. Works under `no_grad` and
    `inference_mode`.

    Args:
        evaluate (`Callable`): From this object and states of shape `(batch_size, latent_size)` to logits and ∇E.
        free_energy_weight (`torch.Tensor` of shape `(batch_size, 1)`): w.
        logit_weight (`torch.Tensor` of shape `(batch_size, num_symbols)`, *optional*): c; zero if missing.
        dtype (`torch.dtype`): Precision of weights and activations.
        compile (`bool`, *optional*, defaults to `False`): Run through `torch.compile`.
    """

    def __init__(self, evaluate, free_energy_weight, logit_weight, dtype, compile=False):
        self.free_energy_weight, self.logit_weight, self.dtype = free_energy_weight, logit_weight, dtype
        self._evaluate = compiled(evaluate) if compile else evaluate

    def gradient(self, scaled: torch.Tensor) -> torch.Tensor:
        """∇E at `scaled`, both `(batch_size, latent_size)`."""
        return self._evaluate(self, scaled.to(self.dtype))[1].to(scaled.dtype)

    def value_and_gradient(self, scaled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """E, `(batch_size,)`, and ∇E, `(batch_size, latent_size)`."""
        logits, gradient = self._evaluate(self, scaled.to(self.dtype))
        return tilt(logits.to(scaled.dtype), self.free_energy_weight, self.logit_weight), gradient.to(scaled.dtype)

    def logit_gradient(self, logits: torch.Tensor) -> torch.Tensor:
        """∂E/∂f, `(batch_size, num_symbols)`, in the precision of the logits."""
        gradient = self.free_energy_weight * logits.softmax(-1)
        return (gradient if self.logit_weight is None else gradient + self.logit_weight).to(logits.dtype)


class TiltedNetwork(TiltedEnergy):
    """
    [`TiltedEnergy`] of an [`EnergyNetwork`] with today's effective weights.

    Everything that does not change along a chain is computed once: spectral norms are divided out, and level and
    context, which only enter through the merge layer, become a bias per row. Activations live in buffers that every
    call reuses.

    Args:
        energy ([`EnergyNetwork`]): Network to freeze.
        level (`torch.LongTensor` of shape `(batch_size,)`): t per row.
        free_energy_weight, logit_weight, compile: As in [`TiltedEnergy`].
        context (`torch.Tensor` of shape `(batch_size, context_size)`, *optional*): For a network with a context.
        dtype (`torch.dtype`, *optional*): Defaults to the network's.
    """

    def __init__(
        self,
        energy: EnergyNetwork,
        level: torch.Tensor,
        free_energy_weight: torch.Tensor,
        logit_weight: torch.Tensor | None = None,
        context: torch.Tensor | None = None,
        dtype: torch.dtype | None = None,
        compile: bool = False,
    ):
        # A weight that is first computed here may stay cached for a loss outside: it must carry its graph.
        with torch.inference_mode(False), torch.enable_grad(), parametrize.cached():
            layers = [energy.latent_hidden, energy.latent_output, energy.merge, *energy.blocks, energy.head]
            dtype = energy.head.bias.dtype if dtype is None else dtype
            weights = [(layer.weight.detach().to(dtype), layer.bias.detach().to(dtype)) for layer in layers]
            level_features = energy.level(torch.arange(energy.level.num_levels, device=level.device)).detach()
            context = None if context is None else context.detach().clone()  # autograd takes no inference tensors
            context_features = [features.detach() for features in energy.context_features(context)]
        self.latent_hidden, self.latent_output, (merge_weight, merge_bias), *self.blocks, self.head = weights
        latent_weight, *context_weight, level_weight = merge_weight.split(level_features.shape[1], dim=1)
        level_features = F.leaky_relu(level_features, SLOPE).to(dtype)
        bias = F.linear(level_features, level_weight, merge_bias)[level]
        for features, weight in zip(context_features, context_weight, strict=True):
            bias += F.linear(F.leaky_relu(features, SLOPE).to(dtype), weight)
        self.merge = latent_weight.contiguous(), bias
        super().__init__(_evaluate, free_energy_weight, logit_weight, dtype, compile)
        self.buffers = None if compile else self.new_buffers()  # torch.compile plans its own

    def new_buffers(self) -> list[torch.Tensor]:
        """Room for all activations and two gradients of one evaluation, `(batch_size, width)` each."""
        return [torch.empty_like(self.merge[1]) for _ in range(len(self.blocks) + 5)]


def tilt(
    logits: torch.Tensor, free_energy_weight: torch.Tensor, logit_weight: torch.Tensor | None = None
) -> torch.Tensor:
    """E = w logsumexp(f) + c·f from logits f, `(batch_size,)`; arguments as in [`TiltedEnergy`]."""
    value = free_energy_weight[:, 0] * logits.logsumexp(-1)
    return value if logit_weight is None else value + (logit_weight * logits).sum(-1)


def _evaluate(energy: TiltedNetwork, scaled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and ∇E: forward through the network, and back by hand."""
    buffers = energy.new_buffers() if energy.buffers is None else energy.buffers
    inner, outer, scratch, pulled, *hiddens = buffers
    _affine(scaled, energy.latent_hidden, inner)
    _affine(_leaky_relu(inner, scratch), energy.latent_output, outer)
    _affine(_leaky_relu(outer, scratch), energy.merge, hiddens[0])
    for (weight, bias), hidden, following in zip(energy.blocks, hiddens[:-1], hiddens[1:], strict=True):
        torch.add(hidden, bias, out=following).addmm_(_leaky_relu(hidden, scratch), weight.T)
    logits = F.linear(_leaky_relu(hiddens[-1], scratch), *energy.head)

    pulled = _pull_back(energy.logit_gradient(logits), energy.head, hiddens[-1], pulled)
    for layer, hidden in zip(reversed(energy.blocks), reversed(hiddens[:-1]), strict=True):
        pulled += _pull_back(pulled, layer, hidden, scratch)
    scratch = _pull_back(pulled, energy.merge, outer, scratch)
    pulled = _pull_back(scratch, energy.latent_output, inner, pulled)
    return logits, pulled @ energy.latent_hidden[0]


@functools.cache
def compiled(evaluate: Callable) -> Callable:
    """An energy's evaluation through `torch.compile`, on a GPU with CUDA graphs; plain where that cannot compile."""
    mode = "reduce-overhead" if torch.cuda.is_available() else None
    attempt = torch.compile(evaluate, mode=mode)

    def compiled_or_plain(energy: TiltedEnergy, scaled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal attempt
        try:
            return attempt(energy, scaled)
        except RuntimeError as error:  # what torch.compile's errors derive from
            if attempt is evaluate:
                raise
            logger.warning("torch.compile failed, the sampler goes on without it: %s", error)
            attempt = evaluate
            return attempt(energy, scaled)

    return compiled_or_plain


def _affine(features: torch.Tensor, layer: tuple[torch.Tensor, torch.Tensor], out: torch.Tensor) -> torch.Tensor:
    weight, bias = layer
    return torch.addmm(bias, features, weight.T, out=out)


def _leaky_relu(features: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    return torch.ops.aten.leaky_relu.out(features, SLOPE, out=out)


def _pull_back(gradient: torch.Tensor, layer, preactivation: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """A gradient behind a layer, pulled back through it and the LeakyReLU before it."""
    torch.mm(gradient, layer[0], out=out)
    return torch.ops.aten.leaky_relu_backward.grad_input(out, preactivation, SLOPE, False, grad_input=out)
