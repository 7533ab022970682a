"""Points: vectors of real numbers, with perceptrons as encoder and decoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers import initialization as init

from .modality import Modality
from .noise import at_least_float32, gaussian_like
from .posteriors import Posterior, PosteriorHeads
from .validation import require

if TYPE_CHECKING:
    from .configuration_ldebm import LDEBMConfig


def perceptron(num_inputs: int, hidden_size: int, num_outputs: int, num_layers: int) -> nn.Sequential:
    """A perceptron of `num_layers` linear maps with ReLUs between them."""
    widths = [num_inputs, *[hidden_size] * (num_layers - 1), num_outputs]
    layers: list[nn.Module] = []
    for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class PointEncoder(nn.Module):
    """ReLU perceptron on points, centred and scaled."""

    main_input_name = "points"

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.config = config
        self.network = perceptron(
            config.point_size, config.point_hidden_size, config.point_hidden_size, config.point_encoder_layers
        )
        self.heads = PosteriorHeads(config, config.point_hidden_size)

    def forward(self, points: torch.Tensor) -> Posterior:
        """
        Args:
            points (`torch.Tensor` of shape `(batch_size, point_size)`): x in the model's units, centred and scaled.
        """
        if self.training and self.config.point_noise:
            points = points + self.config.point_noise * gaussian_like(points)
        return self.heads(self.network(points.to(self.network[0].weight.dtype)))


class PointDecoder(nn.Module):
    """p(x|z) = N(g(z), s² I) with a ReLU perceptron g, on points centred and scaled."""

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.std = config.point_std
        self.network = perceptron(
            config.total_latent_size, config.point_hidden_size, config.point_size, config.point_decoder_layers
        )

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """g(z), `(batch_size, point_size)`, in float32 at least, given latents `(batch_size, total_latent_size)`."""
        return at_least_float32(self.network(latents.to(self.network[0].weight.dtype)))

    def log_likelihood(self, latents: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """log p(x|z) in nats, `(batch_size,)`, of points `(batch_size, point_size)`."""
        offset = (points - self(latents)) / self.std
        return -(offset.square() + math.log(2 * math.pi * self.std**2)).sum(-1) / 2

    def sample(self, latents: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """One draw of x for each latent, `(batch_size, point_size)`."""
        mean = self(latents)
        return mean + self.std * gaussian_like(mean, generator)


def _center(config: LDEBMConfig) -> torch.Tensor:
    """The point that becomes the origin of the model's units, `(point_size,)`."""
    if config.point_center is None:
        return torch.zeros(config.point_size)
    return torch.tensor(config.point_center, dtype=torch.float32)


class PointModality(Modality[torch.Tensor]):
    """Vectors of real numbers. Inputs are points in the model's units, centred and scaled."""

    input_name = "points"
    reads_texts = False
    unused_arguments = ("attention_mask", "lengths", "labels", "decoder_input_ids", "encoder_features")
    hub_task = ("other", "Density of points")

    @classmethod
    def validate_settings(cls, config: LDEBMConfig) -> None:
        """The centre has one finite coordinate for each coordinate of a point."""
        if config.point_center is not None:
            allowed = f"point_size={config.point_size} finite numbers"
            fits = len(config.point_center) == config.point_size and all(map(math.isfinite, config.point_center))
            require(fits, "point_center", config.point_center, allowed)

    @classmethod
    def build_encoder(cls, config: LDEBMConfig) -> nn.Module:
        """A perceptron."""
        return PointEncoder(config)

    @classmethod
    def build_decoder(cls, config: LDEBMConfig) -> nn.Module:
        """A perceptron with Gaussian noise."""
        return PointDecoder(config)

    @classmethod
    def add_parts(cls, model: nn.Module) -> None:
        """The point that becomes the origin of the model's units."""
        model.register_buffer("point_center", _center(model.config))

    @classmethod
    def init_tensors(cls, model: nn.Module) -> None:
        """Fill in the origin that the configuration names."""
        init.copy_(model.point_center, _center(model.config))

    def _make_inputs(self, points, **others) -> torch.Tensor:
        center = at_least_float32(self.model.point_center)
        return (points.to(center.dtype) - center) / self.config.point_scale

    def posterior(self, inputs: torch.Tensor) -> Posterior:
        return self.model.encoder(inputs)

    def reconstruction(self, latents, inputs, labels, decoder_input_ids, with_logits):
        return -self.model.decoder.log_likelihood(latents, inputs).mean(), None

    def log_likelihood(self, latents: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """log p(x|z) of each point in nats, `(batch_size,)`, as a density in the units of the given points."""
        log_scale = self.config.point_size * math.log(self.config.point_scale)
        return self.model.decoder.log_likelihood(latents, inputs) - log_scale

    def generate(self, latents, generator, do_sample: bool = False) -> torch.Tensor:
        """The mean of p(x|z) for each latent, or with `do_sample` a draw, `(n, point_size)`."""
        points = self.model.decoder.sample(latents, generator) if do_sample else self.model.decoder(latents)
        return self.model.point_center + self.config.point_scale * points

    def floats_per_example(self, lengths: Sequence[int] | None) -> int:
        """The decoder's hidden units, and copies of them."""
        return 4 * self.config.point_hidden_size
