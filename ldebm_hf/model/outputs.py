"""What the model returns."""

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput

from .tilted_chains import ChainDiagnostics


class RecurrentState:
    """
    The decoder's recurrent state, with the interface of a transformers cache.

    Args:
        hidden (`torch.Tensor` of shape `(batch_size, hidden_size)`): Hidden state.
        length (`int`): Number of tokens read so far.
    """

    is_compileable = False
    is_croppable = False

    def __init__(self, hidden: torch.Tensor, length: int):
        self.hidden = hidden
        self.length = length

    def get_seq_length(self) -> int:
        return self.length

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        self.hidden = self.hidden[beam_idx]

    def __getitem__(self, rows: torch.Tensor) -> "RecurrentState":
        """The state of some of the texts, chosen by indices or by a mask."""
        return RecurrentState(self.hidden[rows], self.length)


@dataclass
class LatentTrajectory(ModelOutput):
    """
    Args:
        latents (`torch.FloatTensor` of shape `(num_samples, total_latent_size)`): The samples z_0.
        trajectory (`torch.FloatTensor` of shape `(num_states, num_samples, total_latent_size)`): The states z_T, …,
            z_0 of the diffusion prior; for priors that are sampled directly, the samples alone. Returned with
            `return_trajectory`.
        diagnostics ([`ChainDiagnostics`]): What the chains did at each level. Returned with `return_diagnostics`.
    """

    latents: torch.FloatTensor | None = None
    trajectory: torch.FloatTensor | None = None
    diagnostics: ChainDiagnostics | None = None


@dataclass
class AcceptedTextsOutput(ModelOutput):
    """
    What `generate` returns for `min_label_probability` with `return_dict_in_generate=True`.

    Args:
        sequences (`torch.LongTensor` of shape `(n, length)`): The texts, padded on the right.
        symbol_probabilities (`torch.FloatTensor` of shape `(n, num_symbols)`): p(y|x) as the model reads each text.
        is_accepted (`torch.BoolTensor` of shape `(n,)`): Whether the requested symbol is read with that probability.
        num_candidates (`torch.LongTensor` of shape `(n,)`): The number of candidates that were examined for each text,
            the text itself among them.
        num_drawn (`int`): The number of all candidates that were drawn; those left over at the end are not examined.
        acceptance_rate (`float`): The fraction of the examined candidates that were accepted.
    """

    sequences: torch.LongTensor | None = None
    symbol_probabilities: torch.FloatTensor | None = None
    is_accepted: torch.BoolTensor | None = None
    num_candidates: torch.LongTensor | None = None
    num_drawn: int | None = None
    acceptance_rate: float | None = None


@dataclass
class PosteriorOutput(ModelOutput):
    """
    Args:
        posterior_mean (`torch.FloatTensor` of shape `(batch_size, total_latent_size)`): Mean of the latent
            vector: μ(x), and the probabilities of codes.
        posterior_log_variance (`torch.FloatTensor` of shape `(batch_size, gaussian_size)`, *optional*): log σ²(x)
            of the Gaussian part, if there is one.
        symbol_logits (`torch.FloatTensor` of shape `(batch_size, num_symbols)`, *optional*): Logits of the symbols at
            the posterior mean, for priors with symbols.
    """

    posterior_mean: torch.FloatTensor | None = None
    posterior_log_variance: torch.FloatTensor | None = None
    symbol_logits: torch.FloatTensor | None = None


@dataclass
class LDEBMOutput(ModelOutput):
    """
    Fields that do not apply to a model's prior are `None`: energies, symbols and the terms about symbols.

    Args:
        loss (`torch.FloatTensor`): The objective, reconstruction + w_kl (prior + entropy) - w_mi I + w_cls CE.
        reconstruction_loss (`torch.FloatTensor`): -log p(x|z), nats per example.
        prior_loss (`torch.FloatTensor`): The prior's term. Its sum with the entropy term is the divergence of
            posterior and prior; for energy-based priors it is a contrastive loss, not a likelihood.
        entropy_loss (`torch.FloatTensor`): Negative entropy of q(z|x) up to a constant, nats per example.
        mutual_information (`torch.FloatTensor`): I(z; y) over the batch, nats.
        classification_loss (`torch.FloatTensor`): Cross-entropy of p(y|z) with the known symbols. If symbols are
            learned at all levels, the mean of the cross-entropies at level 0 and at the noisy levels drawn.
        energy_positive, energy_negative (`torch.FloatTensor`): Mean F at posterior samples and at Langevin samples.
        logits (`torch.FloatTensor` of shape `(batch_size, sequence_length, vocab_size)`): Next-token logits, 0
            at padding; of documents `(batch_size, vocab_size)`. Not returned in training mode, nor for points.
        symbol_logits (`torch.FloatTensor` of shape `(batch_size, num_symbols)`): Logits of p(y|z).
        latents (`torch.FloatTensor` of shape `(batch_size, total_latent_size)`): z.
        posterior_mean, posterior_log_variance: As in [`PosteriorOutput`].
        context (`torch.FloatTensor` of shape `(batch_size, context_size)`): Context vectors, for models with contexts.
    """

    loss: torch.FloatTensor | None = None
    reconstruction_loss: torch.FloatTensor | None = None
    prior_loss: torch.FloatTensor | None = None
    entropy_loss: torch.FloatTensor | None = None
    mutual_information: torch.FloatTensor | None = None
    classification_loss: torch.FloatTensor | None = None
    energy_positive: torch.FloatTensor | None = None
    energy_negative: torch.FloatTensor | None = None
    logits: torch.FloatTensor | None = None
    symbol_logits: torch.FloatTensor | None = None
    latents: torch.FloatTensor | None = None
    posterior_mean: torch.FloatTensor | None = None
    posterior_log_variance: torch.FloatTensor | None = None
    context: torch.FloatTensor | None = None

    def __getitem__(self, key):
        if key == "logits" and self.logits is None:
            raise KeyError(
                "the output has no logits, which are left out in training and for points: pass skip_logits=False. "
                "label_smoothing_factor of transformers' Trainer is not supported: it would replace the objective"
            )
        return super().__getitem__(key)
