"""The optimiser: one Adam whose parameter groups (autoencoder, base models, prior) have their own rates and clips."""

import math

import torch
from transformers import PreTrainedModel, get_scheduler

from .training_settings import TrainingSettings


def make_optimizer(model: PreTrainedModel, settings: TrainingSettings) -> torch.optim.Adam:
    """Adam with the groups `"autoencoder"`, `"base_models"` (what is trained of pretrained encoders and decoders) and
    `"prior"` (all of `model.prior`); empty groups are left out.

    The fused implementation passes once over parameters, gradients and moments, and never waits for a GPU.
    """
    in_prior = {id(parameter) for parameter in model.prior.parameters()}
    in_base_models = {id(parameter) for parameter in model.base_parameters()}
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {
            "name": "autoencoder",
            "params": [p for p in parameters if id(p) not in in_prior and id(p) not in in_base_models],
            "lr": settings.learning_rate,
            "weight_decay": settings.weight_decay,
        },
        {
            "name": "base_models",
            "params": [parameter for parameter in parameters if id(parameter) in in_base_models],
            "lr": settings.base_learning_rate,
            "weight_decay": settings.weight_decay,
        },
        {
            "name": "prior",
            "params": [parameter for parameter in parameters if id(parameter) in in_prior],
            "lr": settings.prior_learning_rate,
            "weight_decay": settings.prior_weight_decay,
        },
    ]
    return torch.optim.Adam([group for group in groups if group["params"]], fused=True)


def make_scheduler(
    optimizer: torch.optim.Optimizer, settings: TrainingSettings, total_steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The schedule of both learning rates over `total_steps` optimiser steps."""
    return get_scheduler(
        settings.lr_scheduler_type, optimizer, num_warmup_steps=settings.warmup_steps, num_training_steps=total_steps
    )


def clip_gradients(optimizer: torch.optim.Optimizer, settings: TrainingSettings) -> dict[str, torch.Tensor]:
    """Clip the gradient of each group to its own largest norm.

    Returns:
        `dict`: the norms before clipping by name of the group, such as `prior_grad_norm`, scalar tensors.
    """
    limits = {
        "autoencoder": settings.max_grad_norm,
        "base_models": settings.max_grad_norm,
        "prior": settings.prior_max_grad_norm,
    }
    norms = {}
    for group in optimizer.param_groups:
        limit = limits[group["name"]]
        norm = torch.nn.utils.clip_grad_norm_(group["params"], math.inf if limit is None else limit)
        norms[f"{group['name']}_grad_norm"] = norm
    return norms
