"""The latent diffusion energy-based model, of texts, documents or points, and the models it is compared with."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize
from transformers import PreTrainedTokenizerBase
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutputWithPast
from transformers.utils import can_return_tuple

from .adversarial_fit import fit_adversarial_prior
from .arguments import (
    INPUTS,
    LATENTS,
    MOST_SAMPLES,
    TARGETS,
    Seed,
    TokenIds,
    as_ids,
    checked,
    may_be_read,
    require_memory,
    without_embeddings,
)
from .classification import classify
from .completion import complete, complete_texts
from .configuration_ldebm import LDEBMConfig
from .distillation import distil_sampler
from .explanation import explain
from .generation import LDEBMGenerationMixin
from .modality import Modality
from .noise import at_least_float32_by_default
from .objective import IGNORE_INDEX, all_levels_classification_loss, mutual_information
from .outputs import LDEBMOutput, PosteriorOutput, RecurrentState
from .posteriors import Posterior
from .pretrained_decoder import PrefixedState
from .pretrained_model import LDEBMPreTrainedModel
from .responding import respond
from .sampling import sample_latents
from .symbols import merge_symbols, name_symbols, read_symbols, require_symbols, symbol_ids
from .token_embedding import outside_of_range
from .trainer_signature import LossWithoutLabels
from .validation import Count, Flag, Number


class LDEBMModel(LDEBMPreTrainedModel, LDEBMGenerationMixin):
    """
    An encoder, a prior over latents (by default the latent diffusion energy-based model, with symbols) and a decoder,
    for texts or, according to `config.modality`, for documents or points.

    Example:

    ```python
    >>> model = LDEBMModel.from_pretrained("outputs/demo")
    >>> tokenizer = AutoTokenizer.from_pretrained("outputs/demo")
    >>> ids = model.generate(class_labels="weather", num_samples=5)
    >>> tokenizer.batch_decode(ids, skip_special_tokens=True)
    ```
    """

    _is_stateful = True

    def __init__(self, config: LDEBMConfig):
        super().__init__(config)
        config.validate()  # again, because `from_pretrained(path, name=value)` assigns to a finished configuration
        self.encoder = config.modality_class.build_encoder(config)
        self.decoder = config.modality_class.build_decoder(config)
        with at_least_float32_by_default():
            self.prior = config.prior_class(config)
        config.modality_class.add_parts(self)
        self.supports_gradient_checkpointing = self.has_base_models
        self.checkpoint_place: dict[str, Any] = {}
        self.main_input_name = config.modality_class.input_name
        self.post_init()
        self.add_adapters()  # after the initialisation, which would give all of their weights random values
        self.generation_config.max_new_tokens = 40
        if not config.has_latent:
            self.generation_config.do_sample = True  # greedy search would always write the same text

    def init_tensors(self) -> None:
        """Initialise the tensors of the model itself; `_init_weights` calls this method of every module."""
        self.config.modality_class.init_tensors(self)

    @property
    def modality(self) -> Modality:
        """How this model reads, scores and generates its kind of data."""
        return self.config.modality_class(self)

    @property
    def has_symbols(self) -> bool:
        """Whether the prior has symbols."""
        return self.config.has_symbols

    # Functions of a model, each in a file of its own, whose first argument is the model.
    require_symbols = require_symbols
    symbol_ids = symbol_ids
    name_symbols = name_symbols
    merge_symbols = merge_symbols
    sample_latents = sample_latents
    classify = classify
    explain = explain
    distil_sampler = distil_sampler
    fit_adversarial_prior = fit_adversarial_prior
    respond = respond
    complete = complete
    complete_texts = complete_texts

    def set_tokenizer(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """
        Tell a pretrained encoder which text the token ids stand for. `from_pretrained` does so with the tokenizer that
        it finds beside the model; a model with another encoder has no use for it.

        Args:
            tokenizer (`PreTrainedTokenizerBase`): The model's tokenizer.
        """
        if hasattr(self.encoder, "read_texts"):
            self.encoder.tokenizer = tokenizer

    def get_input_embeddings(self) -> nn.Embedding:
        """
        The encoder's token embeddings; the decoder's, to which its output is tied, if the encoder has none of the
        model's tokens: a pretrained encoder, which reads texts in tokens of its own, and a model without a latent.
        """
        return self._token_embeddings()[0]

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """
        Replace what [`get_input_embeddings`] returns: the encoder's embeddings alone, or those of the decoder and with
        them its output, if that is tied to them.
        """
        current = self.get_input_embeddings()
        owner = self.encoder if getattr(self.encoder, "embedding", None) is current else self.decoder
        if hasattr(owner, "base"):
            owner.set_input_embeddings(value)
        else:
            owner.embedding = value

    def get_output_embeddings(self) -> nn.Linear | None:
        """The output projection of a pretrained decoder; `None` for others, whose output is their embedding."""
        return self.decoder.base.get_output_embeddings() if self.config.decoder == "pretrained" else None

    def _token_embeddings(self) -> list[nn.Embedding]:
        embeddings = self.modality.token_embeddings()
        if not embeddings:
            raise NotImplementedError(f"a model of {self.config.modality}s has no token embeddings")
        return embeddings

    @checked(new_num_tokens=Count(at_most=MOST_SAMPLES))  # transformers checks the other one itself
    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Embedding:
        """
        As in transformers. The embeddings of encoder, decoder and context encoder are resized alike, and with the
        decoder's its output projection. Those of a pretrained decoder are the language model's: where it is frozen,
        new rows stay as they are at first, and checkpoints hold all of its weights from then on.

        Raises:
            NotImplementedError: For a model of documents or points, which has no token embeddings.
            ValueError: If a special token of the configuration would be removed.
        """
        self._token_embeddings()
        names = ("pad_token_id", "unk_token_id", "bos_token_id", "decoder_start_token_id")
        special = [getattr(self.config, name) for name in names] + self.config.eos_token_ids
        smallest = 1 + max(token for token in special if token is not None)
        if new_num_tokens is not None and new_num_tokens < smallest:
            raise ValueError(
                f"new_num_tokens must be at least {smallest}, to keep the special tokens, got {new_num_tokens}"
            )
        return super().resize_token_embeddings(new_num_tokens, pad_to_multiple_of, mean_resizing)

    def _resize_token_embeddings(self, new_num_tokens, pad_to_multiple_of=None, mean_resizing=True) -> nn.Embedding:
        if new_num_tokens is None and pad_to_multiple_of is not None:
            new_num_tokens = self.config.vocab_size  # a language model may have more embeddings
        for embedding in self._token_embeddings():  # each keeps its identity
            if self.config.decoder == "pretrained" and embedding is self.decoder.embedding:
                if new_num_tokens is not None:
                    self.decoder.resize_token_embeddings(new_num_tokens, pad_to_multiple_of, mean_resizing)
            else:
                self._get_resized_embeddings(embedding, new_num_tokens, pad_to_multiple_of, mean_resizing)
        return self.get_input_embeddings()

    @checked(**INPUTS)
    def encode(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        *,
        lengths: Sequence[int] | None = None,
        points: torch.Tensor | None = None,
        **context: torch.Tensor,
    ) -> PosteriorOutput:
        """
        The posterior q(z|x) of texts, documents or points.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*): Tokens of texts or
                documents, with begin and end marks, padded on the right.
            attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*): 0 at padding;
                defaults to 0 at `config.pad_token_id`.
            lengths (`Sequence[int]`, *optional*): As in [`forward`].
            points (`torch.FloatTensor` of shape `(batch_size, point_size)`, *optional*): Inputs of a model of points.
            context: For a model with contexts `context_input_ids` and so on, as in [`forward`].

        Raises:
            ValueError: If there is no text or a text without tokens, if padding is anywhere but on the right, if the
                inputs are of another modality, if the model cannot read the context or lacks one, and if the model has
                no latent.
        """
        self._require_latent()
        posterior = self.posterior(input_ids, attention_mask, lengths=lengths, points=points, **context)
        log_variance = posterior.log_variance if self.config.gaussian_size else None
        return PosteriorOutput(posterior.expectation, log_variance, self.symbol_logits(posterior))

    @checked(**INPUTS)
    def reconstruction_latents(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        *,
        points: torch.Tensor | None = None,
        **context: torch.Tensor,
    ) -> torch.Tensor:
        """The modes of the posteriors, `(batch_size, total_latent_size)`. Arguments as in [`encode`]."""
        self._require_latent()
        return self.posterior(input_ids, attention_mask, points=points, **context).mode

    @torch.no_grad()
    @checked(**INPUTS)
    def infer_symbols(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        *,
        lengths: Sequence[int] | None = None,
        points: torch.Tensor | None = None,
        **context: torch.Tensor,
    ) -> torch.Tensor:
        """
        Probabilities of the symbols, `(batch_size, num_symbols)`: p(y|z) at the posterior mean, or q(y|x) for priors
        with codes. Arguments as in [`encode`].

        Raises:
            ValueError: If the prior has no symbols.
        """
        self.require_symbols()
        posterior = self.encode(input_ids, attention_mask, lengths=lengths, points=points, **context)
        return posterior.symbol_logits.softmax(-1)

    def mean_symbol_logits(self, output: LDEBMOutput) -> torch.Tensor:
        """Logits of [`infer_symbols`], `(batch_size, num_symbols)`, given the output of a forward pass."""
        self.require_symbols()
        if self.config.has_codes:
            return output.symbol_logits
        return self.prior.symbol_logits(output.posterior_mean, context=output.context)

    @LossWithoutLabels
    @without_embeddings
    @can_return_tuple
    @checked(
        unless="encoder_outputs",
        **INPUTS,
        labels=TokenIds(TARGETS, also=IGNORE_INDEX),
        decoder_input_ids=TokenIds(TARGETS),
        use_cache=Flag(),
        generator=Seed(),
        skip_logits=Flag(),
        kl_scale=Number(at_least=0),
        classification_only=Flag(),
        output_attentions=Flag(),
        output_hidden_states=Flag(),
    )
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        class_labels: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        decoder_input_ids: torch.Tensor | None = None,
        encoder_outputs: BaseModelOutput | None = None,
        past_key_values: RecurrentState | PrefixedState | None = None,
        cache: RecurrentState | PrefixedState | None = None,
        use_cache: bool | None = None,
        generator: torch.Generator | int | None = None,
        lengths: Sequence[int] | None = None,
        skip_logits: bool | None = None,
        points: torch.Tensor | None = None,
        encoder_features: torch.Tensor | None = None,
        kl_scale: float = 1.0,
        classification_only: bool = False,
        context_input_ids: torch.Tensor | None = None,
        context_attention_mask: torch.Tensor | None = None,
        context_lengths: Sequence[Sequence[int]] | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_loss: bool | None = True,
    ) -> LDEBMOutput | CausalLMOutputWithPast:
        """
        The objective on a batch of texts, documents or points; or, with `encoder_outputs`, one decoding step of
        `generate`.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*): Tokens of texts or
                documents as the tokenizer gives them, `<s> … </s>`, padded on the right.
            attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*): 0 at padding;
                defaults to 0 at `config.pad_token_id`.
            class_labels (`torch.LongTensor` of shape `(batch_size,)`, *optional*): Symbols; -100 where unknown. Names
                and arrays are taken as in [`symbol_ids`].
            labels (`torch.LongTensor` of shape `(batch_size, target_length)`, *optional*): Target tokens, -100 at
                padding; defaults to `input_ids` without the begin mark.
            decoder_input_ids (`torch.LongTensor` of shape `(batch_size, target_length)`, *optional*): Previous tokens;
                defaults to `labels` shifted to the right.
            encoder_outputs (`BaseModelOutput`, *optional*): Latents, followed by context vectors in a model with
                contexts, as `last_hidden_state` `(batch_size, 1, total_latent_size + context_size)`.
            past_key_values ([`RecurrentState`] or [`PrefixedState`], *optional*): Decoder state after earlier tokens.
            cache ([`RecurrentState`] or [`PrefixedState`], *optional*): The same, under the name that transformers'
                `generate` has for it since 5.24.
            use_cache (`bool`, *optional*): Whether to return the new decoder state.
            generator (`torch.Generator` or `int`, *optional*): Source of posterior, diffusion and Langevin noise; an
                integer is a seed.
            lengths (`Sequence[int]`, *optional*): Number of tokens of each text. If given, the mask is not validated,
                which avoids a GPU synchronisation.
            skip_logits (`bool`, *optional*): Whether to leave out `logits`, which are large; defaults to `True` in
                training mode, else `False`.
            points (`torch.FloatTensor` of shape `(batch_size, point_size)`, *optional*): Inputs of a model of points.
            encoder_features (`torch.FloatTensor` of shape `(batch_size, num_features)`, *optional*): Vectors of the
                texts from a pretrained encoder that is frozen, if they are known already
                ([`PretrainedEncoder.features`]).
            kl_scale (`float`, *optional*, defaults to 1.0): Factor of `config.kl_weight`, for annealing; for priors
                with codes also of the weight of I(x; c).
            classification_only (`bool`, *optional*, defaults to `False`): Whether to compute only the symbols'
                cross-entropy, at the posterior means, as semi-supervised training does for its labelled batches.
            context_input_ids (`torch.LongTensor` of shape `(batch_size, num_turns, turn_length)`, *optional*): For a
                model with contexts the turns before each text; see [`ContextEncoder`].
            context_attention_mask (`torch.Tensor` of the same shape, *optional*): 0 at padding.
            context_lengths (`Sequence[Sequence[int]]`, *optional*): Number of tokens of each turn, with the effect of
                `lengths`.
            output_attentions, output_hidden_states (`bool`, *optional*): Refused if `True`, because the model does not
                return what its layers compute; as in transformers, the configuration has their defaults.
            return_loss (`bool`, *optional*, defaults to `True`): Not used, because the loss costs nothing more; its
                default tells transformers' `Trainer` that the loss needs no labels.
            return_dict (`bool`, *optional*): `False` returns a tuple of all fields of the output that are not `None`;
                defaults to `config.return_dict`.

        Raises:
            ValueError: For arguments of other models, such as `inputs_embeds`, that are not `None`.
        """
        self._refuse_outputs(output_attentions=output_attentions, output_hidden_states=output_hidden_states)
        modality = self.modality
        if encoder_outputs is not None:
            conditions = encoder_outputs[0].squeeze(1)
            state = past_key_values if cache is None else cache
            return modality.decode_step(decoder_input_ids, conditions, state, use_cache)
        with parametrize.cached():  # each spectral norm is estimated once
            inputs = modality.read(
                input_ids=input_ids,
                attention_mask=attention_mask,
                lengths=lengths,
                points=points,
                labels=labels,
                decoder_input_ids=decoder_input_ids,
                encoder_features=encoder_features,
                context_input_ids=context_input_ids,
                context_attention_mask=context_attention_mask,
                context_lengths=context_lengths,
            )
            posterior = modality.posterior(inputs)
            latents = posterior.sample(generator, relaxed=self.training)
            class_labels = self._checked_class_labels(class_labels, len(latents))
            if classification_only:
                return self._classification_objective(posterior, latents, class_labels, generator)
            skip_logits = self.training if skip_logits is None else skip_logits
            reconstruction, logits = modality.reconstruction(
                latents, inputs, labels, decoder_input_ids, with_logits=not skip_logits
            )
            output = self._objective(posterior, latents, reconstruction, class_labels, kl_scale, generator)
            output.logits = logits
            return output

    def _refuse_outputs(self, **requested: bool | None) -> None:
        """Raise ValueError if `output_attentions` or `output_hidden_states` is asked for, here or by the settings."""
        for name, value in requested.items():
            if getattr(self.config, name) if value is None else value:
                raise ValueError(f"{name} must be False, because the model does not return what its layers compute")

    def _objective(
        self,
        posterior: Posterior,
        latents: torch.Tensor,
        reconstruction: torch.Tensor,
        class_labels: torch.Tensor | None,
        kl_scale: float,
        generator: torch.Generator | None,
    ) -> LDEBMOutput:
        """The objective of Algorithm 1, given the posterior, a draw of it, and the reconstruction loss."""
        config = self.config
        prior = self.prior.loss(latents, posterior, generator, posterior.context)
        entropy = posterior.negative_entropy(config.entropy_threshold)
        loss = reconstruction + kl_scale * config.kl_weight * (prior.loss + entropy)

        symbol_logits = information = classification = None
        information_weight = config.mutual_information_weight
        if posterior.code_logits is not None:
            information = mutual_information(posterior.code_logits)
            information_weight *= kl_scale  # I(x; c) is a part of the divergence, and is annealed with it
            if config.has_symbols:
                symbol_logits = posterior.symbol_logits()
        elif config.has_symbols:
            symbol_logits = self.prior.training_symbol_logits(latents, generator, posterior.context)
            information = mutual_information(symbol_logits)
        if information is not None:
            loss = loss - information_weight * information
        if symbol_logits is not None:
            if class_labels is None:
                class_labels = torch.full((len(latents),), IGNORE_INDEX, device=latents.device)
            classification = all_levels_classification_loss(symbol_logits, prior.noisy_symbol_logits, class_labels)
            loss = loss + config.classification_weight * classification

        return LDEBMOutput(
            loss=loss,
            reconstruction_loss=reconstruction,
            prior_loss=prior.loss,
            entropy_loss=entropy,
            mutual_information=information,
            classification_loss=classification,
            energy_positive=prior.energy_positive,
            energy_negative=prior.energy_negative,
            symbol_logits=symbol_logits,
            latents=latents,
            posterior_mean=posterior.expectation if config.has_latent else None,
            posterior_log_variance=posterior.log_variance if config.gaussian_size else None,
            context=posterior.context,
        )

    def _classification_objective(
        self,
        posterior: Posterior,
        latents: torch.Tensor,
        class_labels: torch.Tensor | None,
        generator: torch.Generator | None,
    ) -> LDEBMOutput:
        """The symbols' cross-entropy alone, at the posterior means and, if they are learned there, at noisy levels."""
        self.require_symbols()
        if class_labels is None:
            raise ValueError("classification_only needs class_labels, got None")
        symbol_logits = self.symbol_logits(posterior)
        noisy_logits = self.prior.noisy_symbol_logits(latents, generator, posterior.context)
        classification = all_levels_classification_loss(symbol_logits, noisy_logits, class_labels)
        return LDEBMOutput(
            loss=self.config.classification_weight * classification,
            classification_loss=classification,
            symbol_logits=symbol_logits,
            latents=latents,
            posterior_mean=posterior.expectation,
            posterior_log_variance=posterior.log_variance if self.config.gaussian_size else None,
        )

    def _checked_class_labels(
        self, class_labels: Any, batch_size: int, name: str = "class_labels"
    ) -> torch.Tensor | None:
        """
        Ids `(batch_size,)`, -100 where unknown, of the argument `name`. In training those of a tensor on a GPU are not
        read, which would synchronise it.
        """
        if class_labels is None:
            return None
        self.require_symbols()
        if isinstance(class_labels, torch.Tensor):
            require_memory(name, class_labels)
            class_labels = as_ids(name, class_labels)
        else:
            class_labels = read_symbols(self, class_labels, name, allow_unknown=True)
        if may_be_read(class_labels, self) and not torch.compiler.is_compiling():
            size = self.config.num_labels
            is_known = (class_labels >= 0) & (class_labels < size) | (class_labels == IGNORE_INDEX)
            if not is_known.all():
                raise ValueError(
                    outside_of_range(f"{name}: class ids", class_labels, size, "num_labels", IGNORE_INDEX)
                )
        if class_labels.shape != (batch_size,):
            raise ValueError(f"{name} must have shape ({batch_size},), got {tuple(class_labels.shape)}")
        return class_labels

    def symbol_logits(self, posterior: Posterior) -> torch.Tensor | None:
        """
        Logits of the symbols, `(batch_size, num_symbols)`: of p(y|z) at the mean of a posterior that [`posterior`]
        returned, or of q(y|x) for priors with codes. `None` if the prior has no symbols.
        """
        if not self.config.has_symbols:
            return None
        if posterior.code_logits is not None:
            return posterior.symbol_logits()
        return self.prior.symbol_logits(posterior.mean, context=posterior.context)

    @checked(**INPUTS)
    def posterior(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        *,
        lengths: Sequence[int] | None = None,
        points: torch.Tensor | None = None,
        **context: torch.Tensor,
    ) -> Posterior:
        """q(z|x) as an object that can be sampled and scored. Arguments and errors as in [`encode`]."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "lengths": lengths, "points": points}
        modality = self.modality
        return modality.posterior(modality.read(**inputs, **context))

    def _require_latent(self) -> None:
        if not self.config.has_latent:
            raise ValueError(f'prior="{self.config.prior}" has no latent that a text could be encoded into')

    @checked(latents=LATENTS, **INPUTS)
    def conditional_log_likelihood(
        self,
        latents: torch.Tensor,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        *,
        lengths: Sequence[int] | None = None,
        points: torch.Tensor | None = None,
        **context: torch.Tensor,
    ) -> torch.Tensor:
        """
        log p(x|z) of each example in nats, `(batch_size,)`: of a text's words and end mark given its begin mark; of a
        document's words in one order; of a point as a density in the units of `points`.

        Args:
            latents (`torch.Tensor` of shape `(batch_size, total_latent_size)`): z.
            input_ids, attention_mask, lengths, points, context: As in [`encode`].

        Raises:
            ValueError: If there are not as many latents as examples.
        """
        examples = points if input_ids is None else input_ids
        if examples is not None and len(latents) != len(examples):
            raise ValueError(f"latents must have one row per example, {len(examples)}, got {len(latents)}")
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "lengths": lengths, "points": points}
        return self.modality.log_likelihood(latents, self.modality.read(**inputs, **context))


# Saved folders carry the code, so that they also load where this package is not installed.
LDEBMModel.register_for_auto_class("AutoModel")
