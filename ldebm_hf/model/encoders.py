"""Inference networks: what a posterior q_φ(z|x) is computed from."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init

from .bag_of_words import word_counts
from .configuration_ldebm import LDEBMConfig
from .noise import draw, gaussian_like
from .packing import pack, text_lengths
from .posteriors import Posterior, PosteriorHeads
from .recurrent import GRU


class TextEncoder(nn.Module):
    """Bidirectional GRU over tokens; its two final states, padding never read, give the posterior."""

    main_input_name = "input_ids"  # read by transformers' generate

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
        self.rnn = GRU(config.embedding_size, config.encoder_hidden_size, batch_first=True, bidirectional=True)
        num_features, self.merge = 2 * config.encoder_hidden_size, None
        if config.context_size:
            self.merge = nn.Linear(num_features + config.context_size, config.encoder_hidden_size)
            num_features = config.encoder_hidden_size
        self.heads = PosteriorHeads(config, num_features)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        lengths: Sequence[int] | None = None,
        context: torch.Tensor | None = None,
    ) -> Posterior:
        """
        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Tokens, padded on the right.
            attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*): 1 for tokens, 0 for
                padding; defaults to 0 at `pad_token_id`.
            lengths (`Sequence[int]`, *optional*): Number of tokens of each text, on the host. With them the mask is
                neither read nor checked, and no device is waited for.
            context (`torch.Tensor` of shape `(batch_size, context_size)`): For a model with contexts.

        Raises:
            ValueError: Without any text or token, and for padding anywhere but on the right.
        """
        if lengths is None:
            lengths = text_lengths(input_ids, attention_mask, self.config.pad_token_id)
        if self.training and self.config.word_dropout:
            input_ids = self._drop_words(input_ids)
        tokens = pack(input_ids, lengths)
        _, final = self.rnn.read(self.embedding, tokens)  # (2, batch_size, hidden_size)
        features = torch.cat([final[0], final[1]], dim=-1)
        if self.merge is not None:
            return self.heads(self.merge(torch.cat([features, context], -1)).relu())
        if self.config.encoder_head_activation:
            features = F.leaky_relu(features, 0.01)
        return self.heads(features)

    def _drop_words(self, input_ids: torch.Tensor) -> torch.Tensor:
        """The texts with random words unknown; begin and end marks stay."""
        config = self.config
        ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
        dropped = draw(torch.rand, input_ids.shape, self.embedding.weight) < config.word_dropout
        for mark in (config.pad_token_id, config.bos_token_id, *ends):
            if mark is not None:
                dropped = dropped & (input_ids != mark)
        return input_ids.masked_fill(dropped, config.unk_token_id)


class WordSum(nn.Module):
    """
    A linear map of word counts, computed from the words: the sum of their vectors, plus a bias.

    Args:
        vocab_size (`int`), size (`int`): Numbers of counts and of outputs.
    """

    def __init__(self, vocab_size: int, size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocab_size, size))
        self.bias = nn.Parameter(torch.empty(size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As `torch.nn.Linear` of the counts would be drawn."""
        bound = len(self.weight) ** -0.5
        init.uniform_(self.weight, -bound, bound)
        init.uniform_(self.bias, -bound, bound)

    def forward(self, input_ids: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """`(batch_size, size)` of words `input_ids`, each as often as `counts` says, both `(batch_size, n)`."""
        weights = counts.to(self.weight.dtype)
        return F.embedding_bag(input_ids, self.weight, per_sample_weights=weights, mode="sum") + self.bias


class DocumentEncoder(nn.Module):
    """Perceptron of ReLUs, with dropout, on the counts of a document's words."""

    main_input_name = "input_ids"

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.config = config
        size, dropout = config.document_hidden_size, config.document_dropout
        self.words = WordSum(config.vocab_size, size)
        layers: list[nn.Module] = [nn.ReLU(), nn.Dropout(dropout)]
        for _ in range(config.document_encoder_layers - 1):
            layers += [nn.Linear(size, size), nn.ReLU(), nn.Dropout(dropout)]
        self.network = nn.Sequential(*layers)
        self.heads = PosteriorHeads(config, size)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> Posterior:
        """
        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Words in any order, and marks.
            attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*): 0 at what is not of
                the document. Padding, marks and unknown words do not count in any case.
        """
        counts = word_counts(input_ids, attention_mask, self.config).to(self.words.weight.dtype)
        if self.training and self.config.word_dropout:
            counts = counts * (draw(torch.rand, counts.shape, counts) >= self.config.word_dropout)
        return self.heads(self.network(self.words(input_ids, counts)))


class PointEncoder(nn.Module):
    """Perceptron of ReLUs on points, centred and scaled."""

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
            points (`torch.Tensor` of shape `(batch_size, point_size)`): x, in the model's own units.
        """
        if self.training and self.config.point_noise:
            points = points + self.config.point_noise * gaussian_like(points)
        return self.heads(self.network(points.to(self.network[0].weight.dtype)))


class NoEncoder(nn.Module):
    """For a model without a latent: posteriors over vectors of size 0, whatever the text."""

    main_input_name = "input_ids"

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.config = config

    def forward(self, input_ids: torch.Tensor, attention_mask=None, lengths=None, context=None) -> Posterior:
        nothing = torch.zeros(len(input_ids), 0, device=input_ids.device)
        return Posterior(self.config, nothing, nothing)


def perceptron(num_inputs: int, hidden_size: int, num_outputs: int, num_layers: int) -> nn.Sequential:
    """`num_layers` linear maps with ReLUs between them."""
    widths = [num_inputs, *[hidden_size] * (num_layers - 1), num_outputs]
    layers: list[nn.Module] = []
    for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


ENCODERS = {"text": TextEncoder, "document": DocumentEncoder, "point": PointEncoder}


def build_encoder(config: LDEBMConfig) -> nn.Module:
    """The encoder that modality and prior ask for."""
    return NoEncoder(config) if config.prior == "none" else ENCODERS[config.modality](config)
