"""The latent diffusion energy-based model of text."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import pad_packed_sequence
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils import ModelOutput

from .configuration_ldebm import LDEBMConfig
from .decoders import TextDecoder
from .diffusion import LevelTables
from .encoders import TextEncoder
from .energy import LevelEmbedding
from .generation import LDEBMGenerationMixin, RecurrentState
from .noise import gaussian_like
from .objective import (
    IGNORE_INDEX,
    classification_loss,
    mutual_information,
    negative_entropy,
    reconstruction_loss,
)
from .packing import pack, text_lengths
from .priors import DiffusionPrior


@dataclass
class PosteriorOutput(ModelOutput):
    """
    Args:
        posterior_mean (`torch.FloatTensor` of shape `(batch_size, latent_size)`): μ(x) of q(z|x).
        posterior_log_variance (`torch.FloatTensor` of shape `(batch_size, latent_size)`): log σ²(x).
    """

    posterior_mean: torch.FloatTensor | None = None
    posterior_log_variance: torch.FloatTensor | None = None


@dataclass
class LDEBMOutput(ModelOutput):
    """
    Args:
        loss (`torch.FloatTensor`): The objective, reconstruction + w_kl (prior + entropy) - w_mi I + w_cls CE.
        reconstruction_loss (`torch.FloatTensor`): -log p(x|z), nats per example.
        prior_loss (`torch.FloatTensor`): One-pass prior loss (its value is a contrast, not a likelihood).
        entropy_loss (`torch.FloatTensor`): Negative entropy of q(z|x) up to a constant, nats per example.
        mutual_information (`torch.FloatTensor`): I(z; y) over the batch, nats.
        classification_loss (`torch.FloatTensor`): Cross-entropy of p(y|z) with the known symbols; with symbols at all
            levels the mean of that at level 0 and that at the noisy levels drawn.
        energy_positive, energy_negative (`torch.FloatTensor`): Mean F at posterior and at Langevin samples.
        logits (`torch.FloatTensor` of shape `(batch_size, sequence_length, vocab_size)`): Next-token logits, 0 at
            padding; not returned in training mode.
        symbol_logits (`torch.FloatTensor` of shape `(batch_size, num_symbols)`): Logits of p(y|z).
        latents (`torch.FloatTensor` of shape `(batch_size, latent_size)`): z.
        posterior_mean, posterior_log_variance (`torch.FloatTensor` of shape `(batch_size, latent_size)`): q(z|x).
        past_key_values ([`RecurrentState`]): The decoder's state, while generating.
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
    past_key_values: RecurrentState | None = None


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
        elif isinstance(module, (nn.Linear, nn.Embedding, nn.GRU)):
            self._init_parameters(module)

    def _init_parameters(self, module: nn.Module):
        bound = self.config.uniform_init_range
        if bound is None and not parametrize.is_parametrized(module):
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
    Text encoder, latent diffusion energy-based prior with symbols, and text decoder.

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
        self.encoder = TextEncoder(config)
        self.decoder = TextDecoder(config)
        self.prior = DiffusionPrior(config)
        self.post_init()
        self.generation_config.max_new_tokens = 40

    def get_encoder(self, modality: str | None = None) -> nn.Module:
        return self.encoder

    def encode(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> PosteriorOutput:
        """
        The posterior q(z|x) of texts.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Tokens with begin and end marks,
                padded on the right.
            attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*): 0 at padding;
                defaults to 0 at `config.pad_token_id`.

        Raises:
            ValueError: Without any text or token, and for padding anywhere but on the right.
        """
        return PosteriorOutput(*self.encoder(input_ids, attention_mask))

    @torch.no_grad()
    def infer_symbols(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """p(y|z) at the posterior mean of each text, `(batch_size, num_symbols)`. Arguments as in [`encode`]."""
        posterior = self.encode(input_ids, attention_mask)
        return self.prior.symbol_logits(posterior.posterior_mean).softmax(-1)

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
        return_dict: bool | None = None,
    ) -> LDEBMOutput:
        """
        The whole objective on a batch of texts; or, with `encoder_outputs`, one decoding step of `generate`.

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
                `(batch_size, 1, latent_size)`.
            past_key_values ([`RecurrentState`], *optional*): Decoder state after earlier tokens.
            use_cache (`bool`, *optional*): Whether to return that state.
            generator (`torch.Generator`, *optional*): Source of posterior, diffusion and Langevin noise.
            lengths (`Sequence[int]`, *optional*): Number of tokens of each text, on the host, as the training batches
                bring them. With them the mask is not checked and no device is waited for.
            skip_logits (`bool`, *optional*): Do without `logits`, which are large; defaults to the training mode.
            return_dict (`bool`, *optional*): Passed by `generate`; the output is an [`LDEBMOutput`] in any case.
        """
        if encoder_outputs is not None:
            return self._decode(decoder_input_ids, encoder_outputs, past_key_values, use_cache)
        if input_ids is None:
            raise ValueError("input_ids must be given (or encoder_outputs, to decode latents), got neither")
        with parametrize.cached():
            return self._objective(
                input_ids,
                attention_mask,
                class_labels,
                labels,
                decoder_input_ids,
                generator,
                lengths,
                self.training if skip_logits is None else skip_logits,
            )

    def _objective(
        self, input_ids, attention_mask, class_labels, labels, decoder_input_ids, generator, lengths, skip_logits
    ) -> LDEBMOutput:
        config, batch_size = self.config, len(input_ids)
        if lengths is None:
            lengths = text_lengths(input_ids, attention_mask, config.pad_token_id)
        if labels is not None and labels.ndim != 2:
            raise ValueError(
                f"labels must be target tokens, (batch_size, target_length), got {tuple(labels.shape)}; "
                "symbols go into class_labels"
            )
        if class_labels is not None and class_labels.shape != (batch_size,):
            raise ValueError(f"class_labels must have shape ({batch_size},), got {tuple(class_labels.shape)}")
        mean, log_variance = self.encoder(input_ids, lengths=lengths)
        mean, log_variance = mean.float(), log_variance.float()
        latents = mean + (0.5 * log_variance).exp() * gaussian_like(mean, generator)

        if labels is None:
            labels = self._targets(input_ids, attention_mask)
            # A text of one token has no target: one place of it is read all the same, and does not count.
            target_lengths = [max(length - 1, 1) for length in lengths]
        else:
            target_lengths = [labels.shape[1]] * batch_size  # where the padding is, only the device knows
        if labels.shape[1] == 0:
            raise ValueError("input_ids must hold a token to predict after the begin mark, got texts of one token")
        if decoder_input_ids is None:
            decoder_input_ids = self._shift_right(labels)
        hidden = self.decoder.forward_packed(decoder_input_ids, latents, target_lengths)
        targets = pack(labels, target_lengths).data
        reconstruction = reconstruction_loss(hidden.data, self.decoder.embedding.weight, targets, batch_size)
        logits = None
        if not skip_logits:
            of_tokens = hidden._replace(data=self.decoder.logits(hidden.data))
            logits, _ = pad_packed_sequence(of_tokens, batch_first=True, total_length=labels.shape[1])

        prior = self.prior.loss(latents, generator)
        entropy = negative_entropy(log_variance, config.entropy_threshold)
        symbol_logits = self.prior.symbol_logits(latents, base_noise=True, generator=generator)
        information = mutual_information(symbol_logits)
        if class_labels is None:
            class_labels = torch.full((batch_size,), IGNORE_INDEX, device=latents.device)
        classification = classification_loss(symbol_logits, class_labels)
        if config.symbol_levels == "all":
            repeats = len(prior.symbol_logits) // batch_size
            noisy = classification_loss(prior.symbol_logits, class_labels.repeat(repeats))
            classification = (classification + noisy) / 2
        return LDEBMOutput(
            loss=reconstruction
            + config.kl_weight * (prior.loss + entropy)
            - config.mutual_information_weight * information
            + config.classification_weight * classification,
            reconstruction_loss=reconstruction,
            prior_loss=prior.loss,
            entropy_loss=entropy,
            mutual_information=information,
            classification_loss=classification,
            energy_positive=prior.energy_positive,
            energy_negative=prior.energy_negative,
            logits=logits,
            symbol_logits=symbol_logits,
            latents=latents,
            posterior_mean=mean,
            posterior_log_variance=log_variance,
        )

    def _decode(self, decoder_input_ids, encoder_outputs, past_key_values, use_cache) -> LDEBMOutput:
        latents = encoder_outputs[0].squeeze(1)
        state = None if past_key_values is None else past_key_values.hidden
        seen = 0 if past_key_values is None else past_key_values.length
        hidden, state = self.decoder(decoder_input_ids, latents, state)
        return LDEBMOutput(
            logits=self.decoder.logits(hidden),
            latents=latents,
            past_key_values=RecurrentState(state, seen + decoder_input_ids.shape[1]) if use_cache else None,
        )

    def _targets(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        padding = input_ids == self.config.pad_token_id if attention_mask is None else attention_mask == 0
        return input_ids.masked_fill(padding, IGNORE_INDEX)[:, 1:]

    def _shift_right(self, labels: torch.Tensor) -> torch.Tensor:
        start = torch.full_like(labels[:, :1], self.config.decoder_start_token_id)
        shifted = torch.cat([start, labels[:, :-1]], dim=1)
        return shifted.masked_fill(shifted == IGNORE_INDEX, self.config.pad_token_id)
