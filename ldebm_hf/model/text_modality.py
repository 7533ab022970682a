"""Texts: sequences of tokens, with an encoder and a decoder of their own, perhaps in the context of a dialogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence
from transformers.modeling_outputs import CausalLMOutputWithPast

from .context import ContextEncoder
from .modality import Modality
from .noise import draw
from .objective import IGNORE_INDEX, Targets, reconstruction_loss
from .outputs import RecurrentState
from .posteriors import Posterior, PosteriorHeads
from .pretrained_decoder import PrefixedState, PretrainedDecoder
from .pretrained_encoder import PretrainedEncoder
from .recurrent import GRU, embed, pack, require_mask_of_ids, text_lengths, unpack
from .token_embedding import TokenEmbedding, all_vectors
from .validation import shown

if TYPE_CHECKING:
    from .configuration_ldebm import LDEBMConfig


class TextEncoder(nn.Module):
    """Bidirectional GRU over the tokens, whose two final states give the posterior. Padding is never read."""

    main_input_name = "input_ids"  # which transformers' generate looks up

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.config = config
        self.embedding = TokenEmbedding(config.vocab_size, config.embedding_size)
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
            lengths (`Sequence[int]`, *optional*): Number of tokens of each text. If given, the mask is neither read
                nor checked, which avoids a GPU synchronisation.
            context (`torch.Tensor` of shape `(batch_size, context_size)`, *optional*): Context vectors, for a model
                with contexts.

        Raises:
            ValueError: If there is no text, a text without tokens, or padding anywhere but on the right.
        """
        if lengths is None:
            lengths = text_lengths(input_ids, attention_mask, self.config.pad_token_id)
        if self.training and self.config.word_dropout:
            input_ids = self._drop_words(input_ids)
        _, final = self.rnn.read(self.embedding, input_ids, lengths)  # (2, batch_size, hidden_size)
        features = torch.cat([final[0], final[1]], dim=-1)
        if self.merge is not None:
            return self.heads(self.merge(torch.cat([features, context], -1)).relu())
        if self.config.encoder_head_activation:
            features = F.leaky_relu(features, 0.01)
        return self.heads(features)

    def _drop_words(self, input_ids: torch.Tensor) -> torch.Tensor:
        """The texts with random words replaced by the unknown word; begin and end marks stay."""
        config = self.config
        dropped = draw(torch.rand, input_ids.shape, self.embedding.weight) < config.word_dropout
        for mark in (config.pad_token_id, config.bos_token_id, *config.eos_token_ids):
            if mark is not None:
                dropped = dropped & (input_ids != mark)
        return input_ids.masked_fill(dropped, config.unk_token_id)


class NoEncoder(nn.Module):
    """The encoder of a model without a latent, whose posteriors are distributions over vectors of size 0."""

    main_input_name = "input_ids"

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.config = config

    def forward(self, input_ids: torch.Tensor, attention_mask=None, lengths=None, context=None) -> Posterior:
        empty = torch.zeros(len(input_ids), 0, device=input_ids.device)
        return Posterior(self.config, empty, empty)


class TextDecoder(nn.Module):
    """
    Autoregressive GRU that reads z twice: as its initial state, and concatenated to every input embedding.

    The output projection is the input embedding (tied), without a bias. In a model with contexts, a linear map of the
    context is added to the GRU's input at every step.
    """

    def __init__(self, config: LDEBMConfig):
        super().__init__()
        self.config = config
        self.embedding = TokenEmbedding(config.vocab_size, config.embedding_size)
        self.initial_state = None
        if config.total_latent_size:
            self.initial_state = nn.Linear(config.total_latent_size, config.decoder_hidden_size, bias=False)
        num_inputs = config.embedding_size + config.total_latent_size
        self.rnn = GRU(num_inputs, config.decoder_hidden_size, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)
        self.context = nn.Linear(config.context_size, num_inputs) if config.context_size else None
        self.vocabulary_dtype: torch.dtype | None = None

    def optimize_vocabulary(self, dtype: torch.dtype | None = None) -> None:
        """
        Choose how products with the vocabulary are computed in training mode. The choice is not saved with the model,
        and evaluation and generation do not depend on it.

        Args:
            dtype (`torch.dtype`, *optional*): Precision of the products, for example `torch.bfloat16`; see
                [`vocabulary_loss`]. Defaults to the model's own.
        """
        self.vocabulary_dtype = dtype

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
                tokens; defaults to the initial state, which depends on z.
            context (`torch.Tensor` of shape `(batch_size, context_size)`, *optional*): Context vectors, for a model
                with contexts.

        Returns:
            Hidden states `(batch_size, sequence_length, hidden_size)` and the last recurrent state
            `(batch_size, hidden_size)`.
        """
        latents = latents.to(self.embedding.weight.dtype)
        if state is None:
            state = self._initial_state(latents)
        embedded = self.dropout(self.embedding(input_ids))
        every_step = latents[:, None].expand(-1, input_ids.shape[1], -1)
        inputs = torch.cat([embedded, every_step.to(embedded.dtype)], -1)
        if self.context is not None:
            inputs = inputs + self._context_inputs(context)[:, None]
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
        As [`forward`] from the initial state, without computing any padding.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Previous tokens, padded on the
                right.
            latents (`torch.Tensor` of shape `(batch_size, total_latent_size)`): z.
            lengths (`Sequence[int]`): Number of tokens to read of each row, at least 1.
            context (`torch.Tensor` of shape `(batch_size, context_size)`, *optional*): Context vectors, for a model
                with contexts.

        Returns:
            Hidden states in the order of `pack(…, lengths)`; `data` has shape `(sum of lengths, hidden_size)`.
        """
        latents = latents.to(self.embedding.weight.dtype)
        tokens = pack(input_ids, lengths)
        inputs = self.dropout(embed(self.embedding, input_ids, tokens, lengths))
        if latents.shape[1]:  # torch cannot pack vectors of size 0
            every_step = pack(latents[:, None].expand(-1, input_ids.shape[1], -1), lengths).data
            inputs = torch.cat([inputs, every_step.to(inputs.dtype)], -1)
        if self.context is not None:
            every_step = self._context_inputs(context)[:, None].expand(-1, input_ids.shape[1], -1)
            inputs = inputs + pack(every_step, lengths).data
        hidden, _ = self.rnn(tokens._replace(data=inputs), self._initial_state(latents)[None])
        return hidden._replace(data=self.dropout(hidden.data))

    def _context_inputs(self, context: torch.Tensor) -> torch.Tensor:
        return self.context(context.to(self.context.weight.dtype))

    def _initial_state(self, latents: torch.Tensor) -> torch.Tensor:
        if self.initial_state is None:
            return latents.new_zeros(len(latents), self.rnn.hidden_size)
        return self.initial_state(latents)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Next-token logits `(..., vocab_size)` of hidden states `(..., hidden_size)`."""
        return F.linear(hidden, all_vectors(self.embedding))

    def next_tokens(
        self,
        input_ids: torch.Tensor,
        latents: torch.Tensor,
        state: RecurrentState | None = None,
        context: torch.Tensor | None = None,
        last_only: bool = False,
    ) -> tuple[torch.Tensor, RecurrentState]:
        """
        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, num_new_tokens)`): Tokens since the last state.
            latents (`torch.Tensor` of shape `(batch_size, total_latent_size)`): z.
            state ([`RecurrentState`], *optional*): State after earlier tokens.
            context (`torch.Tensor` of shape `(batch_size, context_size)`, *optional*): Context vectors, for a model
                with contexts.
            last_only (`bool`, *optional*, defaults to `False`): Whether only the logits after the last token are
                needed.

        Returns:
            Logits of the next token after every token, `(batch_size, num_new_tokens or 1, vocab_size)`, and the state
            after the last one.
        """
        seen = 0 if state is None else state.length
        hidden, after = self(input_ids, latents, None if state is None else state.hidden, context)
        logits = self.logits(hidden[:, -1:] if last_only else hidden)
        return logits, RecurrentState(after, seen + input_ids.shape[1])

    def reconstruction_loss(
        self,
        targets: Targets,
        latents: torch.Tensor,
        context: torch.Tensor | None = None,
        with_logits: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """
        Args:
            targets ([`Targets`]): What is predicted.
            latents (`torch.Tensor` of shape `(batch_size, total_latent_size)`): z.
            context (`torch.Tensor` of shape `(batch_size, context_size)`, *optional*): Context vectors, for a model
                with contexts.
            with_logits (`bool`, *optional*, defaults to `False`): Whether to return the logits too.

        Returns:
            -log p(x|z) in nats, mean over the texts, and the logits, `(batch_size, longest text, vocab_size)`, 0 at
            padding, or `None`.
        """
        hidden = self.forward_packed(self._drop_words(targets.previous), latents, targets.lengths, context)
        labels = pack(targets.labels, targets.lengths).data
        dtype = self.vocabulary_dtype if self.training else None
        loss = reconstruction_loss(hidden.data, all_vectors(self.embedding), labels, len(latents), dtype)
        return loss, unpack(hidden, self.logits(hidden.data)) if with_logits else None

    def log_likelihood(
        self, targets: Targets, latents: torch.Tensor, context: torch.Tensor | None = None
    ) -> torch.Tensor:
        """log p(x|z) of each text in nats, `(batch_size,)`. Arguments as in [`reconstruction_loss`]."""
        hidden = self.forward_packed(targets.previous, latents, targets.lengths, context)
        logits = self.logits(hidden.data).float()
        labels = pack(targets.labels, targets.lengths).data
        losses = nn.functional.cross_entropy(logits, labels, ignore_index=IGNORE_INDEX, reduction="none")
        return -unpack(hidden, losses).sum(-1)

    def _drop_words(self, input_ids: torch.Tensor) -> torch.Tensor:
        """In training, the previous tokens with random ones replaced by the unknown word; the begin mark stays."""
        share = self.config.decoder_word_dropout
        if not share or not self.training:
            return input_ids
        dropped = draw(torch.rand, input_ids.shape, self.embedding.weight) < share
        dropped[:, 0] = False
        return input_ids.masked_fill(dropped, self.config.unk_token_id)


ENCODERS: dict[str, type[nn.Module]] = {"recurrent": TextEncoder, "pretrained": PretrainedEncoder}
"""Encoders of texts by the name that `LDEBMConfig.encoder` takes."""
DECODERS: dict[str, type[nn.Module]] = {"recurrent": TextDecoder, "pretrained": PretrainedDecoder}
"""Decoders of texts by the name that `LDEBMConfig.decoder` takes."""


class Texts(NamedTuple):
    """
    A batch of texts.

    Args:
        input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Tokens, padded on the right.
        attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*): 0 at padding.
        lengths (`Sequence[int]`): Number of tokens of each text.
        context (`torch.Tensor` of shape `(batch_size, context_size)`, *optional*): Context vectors, for a model with
            contexts.
        features (`torch.Tensor` of shape `(batch_size, num_features)`, *optional*): Vectors of a frozen encoder.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor | None
    lengths: Sequence[int]
    context: torch.Tensor | None
    features: torch.Tensor | None = None


class TextModality(Modality[Texts]):
    """Sequences of tokens, each with a context if the model has contexts."""

    reads_contexts = True
    is_autoregressive = True
    hub_task = ("text-generation", "Text generation")

    @classmethod
    def build_encoder(cls, config: LDEBMConfig) -> nn.Module:
        """The encoder that `config.encoder` names, or one that reads nothing for a model without a latent."""
        return ENCODERS[config.encoder](config) if config.has_latent else NoEncoder(config)

    @classmethod
    def build_decoder(cls, config: LDEBMConfig) -> nn.Module:
        """The decoder that `config.decoder` names."""
        return DECODERS[config.decoder](config)

    @classmethod
    def add_parts(cls, model: nn.Module) -> None:
        """The context encoder of a model with contexts."""
        if model.config.context_size:
            model.context_encoder = ContextEncoder(model.config)

    def token_embeddings(self) -> list[nn.Embedding]:
        """Those of encoder, decoder (whose weight is also the output projection) and context encoder."""
        readers = (self.model.encoder, self.model.decoder, getattr(self.model, "context_encoder", None))
        return [reader.embedding for reader in readers if hasattr(reader, "embedding")]

    def _make_inputs(
        self, input_ids, attention_mask=None, lengths=None, context=None, encoder_features=None, **others
    ):
        if encoder_features is not None and not getattr(self.model.encoder, "is_frozen", False):
            raise ValueError("encoder_features cannot be given to a model whose encoder is not pretrained and frozen")
        if lengths is None:
            lengths = text_lengths(input_ids, attention_mask, self.config.pad_token_id)
        else:
            if attention_mask is not None:
                require_mask_of_ids(attention_mask, input_ids)
            if len(lengths) != len(input_ids) or max(lengths) > input_ids.shape[1]:
                allowed = f"{len(input_ids)} numbers of at most {input_ids.shape[1]}, as input_ids"
                raise ValueError(f"lengths must be {allowed}, got {shown(lengths)}")
        if context is not None and len(context) != len(input_ids):
            raise ValueError(f"context_input_ids must have a row per text, {len(input_ids)}, got {len(context)}")
        return Texts(input_ids, attention_mask, lengths, context, encoder_features)

    def posterior(self, inputs) -> Posterior:
        *others, features = inputs
        posterior = self.model.encoder(*others) if features is None else self.model.encoder(*others, features)
        if inputs.context is not None:
            posterior.context = inputs.context.detach()  # the prior does not train the context encoder (published)
        return posterior

    def reconstruction(self, latents, inputs, labels, decoder_input_ids, with_logits):
        targets = self._targets(inputs, labels, decoder_input_ids)
        return self.model.decoder.reconstruction_loss(targets, latents, inputs.context, with_logits)

    def log_likelihood(self, latents: torch.Tensor, inputs) -> torch.Tensor:
        return self.model.decoder.log_likelihood(self._targets(inputs), latents, inputs.context)

    def decode_step(
        self,
        decoder_input_ids: torch.Tensor,
        conditions: torch.Tensor,
        past_key_values: RecurrentState | PrefixedState | None,
        use_cache: bool | None,
    ) -> CausalLMOutputWithPast:
        """
        One step of `generate`.

        Args:
            decoder_input_ids (`torch.LongTensor` of shape `(batch_size, num_new_tokens)`): Tokens since the last step.
            conditions (`torch.Tensor` of shape `(batch_size, total_latent_size + context_size)`): Latents and context
                vectors side by side.
            past_key_values ([`RecurrentState`] or [`PrefixedState`], *optional*): State after earlier tokens.
            use_cache (`bool`, *optional*): Whether to return the new state.

        Returns:
            `CausalLMOutputWithPast`: The logits of the next tokens and the new state.
        """
        latents, context = self.split_conditions(conditions)
        logits, state = self.model.decoder.next_tokens(decoder_input_ids, latents, past_key_values, context)
        return CausalLMOutputWithPast(None, logits, state if use_cache else None)

    def split_conditions(self, conditions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Latents and context vectors (`None` without contexts), given both side by side, `(batch_size, …)`."""
        if not self.config.context_size:
            return conditions, None
        return conditions.tensor_split([self.config.total_latent_size], dim=-1)

    def _targets(
        self, inputs: Texts, labels: torch.Tensor | None = None, decoder_input_ids: torch.Tensor | None = None
    ) -> Targets:
        """What the decoder is to predict: the texts without their begin marks, or the labels that are given."""
        if labels is not None and labels.ndim != 2:
            raise ValueError(
                f"labels must be target tokens, (batch_size, target_length), got {tuple(labels.shape)}; "
                "symbols go into class_labels"
            )
        if labels is None:
            labels = self._next_tokens(inputs.input_ids, inputs.attention_mask)
            # A text of one token has no target, but packing needs one position, which the loss ignores.
            lengths = [max(length - 1, 1) for length in inputs.lengths]
        else:
            lengths = [labels.shape[1]] * len(labels)  # finding the padding would need a GPU synchronisation
        if labels.shape[1] == 0:
            raise ValueError("input_ids must hold a token to predict after the begin mark, got texts of one token")
        if decoder_input_ids is None:
            decoder_input_ids = self._shift_right(labels)
        return Targets(decoder_input_ids, labels, lengths)

    def _next_tokens(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        padding = input_ids == self.config.pad_token_id if attention_mask is None else attention_mask == 0
        return input_ids.masked_fill(padding, IGNORE_INDEX)[:, 1:]

    def _shift_right(self, labels: torch.Tensor) -> torch.Tensor:
        start = torch.full_like(labels[:, :1], self.config.decoder_start_token_id)
        shifted = torch.cat([start, labels[:, :-1]], dim=1)
        return shifted.masked_fill(shifted == IGNORE_INDEX, self.config.pad_token_id)
