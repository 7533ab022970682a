"""Generators p_β(x|z)."""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from .bag_of_words import marks
from .configuration_ldebm import LDEBMConfig
from .encoders import perceptron
from .noise import gaussian_like
from .packing import pack
from .precision import at_least_float32
from .recurrent import GRU

LEAK = 0.2
BATCH_NORM_EPS = 1e-3
LOG_NOTHING = math.log(1e-12)
"""Log frequency of what the corpus does not have."""


class TextDecoder(nn.Module):
    """
    Autoregressive GRU that reads z twice: as its initial state and beside every input embedding.

    The output projection is the input embedding (tied), without bias. A linear map of a context, if there is one, is
    added to what the GRU reads at every step.
    """

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
        self.initial_state = None
        if config.total_latent_size:
            self.initial_state = nn.Linear(config.total_latent_size, config.decoder_hidden_size, bias=False)
        num_inputs = config.embedding_size + config.total_latent_size
        self.rnn = GRU(num_inputs, config.decoder_hidden_size, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)
        self.context = nn.Linear(config.context_size, num_inputs) if config.context_size else None

    def forward(
        self,
        input_ids: torch.Tensor,
        latents: torch.Tensor,
        state: torch.Tensor | None = None,
        context: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Previous tokens.
            latents (`torch.Tensor` of shape `(batch_size, total_latent_size)`): z.
            state (`torch.Tensor` of shape `(batch_size, hidden_size)`, *optional*): Recurrent state after earlier
                tokens; from z if missing.
            context (`torch.Tensor` of shape `(batch_size, context_size)`): For a model with contexts.

        Returns:
            Hidden states `(batch_size, sequence_length, hidden_size)` and the last recurrent state
            `(batch_size, hidden_size)`.
        """
        latents = latents.to(self.embedding.weight.dtype)
        if state is None:
            state = self._first_state(latents)
        embedded = self.dropout(self.embedding(input_ids))
        every_step = latents[:, None].expand(-1, input_ids.shape[1], -1)
        inputs = torch.cat([embedded, every_step.to(embedded.dtype)], -1)
        if self.context is not None:
            inputs = inputs + self._of_context(context)[:, None]
        hidden, state = self.rnn(inputs, state[None].contiguous())
        return self.dropout(hidden), state[0]

    def forward_packed(
        self,
        input_ids: torch.Tensor,
        latents: torch.Tensor,
        lengths: Sequence[int],
        context: torch.Tensor | None = None,
    ) -> PackedSequence:
        """
        As [`forward`] from the beginning, but without computing any padding.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Previous tokens, padded on the
                right.
            latents (`torch.Tensor` of shape `(batch_size, total_latent_size)`): z.
            lengths (`Sequence[int]`): Number of tokens to read of each row, at least 1; numbers of the host.
            context (`torch.Tensor` of shape `(batch_size, context_size)`): For a model with contexts.

        Returns:
            Hidden states, packed as `pack(…, lengths)` packs; `data` is `(sum of lengths, hidden_size)`.
        """
        latents = latents.to(self.embedding.weight.dtype)
        tokens = pack(input_ids, lengths)
        inputs = self.dropout(self.embedding(tokens.data))
        if latents.shape[1]:  # without a latent there is nothing to pack
            every_step = pack(latents[:, None].expand(-1, input_ids.shape[1], -1), lengths).data
            inputs = torch.cat([inputs, every_step.to(inputs.dtype)], -1)
        if self.context is not None:
            every_step = self._of_context(context)[:, None].expand(-1, input_ids.shape[1], -1)
            inputs = inputs + pack(every_step, lengths).data
        hidden, _ = self.rnn(tokens._replace(data=inputs), self._first_state(latents)[None])
        return hidden._replace(data=self.dropout(hidden.data))

    def _of_context(self, context: torch.Tensor) -> torch.Tensor:
        return self.context(context.to(self.context.weight.dtype))

    def _first_state(self, latents: torch.Tensor) -> torch.Tensor:
        if self.initial_state is None:
            return latents.new_zeros(len(latents), self.rnn.hidden_size)
        return self.initial_state(latents)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Next-token logits `(..., vocab_size)` of hidden states `(..., hidden_size)`."""
        return F.linear(hidden, self.embedding.weight)


class DocumentDecoder(nn.Module):
    """
    log p(x|z) = Σ_w x_w log softmax(g(z) + b)_w for counts x_w of words: every word is drawn independently, given z.

    g is a perceptron of LeakyReLUs, its outputs normalised over the batch if the configuration says so; b is the
    log frequency of each word in the training corpus (Card et al., ACL 2018), so that g is about what differs from it.
    """

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.config = config
        size = config.document_hidden_size
        widths = [config.total_latent_size, *[size] * (config.document_decoder_layers - 1), config.vocab_size]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in zip(widths[:-1], widths[1:], strict=True))
        self.normalization = None
        if config.document_batch_norm:
            self.normalization = OffsetBatchNorm(config.vocab_size, config.document_batch_norm_momentum)
        self.register_buffer("background", self.initial_background())

    def initial_background(self) -> torch.Tensor:
        """b before any corpus is known, `(vocab_size,)`: all words alike, what is no word next to impossible."""
        background = torch.zeros(self.config.vocab_size)
        background[marks(self.config)] = LOG_NOTHING
        return background

    def set_background(self, counts: torch.Tensor) -> None:
        """
        Take b from a corpus.

        Args:
            counts (`torch.Tensor` of shape `(vocab_size,)`): How often the corpus has each token. Those that are no
                words are not counted.

        Raises:
            ValueError: For another shape, a negative count, or no word at all.
        """
        counts = torch.as_tensor(counts, dtype=torch.float64).clone()
        if counts.shape != self.background.shape or (counts < 0).any():
            expected = f"{len(self.background)} counts of at least 0"
            raise ValueError(f"counts must be {expected}, got shape {tuple(counts.shape)}, least {counts.min():g}")
        counts[marks(self.config)] = 0
        if counts.sum() == 0:
            raise ValueError("counts must be of words, got none above 0")
        frequency = counts / counts.sum()
        self.background.copy_(frequency.log().clamp(min=LOG_NOTHING))

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """log p(w|z) up to a constant, `(batch_size, vocab_size)`, of latents `(batch_size, total_latent_size)`."""
        hidden = latents.to(self.layers[0].weight.dtype)
        for layer in self.layers[:-1]:
            hidden = F.leaky_relu(layer(hidden), LEAK)
        logits = at_least_float32(self.layers[-1](hidden))
        if self.normalization is not None:
            logits = self.normalization(logits)
        return logits + self.background

    def log_likelihood(self, logits: torch.Tensor, input_ids: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """
        log p(x|z) in nats, `(batch_size,)`: of the words in one order, without the number of orders.

        Args:
            logits (`torch.Tensor` of shape `(batch_size, vocab_size)`): Of [`forward`].
            input_ids (`torch.LongTensor` of shape `(batch_size, n)`), counts (`torch.Tensor` of shape
                `(batch_size, n)`): Words, and how often each counts.
        """
        counts = counts.to(logits.dtype)
        return (counts * logits.gather(1, input_ids)).sum(-1) - counts.sum(-1) * logits.logsumexp(-1)


class OffsetBatchNorm(nn.Module):
    """Zero mean and unit variance of every feature over a batch, plus a learned offset; float32 at least."""

    def __init__(self, num_features: int, momentum: float):
        super().__init__()
        self.momentum = momentum
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Of `features` `(batch_size, num_features)`; in evaluation, and for a batch of one, by past batches."""
        mean, variance, bias = (at_least_float32(t) for t in (self.running_mean, self.running_var, self.bias))
        in_batch = self.training and len(features) > 1
        return F.batch_norm(features, mean, variance, None, bias, in_batch, self.momentum, BATCH_NORM_EPS)


class PointDecoder(nn.Module):
    """p(x|z) = N(g(z), s² I) with a perceptron g of ReLUs, on points centred and scaled."""

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.std = config.point_std
        self.network = perceptron(
            config.total_latent_size, config.point_hidden_size, config.point_size, config.point_decoder_layers
        )

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """g(z), `(batch_size, point_size)`, in float32 at least, of latents `(batch_size, total_latent_size)`."""
        return at_least_float32(self.network(latents.to(self.network[0].weight.dtype)))

    def log_likelihood(self, latents: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """log p(x|z) in nats, `(batch_size,)`, of `points` `(batch_size, point_size)`."""
        offset = (points - self(latents)) / self.std
        return -(offset.square() + math.log(2 * math.pi * self.std**2)).sum(-1) / 2

    def sample(self, latents: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """A draw of x for each latent, `(batch_size, point_size)`."""
        mean = self(latents)
        return mean + self.std * gaussian_like(mean, generator)


DECODERS = {"text": TextDecoder, "document": DocumentDecoder, "point": PointDecoder}


def build_decoder(config: LDEBMConfig) -> nn.Module:
    """The decoder of the modality."""
    return DECODERS[config.modality](config)
