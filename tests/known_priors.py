"""Priors whose density is known exactly: constant and quadratic energies, under which every level is Gaussian."""

import math

import torch
from torch import nn

from ldebm_hf.model.configuration_ldebm import LDEBMConfig
from ldebm_hf.model.diffusion_prior import DiffusionPrior
from ldebm_hf.model.energy import weighted_energy


class QuadraticEnergy(nn.Module):
    """f(z̃, t) = -k ‖z̃‖²/2 with one symbol; k = 0 makes every conditional the forward process's Gaussian."""

    def __init__(self, curvature: float):
        super().__init__()
        self.curvature = curvature

    def forward(self, scaled, level):
        return -self.curvature * scaled.square().sum(-1, keepdim=True) / 2

    def frozen_copy(self, level, free_energy_weight, logit_weight):
        self.weight = free_energy_weight
        return self

    def value(self, scaled):
        return weighted_energy(self(scaled, None), self.weight)

    def gradient(self, scaled):
        return -self.curvature * self.weight * scaled

    def value_and_gradient(self, scaled):
        return self.value(scaled), self.gradient(scaled)


class LabelledQuadraticEnergy(nn.Module):
    """
    Quadratic forms in place of F and of each f_y, F = -k ‖z̃‖²/2 and f_y = -k_y ‖z̃ - c_y‖²/2: F/τ + γ (f_y - F) is
    quadratic for every γ, so that every guided conditional is Gaussian. F is not the logsumexp of f here.
    """

    def __init__(self, curvature: float, label_curvatures: torch.Tensor, centers: torch.Tensor):
        super().__init__()
        self.curvature, self.label_curvatures, self.centers = curvature, label_curvatures, centers

    def frozen_copy(self, level, free_energy_weight, logit_weight=None):
        logit_weight = torch.zeros(len(level), len(self.centers)) if logit_weight is None else logit_weight
        self.weights = free_energy_weight * self.curvature, logit_weight * self.label_curvatures
        return self

    def value(self, scaled):
        weight, label_weights = self.weights
        offsets = scaled[:, None] - self.centers
        return -(weight[:, 0] * scaled.square().sum(-1) + (label_weights * offsets.square().sum(-1)).sum(-1)) / 2

    def value_and_gradient(self, scaled):
        return self.value(scaled), self.gradient(scaled)

    def gradient(self, scaled):
        weight, label_weights = self.weights
        return -weight * scaled - (label_weights[..., None] * (scaled[:, None] - self.centers)).sum(1)


def guided_conditional(prior, z_next, level: int, label: int, guidance_scale: float):
    """Mean `(size,)` and variance of every dimension of level t's conditional under a [`LabelledQuadraticEnergy`]."""
    energy, levels = prior.energy, prior.levels
    mean, variance = prior.level_gaussian(z_next[None], torch.tensor([level]))
    label_precision = guidance_scale * energy.label_curvatures[label]
    tilt = (1 / levels.temperature[level] - guidance_scale) * energy.curvature + label_precision
    precision = 1 / variance[0, 0] + tilt
    return (mean[0] / variance[0, 0] + label_precision * energy.centers[label]) / precision, 1 / precision


def quadratic_prior(preset, size, curvature, **settings) -> DiffusionPrior:
    config = LDEBMConfig.from_preset(preset, num_labels=1, latent_size=size, **settings)
    prior = DiffusionPrior(config).double().eval()
    prior.energy = QuadraticEnergy(curvature)
    return prior


def exact_variance(prior) -> float:
    """Of every dimension of z_0, whose density is N(0, variance I): every level is a linear Gaussian map."""
    tables, last = prior.levels, prior.config.num_levels - 1
    variance = 0.0
    for t in reversed(range(last + 1)):
        sigma2 = tables.step_std[t].item() ** 2
        precision = 1 / sigma2 + tables.base_precision[t].item()
        precision += prior.energy.curvature / tables.temperature[t].item()
        slope = 0.0 if t == last else 1 / (sigma2 * precision)
        variance = (1 / precision + slope**2 * variance) / tables.latent_scale[t].item() ** 2
    return variance


def exact_log_prior(prior, latents) -> torch.Tensor:
    variance = exact_variance(prior)
    return -(latents.square() / variance + math.log(2 * math.pi * variance)).sum(-1) / 2


def metropolis_prior(curvature=0.0, **settings) -> DiffusionPrior:
    """One latent dimension, sampled with Metropolis correction."""
    settings = {"langevin_metropolis": True, "langevin_start": "gaussian", "latent_size": 1, **settings}
    prior = DiffusionPrior(LDEBMConfig.from_preset("published", num_labels=1, **settings))
    prior.energy = QuadraticEnergy(curvature)
    return prior
