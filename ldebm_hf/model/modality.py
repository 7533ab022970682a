"""The contract of a modality: what kind of data a model is of, and everything that depends on it.

A new modality is a subclass of [`Modality`] with its encoder and decoder in a file of its own, and one line in
`modalities.py`. Everything that depends on which modality a model has is a class attribute or a method here; no code
asks for a modality by its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import torch
from torch import nn
from transformers.modeling_outputs import CausalLMOutputWithPast

from .posteriors import Posterior

if TYPE_CHECKING:
    from .configuration_ldebm import LDEBMConfig

Inputs = TypeVar("Inputs")
CONTEXT_ARGUMENTS = ("context_input_ids", "context_attention_mask", "context_lengths")
ARGUMENTS = {
    "input_ids", "attention_mask", "lengths", "points", "labels", "decoder_input_ids", "encoder_features",
    *CONTEXT_ARGUMENTS,
}  # fmt: skip


class Modality(Generic[Inputs]):
    """
    Base class of modalities: how a model reads its inputs, scores them and generates them.

    An instance is a view of a model and has no state of its own. `Inputs` is the type that [`read`] makes of a model's
    arguments. The class attributes are facts about a modality, which [`LDEBMConfig`] and everything above the model
    read:

    * `input_name`: the argument that holds the data, `"input_ids"` or `"points"`.
    * `reads_texts`: whether the data are texts, which a tokenizer turns into token ids.
    * `reads_contexts`: whether models can have contexts, the turns of a dialogue before a text.
    * `is_autoregressive`: whether the decoder writes token after token, by transformers' `generate`.
    * `is_bag_of_words`: whether the order of words is neither read nor written.
    * `unused_arguments`: arguments of other modalities, which raise an error instead of being ignored.
    * `generation_options`: what [`generate`] takes, for decoders that are not autoregressive.
    * `default_vocab_size`, `default_max_length`: size of the vocabulary and length of texts in tokens that training
      uses unless settings say otherwise.
    * `hub_task`: the task under which a model card lists scores, as an id of the Hub and in words.

    Args:
        model ([`LDEBMModel`]): The model to view, with its `config`, `encoder` and `decoder`.
    """

    input_name: ClassVar[str] = "input_ids"
    reads_texts: ClassVar[bool] = True
    reads_contexts: ClassVar[bool] = False
    is_autoregressive: ClassVar[bool] = False
    is_bag_of_words: ClassVar[bool] = False
    unused_arguments: ClassVar[tuple[str, ...]] = ()
    generation_options: ClassVar[tuple[str, ...]] = ("do_sample",)
    default_vocab_size: ClassVar[int] = 10000
    default_max_length: ClassVar[int] = 40
    hub_task: ClassVar[tuple[str, str]]

    def __init__(self, model: nn.Module):
        self.model, self.config = model, model.config

    @classmethod
    def validate_settings(cls, config: LDEBMConfig) -> None:
        """Raise ValueError if a setting of this modality is out of its range, whichever modality the model has."""

    @classmethod
    def build_encoder(cls, config: LDEBMConfig) -> nn.Module:
        """The inference network q(z|x), untrained."""
        raise NotImplementedError

    @classmethod
    def build_decoder(cls, config: LDEBMConfig) -> nn.Module:
        """The generator p(x|z), untrained."""
        raise NotImplementedError

    @classmethod
    def add_parts(cls, model: nn.Module) -> None:
        """Add the modules and buffers that a new model needs besides encoder, decoder and prior."""

    @classmethod
    def init_tensors(cls, model: nn.Module) -> None:
        """Initialise the tensors, if any, that [`add_parts`] gave the model itself."""

    def token_embeddings(self) -> list[nn.Embedding]:
        """The embeddings of tokens, the encoder's first; none in a model that embeds no tokens."""
        return []

    def read(self, **arguments: Any) -> Inputs:
        """
        Turn a model's arguments `input_ids`, `attention_mask`, `lengths`, `points` and those of contexts into inputs.
        Each of them has been checked by itself.

        Raises:
            ValueError: For inputs of another modality, or whose shapes do not go together.
        """
        if unknown := arguments.keys() - ARGUMENTS:
            raise TypeError(f"unexpected argument {', '.join(sorted(unknown))}")
        given = [name for name in ("input_ids", "points") if arguments.get(name) is not None]
        if given != [self.input_name]:
            got = " and ".join(given) or "neither"
            raise ValueError(f"{self.input_name} must be given to a model of {self.config.modality}s, got {got}")
        for name in self.unused_arguments:
            if arguments.get(name) is not None:
                raise ValueError(f"{name} is about texts and cannot be given to a model of {self.config.modality}s")
        arguments = dict(arguments)
        context_arguments = {name: arguments.pop(name, None) for name in CONTEXT_ARGUMENTS}
        return self._make_inputs(context=self.context(**context_arguments), **arguments)

    def context(self, context_input_ids: torch.Tensor | None = None, **others: Any) -> torch.Tensor | None:
        """
        Context vectors, `(n, context_size)`, or `None` for a model without contexts. Arguments as in
        [`ContextEncoder`].

        Raises:
            ValueError: If a context is given to a model without contexts, or none to a model with contexts.
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

    def posterior(self, inputs: Inputs) -> Posterior:
        """q(z|x)."""
        raise NotImplementedError

    def reconstruction(
        self,
        latents: torch.Tensor,
        inputs: Inputs,
        labels: torch.Tensor | None,
        decoder_input_ids: torch.Tensor | None,
        with_logits: bool,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """
        -log p(x|z) in nats, mean over the examples, and the decoder's logits if `with_logits`.

        Args:
            latents (`torch.Tensor` of shape `(batch_size, total_latent_size)`): z.
            inputs: What [`read`] returned.
            labels, decoder_input_ids (*optional*): As in [`LDEBMModel.forward`].
            with_logits (`bool`): Whether to return the logits, which are large.
        """
        raise NotImplementedError

    def log_likelihood(self, latents: torch.Tensor, inputs: Inputs) -> torch.Tensor:
        """log p(x|z) of each example in nats, `(batch_size,)`."""
        raise NotImplementedError

    def generate(self, latents: torch.Tensor, generator: torch.Generator | None, **options: Any) -> torch.Tensor:
        """
        Generate from latents `(n, total_latent_size)` by a decoder that is not autoregressive. `options` are those
        named in `generation_options`.
        """
        raise NotImplementedError

    def decode_step(
        self,
        decoder_input_ids: torch.Tensor,
        conditions: torch.Tensor,
        past_key_values: Any,
        use_cache: bool | None,
    ) -> CausalLMOutputWithPast:
        """One step of transformers' `generate`, by an autoregressive decoder."""
        raise NotImplementedError

    def floats_per_example(self, lengths: Sequence[int] | None) -> int:
        """
        Number of floats that the decoder holds in memory for one example while it computes [`log_likelihood`]: the
        logits and two copies. `lengths` are the numbers of tokens of the texts.
        """
        return 3 * max(lengths) * self.config.vocab_size

    def _make_inputs(self, **arguments: Any) -> Inputs:
        """Check the arguments of [`read`] that this modality uses, and `context`, the context vectors."""
        raise NotImplementedError
