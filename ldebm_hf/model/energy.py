"""The energy network f_α(z̃, t) ∈ R^K, with the free energy F = logsumexp_K f, and its gradient in closed form.

[`EnergyNetwork`] is the residual network of the diffusion prior, [`EnergyMLP`] the plain one of SVEBM. For sampling,
`frozen_copy` of either gives a [`FrozenEnergy`]: the energy with its current weights and its gradient in closed form.
"""

import functools
import logging
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm
from transformers import initialization as init

from .computed_buffers import ComputedBuffers
from .noise import draw
from .symbol_groups import SymbolGroups

logger = logging.getLogger(__name__)

SLOPE = 0.2  # negative slope of every LeakyReLU of a prior's network


def sinusoidal_embedding(num_positions: int, size: int) -> torch.Tensor:
    """The transformer's position embeddings, `(num_positions, size)`: sines in even, cosines in odd columns."""
    position = torch.arange(num_positions, dtype=torch.float64)[:, None]
    frequency = 10000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    angle = position * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :size].float()


class SpectralNorm(_SpectralNorm):
    """
    torch's spectral norm, without its first power iterations on the meta device, which took seconds per load, and
    without those of a weight that is frozen: it would change, though nothing is trained.
    """

    def _power_method(self, weight_mat: torch.Tensor, n_power_iterations: int) -> None:
        if not weight_mat.is_meta and weight_mat.requires_grad:
            super()._power_method(weight_mat, n_power_iterations)


class EnergyLinear(nn.Module):
    """
    A linear map of an energy network, as `torch.nn.Linear`.

    It is not a subclass of that because sampling computes with the weights alone ([`FrozenEnergy`]) and would leave
    out an adapter around the map. The package peft adapts linear maps of torch only: it leaves this one out of
    `target_modules="all-linear"`, and refuses it by its name.
    """

    reset_parameters = nn.Linear.reset_parameters

    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features))
        self.reset_parameters()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """`(*, out_features)` of `(*, in_features)`."""
        return F.linear(features, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}"


@torch.no_grad()
def draw_weights(layer: EnergyLinear, generator: torch.Generator | None = None) -> None:
    """Draw the weight of a linear map anew, from U(-r, r) with r = 1 / √in_features, and set its bias to 0."""
    bound = layer.in_features**-0.5
    layer.weight.copy_((2 * draw(torch.rand, layer.weight.shape, layer.weight, generator) - 1) * bound)
    layer.bias.zero_()


class NormalizedLinear(EnergyLinear):
    """
    A linear map whose weight is divided by its largest singular value.

    torch replaces the class of a module with a parametrization by one that cannot be pickled. Pickling names this
    class instead, so that a whole model can be pickled: by `torch.save`, for spawned workers, and to be hashed by
    `datasets.map`.
    """

    def __init__(self, in_features: int, out_features: int):
        super().__init__(in_features, out_features)
        parametrize.register_parametrization(self, "weight", SpectralNorm(self.weight))

    def __reduce_ex__(self, protocol):
        return _blank_normalized_linear, (), self.__dict__.copy()


def _blank_normalized_linear() -> NormalizedLinear:
    """A [`NormalizedLinear`] whose attributes are to be replaced; on the meta device no random numbers are drawn."""
    with torch.device("meta"):
        return NormalizedLinear(1, 1)


def restart_power_iteration(layer: nn.Module) -> None:
    """Estimate the spectral norm of a normalised linear map again, after its weight was drawn."""
    weight, norm = layer.parametrizations.weight.original, layer.parametrizations.weight[0]
    tensors = (weight, norm._u, norm._v)
    if not all(getattr(tensor, "_is_hf_initialized", False) for tensor in tensors):  # else loaded from a checkpoint
        init.normal_(norm._v)
        norm._power_method(weight, 15)  # starts from v


class LevelEmbedding(ComputedBuffers):
    """
    Sinusoidal embedding of the level, followed by two linear maps.

    Args:
        num_levels (`int`): Number T of levels.
        size (`int`): Size of the embedding.
        linear (`Callable`): Builds a linear map from its numbers of inputs and outputs.
    """

    def __init__(self, num_levels: int, size: int, linear):
        super().__init__()
        self.num_levels, self.size = num_levels, size
        self.register_computed()
        self.hidden = linear(size, size)
        self.output = linear(size, size)

    def compute(self) -> dict[str, torch.Tensor]:
        """The sinusoidal embeddings `table`, `(num_levels, size)`."""
        return {"table": sinusoidal_embedding(self.num_levels, self.size)}

    def forward(self, level: torch.Tensor) -> torch.Tensor:
        """Embeddings, `(batch_size, size)`, of levels `(batch_size,)`."""
        return self.output(F.leaky_relu(self.hidden(self.table[level]), SLOPE))


class EnergyNetwork(nn.Module):
    """
    Residual multilayer perceptron with spectral normalisation and a level embedding.

    Args:
        latent_size (`int`): Size d of the latent.
        num_symbols (`int`): Number K of symbols, one output each unless there are groups.
        num_levels (`int`): Number T of noise levels.
        hidden_size (`int`, *optional*, defaults to 200): Width.
        num_blocks (`int`, *optional*, defaults to 12): Number of residual blocks h + W LeakyReLU(h).
        normalize (`bool`, *optional*, defaults to `True`): Whether to divide every weight by its largest singular
            value, which one power iteration per forward pass in training mode estimates. Inside
            `torch.nn.utils.parametrize.cached()` there is one iteration for the whole block, so that a training step,
            Langevin chains included, uses one and the same energy.
        context_size (`int`, *optional*, defaults to 0): Size of the context vector that the energy depends on; 0
            without contexts.
        symbol_groups (`Sequence[int]`, *optional*): The symbol of each output, where symbols have several
            ([`SymbolGroups`]).
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
        symbol_groups: Sequence[int] | None = None,
    ):
        super().__init__()

        linear = NormalizedLinear if normalize else EnergyLinear
        self.latent_hidden = linear(latent_size, hidden_size)
        self.latent_output = linear(hidden_size, hidden_size)
        self.level = LevelEmbedding(num_levels, hidden_size, linear)
        self.context_hidden = self.context_output = None
        if context_size:
            self.context_hidden = linear(context_size, hidden_size)
            self.context_output = linear(hidden_size, hidden_size)
        self.merge = linear((3 if context_size else 2) * hidden_size, hidden_size)
        self.blocks = nn.ModuleList(linear(hidden_size, hidden_size) for _ in range(num_blocks))
        self.head = linear(hidden_size, len(symbol_groups or range(num_symbols)))
        self.groups = SymbolGroups(symbol_groups) if symbol_groups else None

    def forward(
        self, scaled: torch.Tensor, level: torch.Tensor, context: torch.Tensor | None = None
    ) -> torch.Tensor:
        """
        Args:
            scaled (`torch.Tensor` of shape `(batch_size, latent_size)`): z̃_t.
            level (`torch.LongTensor` of shape `(batch_size,)`): Level t of each row.
            context (`torch.Tensor` of shape `(batch_size, context_size)`, *optional*): Context vectors, for a network
                with a context.

        Returns:
            `torch.Tensor` of shape `(batch_size, num_symbols)`: f(z̃, t).
        """
        latent = self.latent_output(F.leaky_relu(self.latent_hidden(scaled), SLOPE))
        merged = torch.cat([latent, *self.context_features(context), self.level(level)], dim=-1)
        hidden = self.merge(F.leaky_relu(merged, SLOPE))
        for block in self.blocks:
            hidden = hidden + block(F.leaky_relu(hidden, SLOPE))
        outputs = self.head(F.leaky_relu(hidden, SLOPE))
        return outputs if self.groups is None else self.groups(outputs)

    def context_features(self, context: torch.Tensor | None) -> list[torch.Tensor]:
        """The context's inputs to the merge layer: one tensor `(batch_size, hidden_size)`; none without a context."""
        if self.context_hidden is None:
            return []
        return [self.context_output(F.leaky_relu(self.context_hidden(context), SLOPE))]

    def frozen_copy(self, level, free_energy_weight, logit_weight=None, **options) -> "FrozenNetwork":
        """A [`FrozenNetwork`] with the current effective weights of this network, whose arguments these are."""
        return FrozenNetwork(self, level, free_energy_weight, logit_weight, **options)


class EnergyMLP(nn.Module):
    """
    Plain GELU network of a prior with a single level (SVEBM: Pang & Wu, ICML 2021).

    Args:
        latent_size (`int`): Size d of the latent.
        num_symbols (`int`): Number K of symbols, one output each unless there are groups.
        hidden_size (`int`, *optional*, defaults to 200): Width.
        num_layers (`int`, *optional*, defaults to 2): Number of hidden layers (published: 2 for text, 1 for points).
        context_size (`int`, *optional*, defaults to 0): Size of the context vector, which is appended to the latent; 0
            without contexts.
        symbol_groups (`Sequence[int]`, *optional*): As in [`EnergyNetwork`].
    """

    def __init__(
        self,
        latent_size: int,
        num_symbols: int,
        hidden_size: int = 200,
        num_layers: int = 2,
        context_size: int = 0,
        symbol_groups: Sequence[int] | None = None,
    ):
        super().__init__()
        self.latent_size = latent_size
        widths = [latent_size + context_size, *[hidden_size] * num_layers]
        self.hidden = nn.ModuleList(EnergyLinear(*pair) for pair in zip(widths[:-1], widths[1:], strict=True))
        self.head = EnergyLinear(widths[-1], len(symbol_groups or range(num_symbols)))
        self.groups = SymbolGroups(symbol_groups) if symbol_groups else None

    def forward(
        self, latents: torch.Tensor, level: torch.Tensor | None = None, context: torch.Tensor | None = None
    ) -> torch.Tensor:
        """
        f(z), `(batch_size, num_symbols)`, of latents `(batch_size, latent_size)` and, for a network with a context,
        context vectors `(batch_size, context_size)`. There is one level, so that `level` is not read.
        """
        features = latents if context is None else torch.cat([latents, context], -1)
        for layer in self.hidden:
            features = F.gelu(layer(features))
        outputs = self.head(features)
        return outputs if self.groups is None else self.groups(outputs)

    def frozen_copy(
        self, level, free_energy_weight, logit_weight=None, context=None, dtype=None, compile=False
    ) -> "FrozenMLP":
        """A [`FrozenMLP`] with the current weights of this network; arguments as in [`FrozenNetwork`]."""
        return FrozenMLP(self, free_energy_weight, logit_weight, context, dtype or self.head.bias.dtype, compile)


class FrozenEnergy:
    """
    E(z̃) = w F(z̃, t) + c·f(z̃, t) for one batch of rows, with the network's weights frozen and ∇E in closed form. It is
    the logarithm of the factor by which a level's density differs from a Gaussian (a tilted density). It works under
    `no_grad` and `inference_mode`.

    Args:
        evaluate (`Callable`): Computes the logits f and ∇E from this object and states `(batch_size, latent_size)`.
        free_energy_weight (`torch.Tensor` of shape `(batch_size, 1)`): w.
        logit_weight (`torch.Tensor` of shape `(batch_size, num_symbols)`, *optional*): c; defaults to zero.
        dtype (`torch.dtype`): Precision of weights and activations.
        compile (`bool`, *optional*, defaults to `False`): Whether to run `evaluate` through `torch.compile`.
        groups ([`SymbolGroups`], *optional*): The network's, if symbols have several outputs.
    """

    def __init__(self, evaluate, free_energy_weight, logit_weight, dtype, compile=False, groups=None):
        self.free_energy_weight, self.logit_weight, self.dtype = free_energy_weight, logit_weight, dtype
        self.groups = groups
        self._evaluate = compiled(evaluate) if compile else evaluate

    def gradient(self, scaled: torch.Tensor) -> torch.Tensor:
        """∇E at `scaled`, both `(batch_size, latent_size)`."""
        return self._evaluate(self, scaled.to(self.dtype))[1].to(scaled.dtype)

    def value_and_gradient(self, scaled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """E, `(batch_size,)`, and ∇E, `(batch_size, latent_size)`."""
        logits, gradient = self._evaluate(self, scaled.to(self.dtype))
        value = weighted_energy(logits.to(scaled.dtype), self.free_energy_weight, self.logit_weight)
        return value, gradient.to(scaled.dtype)

    def value(self, scaled: torch.Tensor) -> torch.Tensor:
        """E, `(batch_size,)`, at the cost of a forward pass."""
        outputs = self.outputs(scaled.to(self.dtype)).to(scaled.dtype)
        logits = outputs if self.groups is None else self.groups(outputs)
        return weighted_energy(logits, self.free_energy_weight, self.logit_weight)

    def outputs(self, scaled: torch.Tensor) -> torch.Tensor:
        """The network's outputs, `(batch_size, num_outputs)`, at states of the precision `dtype`."""
        raise NotImplementedError

    def logit_gradient(self, logits: torch.Tensor) -> torch.Tensor:
        """∂E/∂f, `(batch_size, num_symbols)`, in the dtype of the logits."""
        gradient = self.free_energy_weight * logits.softmax(-1)
        return (gradient if self.logit_weight is None else gradient + self.logit_weight).to(logits.dtype)

    def at_outputs(self, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The logits, `(batch_size, num_symbols)`, and ∂E by the network's outputs, `(batch_size, num_outputs)`."""
        if self.groups is None:
            return outputs, self.logit_gradient(outputs)
        logits = self.groups(outputs)
        return logits, self.groups.output_gradient(self.logit_gradient(logits), logits, outputs)


class FrozenNetwork(FrozenEnergy):
    """
    [`FrozenEnergy`] of an [`EnergyNetwork`] with its current effective weights.

    Everything that does not change along a chain is computed once: weights are divided by their spectral norms, and
    level and context, which enter through the merge layer alone, become a bias of each row. Activations are kept in
    buffers that every call reuses.

    Args:
        energy ([`EnergyNetwork`]): Network whose weights are taken.
        level (`torch.LongTensor` of shape `(batch_size,)`): Level t of each row.
        free_energy_weight, logit_weight, compile: As in [`FrozenEnergy`].
        context (`torch.Tensor` of shape `(batch_size, context_size)`, *optional*): Context vectors, for a network with
            a context.
        dtype (`torch.dtype`, *optional*): Precision of weights and activations; defaults to the network's.
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
        # A weight that is computed here first may be cached for a loss outside, so it must carry its graph.
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
        super().__init__(_evaluate_network, free_energy_weight, logit_weight, dtype, compile, energy.groups)
        self.buffers = None if compile else self.new_buffers()  # torch.compile plans its own

    def outputs(self, scaled: torch.Tensor) -> torch.Tensor:
        """As in [`FrozenEnergy`]."""
        inner, outer, scratch, _, *hiddens = self.new_buffers() if self.buffers is None else self.buffers
        return _network_outputs(self, scaled, inner, outer, scratch, hiddens)

    def new_buffers(self) -> list[torch.Tensor]:
        """Buffers for all activations and two gradients of one evaluation, `(batch_size, width)` each."""
        return [torch.empty_like(self.merge[1]) for _ in range(len(self.blocks) + 5)]


class FrozenMLP(FrozenEnergy):
    """[`FrozenEnergy`] of an [`EnergyMLP`]; the context becomes a bias of each row in the first layer."""

    def __init__(self, energy: EnergyMLP, free_energy_weight, logit_weight, context, dtype, compile=False):
        super().__init__(_evaluate_mlp, free_energy_weight, logit_weight, dtype, compile, energy.groups)
        *self.hidden, self.head = [
            (layer.weight.detach().to(dtype), layer.bias.detach().to(dtype)) for layer in (*energy.hidden, energy.head)
        ]
        if context is not None:
            weight, bias = self.hidden[0]
            latent_weight, context_weight = weight[:, : energy.latent_size], weight[:, energy.latent_size :]
            self.hidden[0] = latent_weight.contiguous(), F.linear(context.detach().to(dtype), context_weight, bias)

    def outputs(self, scaled: torch.Tensor) -> torch.Tensor:
        """As in [`FrozenEnergy`]."""
        for weight, bias in self.hidden:
            scaled = F.gelu(F.linear(scaled, weight) + bias)
        return F.linear(scaled, *self.head)


def weighted_energy(
    logits: torch.Tensor, free_energy_weight: torch.Tensor, logit_weight: torch.Tensor | None = None
) -> torch.Tensor:
    """E = w logsumexp(f) + c·f of logits f, `(batch_size,)`; arguments as in [`FrozenEnergy`]."""
    value = free_energy_weight[:, 0] * logits.logsumexp(-1)
    return value if logit_weight is None else value + (logit_weight * logits).sum(-1)


def _evaluate_network(energy: FrozenNetwork, scaled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and ∇E: forward through the network, and back by hand."""
    buffers = energy.new_buffers() if energy.buffers is None else energy.buffers
    inner, outer, scratch, pulled, *hiddens = buffers
    outputs = _network_outputs(energy, scaled, inner, outer, scratch, hiddens)
    logits, gradient = energy.at_outputs(outputs)

    pulled = _backpropagate(gradient, energy.head, hiddens[-1], pulled)
    for layer, hidden in zip(reversed(energy.blocks), reversed(hiddens[:-1]), strict=True):
        pulled += _backpropagate(pulled, layer, hidden, scratch)
    scratch = _backpropagate(pulled, energy.merge, outer, scratch)
    pulled = _backpropagate(scratch, energy.latent_output, inner, pulled)
    return logits, pulled @ energy.latent_hidden[0]


def _network_outputs(
    energy: FrozenNetwork,
    scaled: torch.Tensor,
    inner: torch.Tensor,
    outer: torch.Tensor,
    scratch: torch.Tensor,
    hiddens: list[torch.Tensor],
) -> torch.Tensor:
    """The network's outputs; preactivations are left in the buffers `inner`, `outer` and `hiddens`."""
    _affine(scaled, energy.latent_hidden, inner)
    _affine(_leaky_relu(inner, scratch), energy.latent_output, outer)
    _affine(_leaky_relu(outer, scratch), energy.merge, hiddens[0])
    for (weight, bias), hidden, following in zip(energy.blocks, hiddens[:-1], hiddens[1:], strict=True):
        torch.add(hidden, bias, out=following).addmm_(_leaky_relu(hidden, scratch), weight.T)
    return F.linear(_leaky_relu(hiddens[-1], scratch), *energy.head)


def _evaluate_mlp(energy: FrozenMLP, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and ∇E: forward through the network, and back by hand."""
    preactivations = []
    for layer in energy.hidden:
        weight, bias = layer
        preactivations.append(torch.addmm(bias, latents, weight.T))
        latents = F.gelu(preactivations[-1])
    logits, gradient = energy.at_outputs(F.linear(latents, *energy.head))
    gradient = gradient @ energy.head[0]
    for (weight, _), preactivation in zip(reversed(energy.hidden), reversed(preactivations), strict=True):
        gradient = torch.ops.aten.gelu_backward(gradient, preactivation) @ weight
    return logits, gradient


@functools.cache
def compiled(evaluate: Callable) -> Callable:
    """
    `evaluate` through `torch.compile`, on a GPU with CUDA graphs. If compiling fails, it warns and runs `evaluate`.
    """
    mode = "reduce-overhead" if torch.cuda.is_available() else None
    attempt = torch.compile(evaluate, mode=mode)

    def compiled_or_plain(energy: FrozenEnergy, scaled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal attempt
        try:
            return attempt(energy, scaled)
        except RuntimeError as error:  # the base class of torch.compile's errors
            if attempt is evaluate:
                raise
            logger.warning("torch.compile failed; the sampler runs without it: %s", error)
            attempt = evaluate
            return attempt(energy, scaled)

    return compiled_or_plain


def _affine(features: torch.Tensor, layer: tuple[torch.Tensor, torch.Tensor], out: torch.Tensor) -> torch.Tensor:
    weight, bias = layer
    return torch.addmm(bias, features, weight.T, out=out)


def _leaky_relu(features: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    return torch.ops.aten.leaky_relu.out(features, SLOPE, out=out)


def _backpropagate(gradient: torch.Tensor, layer, preactivation: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """The gradient at a layer's output, propagated back through the layer and the LeakyReLU before it."""
    torch.mm(gradient, layer[0], out=out)
    return torch.ops.aten.leaky_relu_backward.grad_input(out, preactivation, SLOPE, False, grad_input=out)
