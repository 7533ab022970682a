"""The energy network f_α(z̃, t) ∈ R^K and the free energy F = logsumexp_K f."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm

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
        self.merge = linear(2 * hidden_size, hidden_size)
        self.blocks = nn.ModuleList(linear(hidden_size, hidden_size) for _ in range(num_blocks))
        self.head = linear(hidden_size, num_symbols)

    def forward(self, scaled: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """
        Args:
            scaled (`torch.Tensor` of shape `(batch_size, latent_size)`): z̃_t.
            level (`torch.LongTensor` of shape `(batch_size,)`): t per row.

        Returns:
            `torch.Tensor` of shape `(batch_size, num_symbols)`: f(z̃, t).
        """
        latent = self.latent_output(F.leaky_relu(self.latent_hidden(scaled), SLOPE))
        merged = torch.cat([latent, self.level(level)], dim=-1)
        hidden = self.merge(F.leaky_relu(merged, SLOPE))
        for block in self.blocks:
            hidden = hidden + block(F.leaky_relu(hidden, SLOPE))
        return self.head(F.leaky_relu(hidden, SLOPE))

    def at_level(self, level: torch.Tensor) -> "EnergyAtLevel":
        """The network with today's effective weights and the levels of one batch folded in, for fast gradients."""
        return EnergyAtLevel(self, level)


class EnergyAtLevel:
    """
    A frozen [`EnergyNetwork`] for one batch of levels, with its input gradient in closed form.

    The level only enters through the merge layer, so its embedding becomes a bias per row; spectral norms are divided
    out once. Works under `no_grad` and `inference_mode`.
    """

    def __init__(self, energy: EnergyNetwork, level: torch.Tensor):
        # A weight that is first computed here may stay cached for a loss outside: it must carry its graph.
        with torch.enable_grad(), parametrize.cached():
            layers = [energy.latent_hidden, energy.latent_output, energy.merge, *energy.blocks, energy.head]
            weights = [(layer.weight.detach(), layer.bias.detach()) for layer in layers]
            level_features = energy.level(torch.arange(energy.level.num_levels, device=level.device)).detach()
        self.latent_hidden, self.latent_output, (merge_weight, merge_bias), *self.blocks, self.head = weights
        latent_weight, level_weight = merge_weight.chunk(2, dim=1)
        self.merge_weight = latent_weight.contiguous()
        self.merge_bias = F.linear(F.leaky_relu(level_features, SLOPE), level_weight, merge_bias)[level]

    def logits(self, scaled: torch.Tensor) -> torch.Tensor:
        """f(z̃, t), `(batch_size, num_symbols)`."""
        return self._forward(scaled)[-1]

    def gradient(self, scaled: torch.Tensor, logit_gradient) -> torch.Tensor:
        """
        Gradient in z̃ of a scalar function of the logits.

        Args:
            scaled (`torch.Tensor` of shape `(batch_size, latent_size)`): z̃_t.
            logit_gradient (`Callable`): The scalar's gradient in the logits, from the logits; both
                `(batch_size, num_symbols)`. For F it is `softmax`.

        Returns:
            `torch.Tensor` of shape `(batch_size, latent_size)`.
        """
        inner, outer, hiddens, logits = self._forward(scaled)
        gradient = _through(logit_gradient(logits) @ self.head[0], hiddens[-1])
        for (weight, _), hidden in zip(reversed(self.blocks), reversed(hiddens[:-1]), strict=True):
            gradient = gradient + _through(gradient @ weight, hidden)
        gradient = _through(gradient @ self.merge_weight, outer) @ self.latent_output[0]
        return _through(gradient, inner) @ self.latent_hidden[0]

    def _forward(self, scaled: torch.Tensor):
        inner = F.linear(scaled, *self.latent_hidden)
        outer = F.linear(F.leaky_relu(inner, SLOPE), *self.latent_output)
        hidden = torch.addmm(self.merge_bias, F.leaky_relu(outer, SLOPE), self.merge_weight.T)
        hiddens = [hidden]
        for weight, bias in self.blocks:
            hidden = hidden + F.linear(F.leaky_relu(hidden, SLOPE), weight, bias)
            hiddens.append(hidden)
        return inner, outer, hiddens, F.linear(F.leaky_relu(hidden, SLOPE), *self.head)


def _through(gradient: torch.Tensor, preactivation: torch.Tensor) -> torch.Tensor:
    """Pull a gradient back through LeakyReLU."""
    return torch.ops.aten.leaky_relu_backward(gradient, preactivation, SLOPE, False)
