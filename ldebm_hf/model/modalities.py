"""What a model does differently for texts, documents and points: reading inputs, scoring them, writing them."""

import math
from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from .bag_of_words import marks, word_counts
from .objective import IGNORE_INDEX, reconstruction_loss
from .outputs import LDEBMOutput, RecurrentState
from .packing import pack, text_lengths
from .posteriors import Posterior
from .precision import at_least_float32

Inputs = TypeVar("Inputs")
OF_CONTEXTS = ("context_input_ids", "context_attention_mask", "context_lengths")
ARGUMENTS = {"input_ids", "attention_mask", "lengths", "points", "labels", "decoder_input_ids", *OF_CONTEXTS}


class Modality(Generic[Inputs]):
    """
    A view of a model by what it is of; it has no state of its own. `Inputs` are what [`read`] makes of arguments.

    Args:
        model ([`LDEBMModel`]): Has `config`, `encoder` and `decoder`.
    """

    input_name = "input_ids"
    unused: tuple[str, ...] = ()  # arguments that other modalities have a use for
    writes_in_turn = False  # token after token, by transformers' `generate`
    writing_options: tuple[str, ...] = ("do_sample",)  # what `write` takes, where all is written at once

    def __init__(self, model: nn.Module):
        self.model, self.config = model, model.config

    def read(self, **arguments: Any) -> Inputs:
        """
        The inputs among the arguments `input_ids`, `attention_mask`, `lengths`, `points` and those about contexts,
        checked.

        Raises:
            ValueError: For inputs of another modality, or of a wrong shape.
        """
        if unknown := arguments.keys() - ARGUMENTS:
            raise TypeError(f"unexpected argument {', '.join(sorted(unknown))}")
        given = [name for name in ("input_ids", "points") if arguments.get(name) is not None]
        if given != [self.input_name]:
            got = " and ".join(given) or "neither"
            raise ValueError(f"{self.input_name} must be given to a model of {self.config.modality}s, got {got}")
        self.refuse_unused(**arguments)
        of_context = {name: arguments.pop(name, None) for name in OF_CONTEXTS}
        return self._checked(context=self.context(**of_context), **arguments)

    def context(self, context_input_ids=None, **others) -> torch.Tensor | None:
        """
        The vectors of contexts, `(n, context_size)`, or `None` for a model without; arguments as in
        [`ContextEncoder`].

        Raises:
            ValueError: For a context that the model cannot read, and without one that it has to read.
        """
        size = self.config.context_size
        arguments = {"context_input_ids": context_input_ids, **others}
        given = [name for name, value in arguments.items() if value is not None]
        if given and not size:
            raise ValueError(f"{given[0]} cannot be given to a model without contexts (context_size=0)")
        if not size:
            return None
        if context_input_ids is None:
            raise ValueError(f"context_input_ids must be given to a model with contexts (context_size={size})")
        return self.model.context_encoder(context_input_ids, **others)

    def refuse_unused(self, **arguments: Any) -> None:
        """Raise ValueError for an argument that this modality has no use for."""
        for name in self.unused:
            if arguments.get(name) is not None:
                raise ValueError(f"{name} is about texts and cannot be given to a model of {self.config.modality}s")

    def posterior(self, inputs: Inputs) -> Posterior:
        """q(z|x)."""
        raise NotImplementedError

    def reconstruction(
        self, latents: torch.Tensor, inputs: Inputs, labels, decoder_input_ids, with_logits: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """-log p(x|z), mean over the examples, in nats; and the decoder's logits if they are asked for."""
        raise NotImplementedError

    def log_likelihood(self, latents: torch.Tensor, inputs: Inputs) -> torch.Tensor:
        """log p(x|z) of each example, `(batch_size,)`."""
        raise NotImplementedError

    def write(self, latents: torch.Tensor, generator: torch.Generator | None, **options: Any) -> torch.Tensor:
        """What is decoded from latents, by a modality that does so at once."""
        raise NotImplementedError

    def _checked(self, **arguments: Any) -> Inputs:
        raise NotImplementedError


class Texts(NamedTuple):
    """
    Args:
        input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`), attention_mask (`torch.Tensor` of the
            same shape, *optional*), lengths (`Sequence[int]`): Tokens, where they are, and how many there are.
        context (`torch.Tensor` of shape `(batch_size, context_size)`, *optional*): For a model with contexts.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor | None
    lengths: Sequence[int]
    context: torch.Tensor | None


class TextModality(Modality[Texts]):
    """Sequences of tokens, each perhaps with a context."""

    writes_in_turn = True

    def _checked(self, input_ids, attention_mask=None, lengths=None, context=None, **others):
        if lengths is None:
            lengths = text_lengths(input_ids, attention_mask, self.config.pad_token_id)
        if context is not None and len(context) != len(input_ids):
            raise ValueError(f"context_input_ids must have a row per text, {len(input_ids)}, got {len(context)}")
        return Texts(input_ids, attention_mask, lengths, context)

    def posterior(self, inputs) -> Posterior:
        posterior = self.model.encoder(*inputs)
        if inputs.context is not None:
            posterior.context = inputs.context.detach()  # so that no prior teaches the context's encoder (published)
        return posterior

    def reconstruction(self, latents, inputs, labels, decoder_input_ids, with_logits):
        hidden, targets = self._predict(latents, inputs, labels, decoder_input_ids)
        loss = reconstruction_loss(hidden.data, self.model.decoder.embedding.weight, targets, len(latents))
        logits = None
        if with_logits:
            of_tokens = hidden._replace(data=self.model.decoder.logits(hidden.data))
            logits, _ = pad_packed_sequence(of_tokens, batch_first=True)
        return loss, logits

    def log_likelihood(self, latents: torch.Tensor, inputs) -> torch.Tensor:
        hidden, targets = self._predict(latents, inputs)
        logits = self.model.decoder.logits(hidden.data).float()
        losses = nn.functional.cross_entropy(logits, targets, ignore_index=IGNORE_INDEX, reduction="none")
        return -pad_packed_sequence(hidden._replace(data=losses), batch_first=True)[0].sum(-1)

    def decode_step(
        self,
        decoder_input_ids: torch.Tensor,
        conditions: torch.Tensor,
        past_key_values: RecurrentState | None,
        use_cache: bool | None,
    ) -> LDEBMOutput:
        """One step of `generate`: logits of the tokens after `decoder_input_ids`, and the state to go on from."""
        latents, context = self.split_conditions(conditions)
        state = None if past_key_values is None else past_key_values.hidden
        seen = 0 if past_key_values is None else past_key_values.length
        hidden, state = self.model.decoder(decoder_input_ids, latents, state, context)
        return LDEBMOutput(
            logits=self.model.decoder.logits(hidden),
            latents=latents,
            past_key_values=RecurrentState(state, seen + decoder_input_ids.shape[1]) if use_cache else None,
        )

    def split_conditions(self, conditions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Latents, and contexts where there are some, of both side by side, `(batch_size, …)`."""
        if not self.config.context_size:
            return conditions, None
        return conditions.tensor_split([self.config.total_latent_size], dim=-1)

    def _predict(self, latents, inputs, labels=None, decoder_input_ids=None) -> tuple[PackedSequence, torch.Tensor]:
        """The decoder's states after every token of the texts, packed, and the tokens that they are to predict."""
        input_ids, attention_mask, lengths, context = inputs
        if labels is not None and labels.ndim != 2:
            raise ValueError(
                f"labels must be target tokens, (batch_size, target_length), got {tuple(labels.shape)}; "
                "symbols go into class_labels"
            )
        if labels is None:
            labels = self._targets(input_ids, attention_mask)
            # A text of one token has no target: one place of it is read all the same, and does not count.
            target_lengths = [max(length - 1, 1) for length in lengths]
        else:
            target_lengths = [labels.shape[1]] * len(labels)  # where the padding is, only the device knows
        if labels.shape[1] == 0:
            raise ValueError("input_ids must hold a token to predict after the begin mark, got texts of one token")
        if decoder_input_ids is None:
            decoder_input_ids = self._shift_right(labels)
        hidden = self.model.decoder.forward_packed(decoder_input_ids, latents, target_lengths, context)
        return hidden, pack(labels, target_lengths).data

    def _targets(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        padding = input_ids == self.config.pad_token_id if attention_mask is None else attention_mask == 0
        return input_ids.masked_fill(padding, IGNORE_INDEX)[:, 1:]

    def _shift_right(self, labels: torch.Tensor) -> torch.Tensor:
        start = torch.full_like(labels[:, :1], self.config.decoder_start_token_id)
        shifted = torch.cat([start, labels[:, :-1]], dim=1)
        return shifted.masked_fill(shifted == IGNORE_INDEX, self.config.pad_token_id)


class DocumentModality(Modality[tuple[torch.Tensor, torch.Tensor]]):
    """Bags of words; inputs are tokens in any order and how often each counts, 1 or 0."""

    unused = ("labels", "decoder_input_ids")
    writing_options = ("do_sample", "max_new_tokens")

    def _checked(self, input_ids, attention_mask=None, **others) -> tuple[torch.Tensor, torch.Tensor]:
        return input_ids, word_counts(input_ids, attention_mask, self.config)

    def posterior(self, inputs) -> Posterior:
        return self.model.encoder(*inputs)

    def reconstruction(self, latents, inputs, labels, decoder_input_ids, with_logits):
        logits = self.model.decoder(latents)
        loss = -self.model.decoder.log_likelihood(logits, *inputs).mean()
        return loss, logits if with_logits else None

    def log_likelihood(self, latents: torch.Tensor, inputs) -> torch.Tensor:
        return self.model.decoder.log_likelihood(self.model.decoder(latents), *inputs)

    def write(self, latents, generator, max_new_tokens: int | None = None, do_sample: bool = False) -> torch.Tensor:
        """
        Words of p(w|z), `(n, max_new_tokens)`: the likeliest ones, the first first, or with `do_sample` independent
        draws.
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


class PointModality(Modality[torch.Tensor]):
    """Points; inputs are these in the model's own units."""

    input_name = "points"
    unused = ("attention_mask", "lengths", "labels", "decoder_input_ids")

    def _checked(self, points, **others) -> torch.Tensor:
        points = torch.as_tensor(points, device=self.model.device)
        if points.ndim != 2 or points.shape[1] != self.config.point_size or len(points) == 0:
            expected = f"(n, {self.config.point_size}) with n at least 1"
            raise ValueError(f"points must have shape {expected}, got {tuple(points.shape)}")
        center = at_least_float32(self.model.point_center)
        return (points.to(center.dtype) - center) / self.config.point_scale

    def posterior(self, inputs: torch.Tensor) -> Posterior:
        return self.model.encoder(inputs)

    def reconstruction(self, latents, inputs, labels, decoder_input_ids, with_logits):
        return -self.model.decoder.log_likelihood(latents, inputs).mean(), None

    def log_likelihood(self, latents: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """In the units of the points that were given."""
        log_scale = self.config.point_size * math.log(self.config.point_scale)
        return self.model.decoder.log_likelihood(latents, inputs) - log_scale

    def write(self, latents, generator, do_sample: bool = False) -> torch.Tensor:
        """The mean of p(x|z), or with `do_sample` a draw, for each latent, `(n, point_size)`."""
        points = self.model.decoder.sample(latents, generator) if do_sample else self.model.decoder(latents)
        return self.model.point_center + self.config.point_scale * points


MODALITIES = {"text": TextModality, "document": DocumentModality, "point": PointModality}
