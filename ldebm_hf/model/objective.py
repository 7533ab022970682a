"""The terms of the objective (Algorithm 1), each a small function. The total loss is

reconstruction + w_kl (prior + entropy) - w_mi mutual_information + w_cls classification
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn import functional as F

from .token_embedding import outside_of_range
from .vocabulary_loss import IGNORE_INDEX, vocabulary_loss


class Targets(NamedTuple):
    """
    What a decoder of texts is to predict, and from what.

    Args:
        previous (`torch.LongTensor` of shape `(batch_size, target_length)`): The tokens before those to predict.
        labels (`torch.LongTensor` of shape `(batch_size, target_length)`): Tokens to predict; -100 is not counted.
        lengths (`Sequence[int]`): Number of positions of each text that are read, at least 1.
    """

    previous: torch.Tensor
    labels: torch.Tensor
    lengths: Sequence[int]


@dataclass
class PriorLoss:
    """
    A prior's contribution to the objective. Its sum with the posterior's negative entropy is the divergence of
    posterior and prior, up to constants and, for energy-based priors, up to unknown normalisers.

    Args:
        loss (`torch.Tensor`): Scalar, to be minimised over prior and encoder together: the cross-entropy
            -E_q[log p(z)] without its constant d/2 · log 2π, or a contrastive loss with the same gradient.
        energy_positive (`torch.Tensor`, *optional*): Mean F at samples of the posterior (z̃⁺), detached.
        energy_negative (`torch.Tensor`, *optional*): Mean F at samples of the prior (z̃⁻), detached.
        noisy_symbol_logits (`torch.Tensor` of shape `(num_pairs, num_symbols)`, *optional*): f(z̃⁺, t) of all pairs,
            if the symbols' cross-entropy counts them too; pair `i` belongs to example `i % batch_size`.
    """

    loss: torch.Tensor
    energy_positive: torch.Tensor | None = None
    energy_negative: torch.Tensor | None = None
    noisy_symbol_logits: torch.Tensor | None = None


def reconstruction_loss(
    hidden: torch.Tensor,
    vocabulary: torch.Tensor,
    targets: torch.Tensor,
    batch_size: int,
    product_dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """
    -log p(x|z) in nats per example: token negative log-likelihoods summed, divided by `batch_size`, the number of
    examples that the tokens belong to. Other arguments as in [`vocabulary_loss`].
    """
    return vocabulary_loss(hidden, vocabulary, targets, product_dtype) / batch_size


def contrastive_loss(
    free_energy_positive: torch.Tensor, free_energy_negative: torch.Tensor, weight: torch.Tensor, batch_size: int
) -> torch.Tensor:
    """
    Σ_t λ_t E[F(z̃⁻, t) - F(z̃⁺, t)], the energy's part of the prior loss: Eq. 10 for α and Eq. 11 for φ at once.

    Args:
        free_energy_positive (`torch.Tensor` of shape `(num_pairs,)`): F at forward-process samples z̃⁺, differentiable
            with respect to the energy network and, through z̃⁺, the encoder.
        free_energy_negative (`torch.Tensor` of shape `(num_pairs,)`): F at Langevin samples z̃⁻, which are detached.
        weight (`torch.Tensor` of shape `(num_pairs,)`): λ_t of the level of each pair.
        batch_size (`int`): Number of examples that the pairs were made from.
    """
    return (weight * (free_energy_negative - free_energy_positive)).sum() / batch_size


def negative_entropy(log_variance: torch.Tensor, threshold: float | None = None) -> torch.Tensor:
    """
    E_q[log q(z|x)] of a diagonal Gaussian up to its constant d/2 · log 2π: mean over examples of Σ_d -½(1 + log σ²).

    Args:
        log_variance (`torch.Tensor` of shape `(batch_size, latent_size)`): log σ².
        threshold (`float`, *optional*): Count only dimensions whose term exceeds this value (published: 1.0, that
            is, dimensions with σ < 0.223). Default: count all.
    """
    terms = -0.5 * (1 + log_variance)
    if threshold is not None:
        terms = terms * (terms.detach() > threshold)
    return terms.sum(-1).mean()


def mutual_information(symbol_logits: torch.Tensor) -> torch.Tensor:
    """
    I(z; y) = H(mean_b p(y|z_b)) - mean_b H(p(y|z_b)) in nats over one batch (Eq. 9), at most log min(B, K).

    Args:
        symbol_logits (`torch.Tensor` of shape `(batch_size, num_symbols)`): f(z̃_0, 0); or the logits of
            several variables, `(batch_size, num_variables, num_categories)`, whose mutual informations are summed.
    """
    log_probability = symbol_logits.log_softmax(-1)
    log_marginal = log_probability.logsumexp(0) - math.log(len(symbol_logits))
    return (log_probability.exp() * (log_probability - log_marginal)).flatten(1).sum(-1).mean()


def negative_code_entropy(code_logits: torch.Tensor) -> torch.Tensor:
    """
    E_q[log q(c|x)] of independent categorical variables in nats, mean over examples.

    Args:
        code_logits (`torch.Tensor` of shape `(batch_size, num_variables, num_categories)`): log q(c|x) up to
            constants.
    """
    log_probability = code_logits.log_softmax(-1)
    return (log_probability.exp() * log_probability).flatten(1).sum(-1).mean()


def classification_loss(
    symbol_logits: torch.Tensor, class_labels: torch.Tensor, name: str = "class_labels"
) -> torch.Tensor:
    """
    Cross-entropy of p(y|z) with the known symbols, mean over the examples whose symbol is known; 0 if none is.

    Args:
        symbol_logits (`torch.Tensor` of shape `(batch_size, num_symbols)`): f(z̃_0, 0).
        class_labels (`torch.LongTensor` of shape `(batch_size,)`): Symbols; -100 where unknown.
        name (`str`, *optional*, defaults to `"class_labels"`): What messages call them.

    Raises:
        ValueError: On the CPU, for a symbol that there is not; on a GPU this is torch's error.
    """
    try:
        total = F.cross_entropy(symbol_logits, class_labels, ignore_index=IGNORE_INDEX, reduction="sum")
    except IndexError as error:
        size = symbol_logits.shape[-1]
        raise ValueError(outside_of_range(name, class_labels, size, "num_labels", IGNORE_INDEX)) from error
    return total / (class_labels != IGNORE_INDEX).sum().clamp(min=1)


def all_levels_classification_loss(
    symbol_logits: torch.Tensor, noisy_symbol_logits: torch.Tensor | None, class_labels: torch.Tensor
) -> torch.Tensor:
    """
    [`classification_loss`] at level 0, or, if symbols are learned at all levels, the mean of the losses at level 0 and
    at the noisy levels drawn.

    Args:
        symbol_logits (`torch.Tensor` of shape `(batch_size, num_symbols)`): f(z̃_0, 0).
        noisy_symbol_logits (`torch.Tensor` of shape `(num_pairs, num_symbols)`, *optional*): f(z̃_t, t); pair `i`
            belongs to example `i % batch_size`.
        class_labels (`torch.LongTensor` of shape `(batch_size,)`): Symbols; -100 where unknown.
    """
    loss = classification_loss(symbol_logits, class_labels)
    if noisy_symbol_logits is None:
        return loss
    repeats = len(noisy_symbol_logits) // len(class_labels)
    return (loss + classification_loss(noisy_symbol_logits, class_labels.repeat(repeats))) / 2
