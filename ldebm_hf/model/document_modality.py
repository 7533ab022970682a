"""Documents: bags of words, whose order is neither read nor written, with perceptrons as encoder and decoder."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init

from .bag_of_words import marks, word_counts
from .modality import Modality
from .noise import at_least_float32, draw
from .posteriors import Posterior, PosteriorHeads
from .validation import require

if TYPE_CHECKING:
    from .configuration_ldebm import LDEBMConfig

SLOPE = 0.2  # negative slope of the decoder's LeakyReLUs
BATCH_NORM_EPS = 1e-3
LOG_NOTHING = math.log(1e-12)
"""Log frequency given to words that do not occur in the corpus."""


class WordSum(nn.Module):
    """
    A linear map of word counts, computed as the sum of the words' vectors and a bias.

    Args:
        vocab_size (`int`): Number of words.
        size (`int`): Number of outputs.
        init_range (`float`, *optional*): Draw weight and bias from U(-r, r). Default: as `torch.nn.Linear` of the
            counts does.
    """

    def __init__(self, vocab_size: int, size: int, init_range: float | None = None):
        super().__init__()
        self.init_range = init_range
        self.weight = nn.Parameter(torch.empty(vocab_size, size))
        self.bias = nn.Parameter(torch.empty(size))
        self.init_tensors()

    def init_tensors(self) -> None:
        """Draw weight and bias."""
        bound = len(self.weight) ** -0.5 if self.init_range is None else self.init_range
        init.uniform_(self.weight, -bound, bound)
        init.uniform_(self.bias, -bound, bound)

    def forward(self, input_ids: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Outputs `(batch_size, size)` for words `input_ids`, weighted by their `counts`, both `(batch_size, n)`."""
        weights = counts.to(self.weight.dtype)
        return F.embedding_bag(input_ids, self.weight, per_sample_weights=weights, mode="sum") + self.bias


class DocumentEncoder(nn.Module):
    """ReLU perceptron with dropout on the counts of a document's words."""

    main_input_name = "input_ids"

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.config = config
        size, dropout = config.document_hidden_size, config.document_dropout
        self.words = WordSum(config.vocab_size, size, config.uniform_init_range)
        layers: list[nn.Module] = [nn.ReLU(), nn.Dropout(dropout)]
        for _ in range(config.document_encoder_layers - 1):
            layers += [nn.Linear(size, size), nn.ReLU(), nn.Dropout(dropout)]
        self.network = nn.Sequential(*layers)
        self.heads = PosteriorHeads(config, size)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> Posterior:
        """
        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Tokens in any order.
            attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*): 0 at tokens that are
                not part of the document. Padding, begin and end marks and unknown words never count.
        """
        counts = word_counts(input_ids, attention_mask, self.config).to(self.words.weight.dtype)
        if self.training and self.config.word_dropout:
            counts = counts * (draw(torch.rand, counts.shape, counts) >= self.config.word_dropout)
        return self.heads(self.network(self.words(input_ids, counts)))


class DocumentDecoder(nn.Module):
    """
    log p(x|z) = Σ_w x_w log softmax(g(z) + b)_w for word counts x_w: given z, words are independent draws.

    g is a LeakyReLU perceptron, whose outputs are normalised over the batch if the configuration says so. b is the log
    frequency of each word in the training corpus (Card et al., ACL 2018), so that g learns the deviations from it.
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

    def init_tensors(self) -> None:
        """Fill b with its values before any corpus is known."""
        init.copy_(self.background, self.initial_background())

    def initial_background(self) -> torch.Tensor:
        """b before any corpus is known, `(vocab_size,)`: the same for all words, and tiny for all other tokens."""
        background = torch.zeros(self.config.vocab_size)
        background[marks(self.config)] = LOG_NOTHING
        return background

    def set_background(self, counts: torch.Tensor) -> None:
        """
        Set b to the log frequencies of words in a corpus.

        Args:
            counts (`torch.Tensor` of shape `(vocab_size,)`): How often each token occurs in the corpus. Tokens that
                are not words are ignored.

        Raises:
            ValueError: If the shape is another, a count is negative, or no word occurs.
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
        """log p(w|z) up to a constant, `(batch_size, vocab_size)`, given latents `(batch_size, total_latent_size)`."""
        hidden = latents.to(self.layers[0].weight.dtype)
        for layer in self.layers[:-1]:
            hidden = F.leaky_relu(layer(hidden), SLOPE)
        logits = at_least_float32(self.layers[-1](hidden))
        if self.normalization is not None:
            logits = self.normalization(logits)
        return logits + self.background

    def log_likelihood(self, logits: torch.Tensor, input_ids: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """
        log p(x|z) in nats, `(batch_size,)`, of the words in one order (without the multinomial coefficient).

        Args:
            logits (`torch.Tensor` of shape `(batch_size, vocab_size)`): Result of [`forward`].
            input_ids (`torch.LongTensor` of shape `(batch_size, n)`): Words.
            counts (`torch.Tensor` of shape `(batch_size, n)`): How often each of them counts.
        """
        counts = counts.to(logits.dtype)
        return (counts * logits.gather(1, input_ids)).sum(-1) - counts.sum(-1) * logits.logsumexp(-1)


class OffsetBatchNorm(nn.Module):
    """
    Batch normalisation with a learned offset and no learned scale, in float32 at least.

    Args:
        num_features (`int`): Number of features.
        momentum (`float`): Weight of a batch in the running means and variances that evaluation uses.
    """

    def __init__(self, num_features: int, momentum: float):
        super().__init__()
        self.momentum = momentum
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def init_tensors(self) -> None:
        """Set the offset to zero, and the running statistics to those of a standard normal."""
        init.zeros_(self.bias)
        init.zeros_(self.running_mean)
        init.ones_(self.running_var)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """
        Normalised `features` `(batch_size, num_features)`; in evaluation, and for a batch of one, by the running
        statistics.
        """
        mean, variance, bias = (at_least_float32(t) for t in (self.running_mean, self.running_var, self.bias))
        in_batch = self.training and len(features) > 1
        return F.batch_norm(features, mean, variance, None, bias, in_batch, self.momentum, BATCH_NORM_EPS)


class DocumentModality(Modality[tuple[torch.Tensor, torch.Tensor]]):
    """Bags of words. Inputs are tokens in any order and how often each counts, 1 or 0."""

    is_bag_of_words = True
    unused_arguments = ("labels", "decoder_input_ids", "encoder_features")
    generation_options = ("do_sample", "max_new_tokens")
    default_vocab_size = 30004
    default_max_length = 512
    hub_task = ("text-classification", "Text classification")

    @classmethod
    def validate_settings(cls, config: LDEBMConfig) -> None:
        """A model of documents has at least one word besides the marks."""
        if config.modality == "document":
            num_marks = len(marks(config))
            allowed = f"above {num_marks}, the number of marks, for a model of documents"
            require(config.vocab_size > num_marks, "vocab_size", config.vocab_size, allowed)

    @classmethod
    def build_encoder(cls, config: LDEBMConfig) -> nn.Module:
        """A perceptron on word counts."""
        return DocumentEncoder(config)

    @classmethod
    def build_decoder(cls, config: LDEBMConfig) -> nn.Module:
        """A neural document model."""
        return DocumentDecoder(config)

    def _make_inputs(self, input_ids, attention_mask=None, **others) -> tuple[torch.Tensor, torch.Tensor]:
        return input_ids, word_counts(input_ids, attention_mask, self.config)

    def posterior(self, inputs) -> Posterior:
        return self.model.encoder(*inputs)

    def reconstruction(self, latents, inputs, labels, decoder_input_ids, with_logits):
        logits = self.model.decoder(latents)
        loss = -self.model.decoder.log_likelihood(logits, *inputs).mean()
        return loss, logits if with_logits else None

    def log_likelihood(self, latents: torch.Tensor, inputs) -> torch.Tensor:
        return self.model.decoder.log_likelihood(self.model.decoder(latents), *inputs)

    def generate(self, latents, generator, max_new_tokens: int | None = None, do_sample: bool = False) -> torch.Tensor:
        """
        Words of p(w|z), `(n, max_new_tokens)`: the likeliest words in descending order, or with `do_sample`
        independent draws.
        """
        no_words = marks(self.config)
        number = self.model.generation_config.max_new_tokens if max_new_tokens is None else max_new_tokens
        num_words = self.config.vocab_size - len(no_words)
        if not 1 <= number <= num_words:
            raise ValueError(f"max_new_tokens must be 1 to the number of words, {num_words}, got {number}")
        logits = self.model.decoder(latents).index_fill(1, torch.tensor(no_words, device=latents.device), -torch.inf)
        if not do_sample:
            return logits.topk(number).indices
        probability = logits.softmax(-1).to("cpu" if generator is None else generator.device)
        return probability.multinomial(number, replacement=True, generator=generator).to(logits.device)
