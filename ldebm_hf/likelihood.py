"""How likely data are under a model whose latent is integrated out."""

import math

import torch

from .modeling_ldebm import LDEBMModel


@torch.no_grad()
def importance_weighted_bound(
    model: LDEBMModel, *, num_samples: int = 100, generator: torch.Generator | None = None, **inputs: torch.Tensor
) -> torch.Tensor:
    """
    log 1/S Σ_s p(x|z_s) p(z_s) / q(z_s|x), z_s ~ q(z|x): in expectation a lower bound on log p(x) that grows with S
    (Burda et al., ICLR 2016). With S = 1 it is the evidence lower bound; without a latent it is log p(x) itself.

    Args:
        model ([`LDEBMModel`]): In evaluation mode, with a prior that has a density: any but `"diffusion"`.
        num_samples (`int`, *optional*, defaults to 100): S, samples of the posterior per example.
        generator (`torch.Generator`, *optional*): Source of their noise.
        inputs: Texts (`input_ids`, `attention_mask`) or `points`, as `model.encode` takes them.

    Returns:
        `torch.Tensor` of shape `(batch_size,)`: nats per example. Of a text, all words and the end are counted; points
        are measured in their own units.

    Raises:
        ValueError: For the diffusion prior, whose normalisers are unknown, for a model in training mode, and for
            `num_samples` below 1.
    """
    if num_samples < 1:
        raise ValueError(f"num_samples must be at least 1, got {num_samples}")
    if model.training:
        raise ValueError("model must be in evaluation mode, without dropout: call model.eval()")
    posterior = model.posterior(**inputs)
    weights = []
    for _ in range(num_samples):
        latents = posterior.sample(generator, relaxed=False)
        log_prior = model.prior.log_prob(latents, posterior.context)
        weights.append(model.conditional_log_likelihood(latents, **inputs) + log_prior - posterior.log_prob(latents))
    return torch.stack(weights).logsumexp(0) - math.log(num_samples)
