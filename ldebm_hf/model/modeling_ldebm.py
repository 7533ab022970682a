"""The latent diffusion energy-based model, of texts, documents or points, and the models it is compared with."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.utils import parametrize
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput

from .classification import classify
from .completion import complete, complete_texts
from .configuration_ldebm import LDEBMConfig
from .context import ContextEncoder
from .decoders import DocumentDecoder, OffsetBatchNorm, build_decoder
from .encoders import WordSum, build_encoder
from .energy import LevelEmbedding
from .explanation import explain
from .gaussian_priors import MixturePrior
from .generation import LDEBMGenerationMixin
from .modalities import MODALITIES, Modality
from .noise_schedule import LevelTables
from .objective import IGNORE_INDEX, all_levels_classification_loss, mutual_information
from .outputs import LDEBMOutput, PosteriorOutput, RecurrentState
from .posteriors import Posterior
from .priors import build_prior
from .responding import respond
from .sampling import sample_latents
from .symbols import name_symbols, require_symbols, symbol_ids


class LDEBMPreTrainedModel(PreTrainedModel):
    config: LDEBMConfig
    base_model_prefix = "ldebm"
    main_input_name = "input_ids"
    _keep_in_fp32_modules_strict = ["prior"]

    @classmethod
    def from_pretrained(cls, *args, **kwargs):
        """As in transformers. The loaded model computes the same bits as the saved one."""
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        # safetensors leaves each tensor at its place in the file, and CPU kernels round by memory alignment.
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.data = tensor.data.clone()
        for module in model.modules():
            if isinstance(module, nn.GRU):
                module.flatten_parameters()  # cuDNN wants them side by side
        return loaded

    def _initialize_weights(self, module: nn.Module, is_custom_code: bool = False):
        # transformers passes over modules of custom code whose own tensors are all loaded; but the weight behind a
        # spectral norm belongs to a submodule. Nothing needs to be passed over: loaded tensors are never drawn again.
        super()._initialize_weights(module, is_custom_code=False)

    def _init_weights(self, module: nn.Module):
        if isinstance(module, LevelTables):
            for name, values in module.compute().items():
                init.copy_(getattr(module, name), values)
        elif isinstance(module, LevelEmbedding):
            init.copy_(module.table, module.compute())
        elif isinstance(module, MixturePrior):
            init.normal_(module.means)
            init.zeros_(module.log_variances)
        elif isinstance(module, DocumentDecoder):
            init.copy_(module.background, module.initial_background())
        elif isinstance(module, OffsetBatchNorm):
            init.zeros_(module.bias)
            init.zeros_(module.running_mean)
            init.ones_(module.running_var)
        elif isinstance(module, (nn.Linear, nn.Embedding, nn.GRU, WordSum)):
            self._init_parameters(module)

    def _init_parameters(self, module: nn.Module):
        bound = self.config.uniform_init_range
        if bound is None and not parametrize.is_parametrized(module):
            if isinstance(module, nn.Embedding):  # with torch's, unit normal, ones, words drown the latent at first
                init.normal_(module.weight, std=2 * module.embedding_dim**-0.5)
            else:
                module.reset_parameters()
            return
        if bound is None:
            bound = module.in_features**-0.5  # as `reset_parameters`, which does not reach behind the spectral norm
        for parameter in module.parameters():
            init.uniform_(parameter, -bound, bound)
        if parametrize.is_parametrized(module):
            weight, norm = module.parametrizations.weight.original, module.parametrizations.weight[0]
            if not all(getattr(tensor, "_is_hf_initialized", False) for tensor in (weight, norm._u, norm._v)):
                init.normal_(norm._v)
                norm._power_method(weight, 15)  # starts from v


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
        config.validate()  # again: `from_pretrained(path, name=value)` assigns to a configuration that is built
        self.encoder = build_encoder(config)
        self.decoder = build_decoder(config)
        self.prior = build_prior(config)
        if config.context_size:
            self.context_encoder = ContextEncoder(config)
        if config.modality == "point":
            center = torch.zeros(config.point_size) if config.point_center is None else config.point_center
            self.register_buffer("point_center", torch.as_tensor(center, dtype=torch.float32))
        self.main_input_name = self.modality.input_name
        self.post_init()
        self.generation_config.max_new_tokens = 40
        if config.prior == "none":
            self.generation_config.do_sample = True  # from one and the same beginning

    @property
    def modality(self) -> Modality:
        """What is special about models of texts, of documents or of points."""
        return MODALITIES[self.config.modality](self)

    @property
    def has_symbols(self) -> bool:
        """Whether the prior has symbols."""
        return self.config.has_symbols

    # Functions of a model, each in a file of its own, whose first argument is the model.
    require_symbols = require_symbols
    symbol_ids = symbol_ids
    name_symbols = name_symbols
    sample_latents = sample_latents
    classify = classify
    explain = explain
    respond = respond
    complete = complete
    complete_texts = complete_texts

    def get_encoder(self, modality: str | None = None) -> nn.Module:
        return self.encoder

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
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Tokens with begin and end marks,
                padded on the right.
            attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*): 0 at padding;
                defaults to 0 at `config.pad_token_id`.
            lengths (`Sequence[int]`, *optional*): As in [`forward`].
            points (`torch.FloatTensor` of shape `(batch_size, point_size)`): For a model of points.
            context: For a model with contexts `context_input_ids` and so on, as in [`forward`].

        Raises:
            ValueError: Without any text or token, and for padding anywhere but on the right; for inputs of the other
                modality, a context that the model cannot read or the lack of one; and if the model has no latent.
        """
        self._require_latent()
        posterior = self.posterior(input_ids, attention_mask, lengths=lengths, points=points, **context)
        log_variance = posterior.log_variance if self.config.gaussian_size else None
        return PosteriorOutput(posterior.expectation, log_variance, self.symbol_logits(posterior))

    def reconstruction_latents(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        *,
        points: torch.Tensor | None = None,
        **context: torch.Tensor,
    ) -> torch.Tensor:
        """The posterior's likeliest latents, `(batch_size, total_latent_size)`; arguments as in [`encode`]."""
        self._require_latent()
        return self.posterior(input_ids, attention_mask, points=points, **context).mode

    @torch.no_grad()
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
        p(y|x), `(batch_size, num_symbols)`: p(y|z) at the posterior mean, or q(y|x) of priors with codes. Arguments as
        in [`encode`].

        Raises:
            ValueError: If the prior has no symbols.
        """
        self.require_symbols()
        found = self.encode(input_ids, attention_mask, lengths=lengths, points=points, **context)
        return found.symbol_logits.softmax(-1)

    def mean_symbol_logits(self, output: LDEBMOutput) -> torch.Tensor:
        """Logits of [`infer_symbols`], `(batch_size, num_symbols)`, from what a forward pass has computed already."""
        self.require_symbols()
        if self.config.has_codes:
            return output.symbol_logits
        return self.prior.symbol_logits(output.posterior_mean, context=output.context)

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        class_labels: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        decoder_input_ids: torch.Tensor | None = None,
        encoder_outputs: BaseModelOutput | None = None,
        past_key_values: RecurrentState | None = None,
        use_cache: bool | None = None,
        generator: torch.Generator | None = None,
        lengths: Sequence[int] | None = None,
        skip_logits: bool | None = None,
        points: torch.Tensor | None = None,
        kl_scale: float = 1.0,
        classification_only: bool = False,
        context_input_ids: torch.Tensor | None = None,
        context_attention_mask: torch.Tensor | None = None,
        context_lengths: Sequence[Sequence[int]] | None = None,
        return_dict: bool | None = None,
    ) -> LDEBMOutput:
        """
        The whole objective on a batch of texts, documents or points; or, with `encoder_outputs`, one decoding step of
        `generate`.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Texts as the tokenizer gives them,
                `<s> … </s>`.
            attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*): 0 at padding;
                defaults to 0 at `config.pad_token_id`.
            class_labels (`torch.LongTensor` of shape `(batch_size,)`, *optional*): Symbols; -100 where unknown.
            labels (`torch.LongTensor` of shape `(batch_size, target_length)`, *optional*): Target tokens, -100 at
                padding; defaults to `input_ids` without the begin mark.
            decoder_input_ids (`torch.LongTensor` of shape `(batch_size, target_length)`, *optional*): Defaults to
                `labels` shifted to the right.
            encoder_outputs (`BaseModelOutput`, *optional*): Holds latents as `last_hidden_state`,
                `(batch_size, 1, total_latent_size)`, with the contexts behind them, if there are some.
            past_key_values ([`RecurrentState`], *optional*): Decoder state after earlier tokens.
            use_cache (`bool`, *optional*): Whether to return that state.
            generator (`torch.Generator`, *optional*): Source of posterior, diffusion and Langevin noise.
            lengths (`Sequence[int]`, *optional*): Number of tokens of each text, on the host, as the training batches
                bring them. With them the mask is not checked and no device is waited for.
            skip_logits (`bool`, *optional*): Do without `logits`, which are large; defaults to the training mode.
            points (`torch.FloatTensor` of shape `(batch_size, point_size)`): For a model of points, instead of texts.
            kl_scale (`float`, *optional*, defaults to 1.0): Multiplies `config.kl_weight`, to anneal it: also what
                teaches an energy; and the weight of I(x; c) of priors with codes.
            classification_only (`bool`, *optional*, defaults to `False`): Compute nothing but the symbols'
                cross-entropy, at the posterior means; the labelled stream of semi-supervised training.
            context_input_ids, context_attention_mask (*optional*): For a model with contexts the turns before each
                text, `(batch_size, num_turns, turn_length)`; see [`ContextEncoder`].
            context_lengths (`Sequence[Sequence[int]]`, *optional*): Their numbers of tokens, as `lengths` of texts.
            return_dict (`bool`, *optional*): Passed by `generate`; the output is an [`LDEBMOutput`] in any case.
        """
        if encoder_outputs is not None:
            conditions = encoder_outputs[0].squeeze(1)
            return self.modality.decode_step(decoder_input_ids, conditions, past_key_values, use_cache)
        given = {"input_ids": input_ids, "attention_mask": attention_mask, "lengths": lengths, "points": points,
                 "context_input_ids": context_input_ids, "context_attention_mask": context_attention_mask,
                 "context_lengths": context_lengths}  # fmt: skip
        with parametrize.cached():
            modality = self.modality
            inputs = modality.read(**given, labels=labels, decoder_input_ids=decoder_input_ids)
            posterior = modality.posterior(inputs)
            latents = posterior.sample(generator, relaxed=self.training)
            if classification_only:
                return self._classification(posterior, latents, class_labels, generator)
            with_logits = not (self.training if skip_logits is None else skip_logits)
            reconstruction, logits = modality.reconstruction(latents, inputs, labels, decoder_input_ids, with_logits)
            output = self._objective(posterior, latents, reconstruction, class_labels, kl_scale, generator)
            output.logits = logits
            return output

    def _objective(
        self,
        posterior: Posterior,
        latents: torch.Tensor,
        reconstruction: torch.Tensor,
        class_labels: torch.Tensor | None,
        kl_scale: float,
        generator: torch.Generator | None,
    ) -> LDEBMOutput:
        """Algorithm 1's objective, given what the modality makes of a batch."""
        config, batch_size = self.config, len(latents)
        self._check_class_labels(class_labels, batch_size)
        prior = self.prior.loss(latents, posterior, generator, posterior.context)
        entropy = posterior.negative_entropy(config.entropy_threshold)
        loss = reconstruction + kl_scale * config.kl_weight * (prior.loss + entropy)
        symbol_logits = information = classification = None
        information_weight = config.mutual_information_weight
        if posterior.code_logits is not None:
            information = mutual_information(posterior.code_logits)
            information_weight *= kl_scale  # it stands for a part of the divergence
            symbol_logits = posterior.symbol_logits() if config.has_symbols else None
        elif config.has_symbols:
            symbol_logits = self.prior.symbol_logits(latents, True, generator, posterior.context)
            information = mutual_information(symbol_logits)
        if information is not None:
            loss = loss - information_weight * information
        if symbol_logits is not None:
            if class_labels is None:
                class_labels = torch.full((batch_size,), IGNORE_INDEX, device=latents.device)
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
            posterior_mean=posterior.expectation if config.total_latent_size else None,
            posterior_log_variance=posterior.log_variance if config.gaussian_size else None,
            context=posterior.context,
        )

    def _classification(self, posterior, latents, class_labels, generator) -> LDEBMOutput:
        """The symbols' cross-entropy alone, at the posterior means and at noisy levels where symbols are learned."""
        self.require_symbols()
        if class_labels is None:
            raise ValueError("classification_only needs class_labels, got None")
        self._check_class_labels(class_labels, len(latents))
        symbol_logits, noisy_logits = self.symbol_logits(posterior), None
        if self.config.prior == "diffusion" and self.config.symbol_levels == "all":
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

    def _check_class_labels(self, class_labels: torch.Tensor | None, batch_size: int) -> None:
        if class_labels is None:
            return
        self.require_symbols()
        if class_labels.shape != (batch_size,):
            raise ValueError(f"class_labels must have shape ({batch_size},), got {tuple(class_labels.shape)}")

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

    def posterior(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        *,
        lengths: Sequence[int] | None = None,
        points: torch.Tensor | None = None,
        **context: torch.Tensor,
    ) -> Posterior:
        """q(z|x) as an object that can be sampled from and scored; arguments and errors as in [`encode`]."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "lengths": lengths, "points": points}
        modality = self.modality
        return modality.posterior(modality.read(**inputs, **context))

    def _require_latent(self) -> None:
        if self.config.prior == "none":
            raise ValueError('prior="none" has no latent that a text could be encoded into')

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
        log p(x|z) of each example, `(batch_size,)`: of a text its words and end given the beginning, of a document its
        words in one order, of a point in the units of `points`.

        Args:
            latents (`torch.Tensor` of shape `(batch_size, total_latent_size)`): z; for a model without a latent of
                size 0.
            input_ids, attention_mask, lengths, points, context: As in [`encode`].
        """
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "lengths": lengths, "points": points}
        return self.modality.log_likelihood(latents, self.modality.read(**inputs, **context))
