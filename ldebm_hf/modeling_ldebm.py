"""The latent diffusion energy-based model of text."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils import parametrize
from transformers import GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils import ModelOutput

from .configuration_ldebm import LDEBMConfig
from .decoders import TextDecoder
from .diffusion import LevelTables
from .encoders import TextEncoder
from .energy import LevelEmbedding
from .noise import gaussian_like
from .objective import (
    IGNORE_INDEX,
    classification_loss,
    mutual_information,
    negative_entropy,
    reconstruction_loss,
)
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
class LatentTrajectory(ModelOutput):
    """
    Args:
        latents (`torch.FloatTensor` of shape `(num_samples, latent_size)`): The samples z_0.
        trajectory (`torch.FloatTensor` of shape `(num_levels + 1, num_samples, latent_size)`): z_T, …, z_0.
    """

    latents: torch.FloatTensor | None = None
    trajectory: torch.FloatTensor | None = None


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
        logits (`torch.FloatTensor` of shape `(batch_size, sequence_length, vocab_size)`): Next-token logits; not
            returned in training mode.
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
    past_key_values: "RecurrentState | None" = None


class RecurrentState:
    """The decoder's hidden state, `(batch_size, hidden_size)`, behind the interface of a transformers cache."""

    is_compileable = False
    is_croppable = False

    def __init__(self, hidden: torch.Tensor, length: int):
        self.hidden = hidden
        self.length = length

    def get_seq_length(self) -> int:
        return self.length

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        self.hidden = self.hidden[beam_idx]


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


class LDEBMModel(LDEBMPreTrainedModel, GenerationMixin):
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

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False

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
            return_dict (`bool`, *optional*): Passed by `generate`; the output is an [`LDEBMOutput`] in any case.
        """
        if encoder_outputs is not None:
            return self._decode(decoder_input_ids, encoder_outputs, past_key_values, use_cache)
        if input_ids is None:
            raise ValueError("input_ids must be given (or encoder_outputs, to decode latents), got neither")
        with parametrize.cached():
            return self._objective(input_ids, attention_mask, class_labels, labels, decoder_input_ids, generator)

    def _objective(self, input_ids, attention_mask, class_labels, labels, decoder_input_ids, generator):
        config, batch_size = self.config, len(input_ids)
        if labels is not None and labels.ndim != 2:
            raise ValueError(
                f"labels must be target tokens, (batch_size, target_length), got {tuple(labels.shape)}; "
                "symbols go into class_labels"
            )
        if class_labels is not None and class_labels.shape != (batch_size,):
            raise ValueError(f"class_labels must have shape ({batch_size},), got {tuple(class_labels.shape)}")
        mean, log_variance = self.encoder(input_ids, attention_mask)
        mean, log_variance = mean.float(), log_variance.float()
        latents = mean + (0.5 * log_variance).exp() * gaussian_like(mean, generator)

        if labels is None:
            labels = self._targets(input_ids, attention_mask)
        if decoder_input_ids is None:
            decoder_input_ids = self._shift_right(labels)
        hidden, _ = self.decoder(decoder_input_ids, latents)
        counted = labels != IGNORE_INDEX
        if self.training:
            logits = None
            reconstruction = reconstruction_loss(self.decoder.logits(hidden[counted]), labels[counted], batch_size)
        else:
            logits = self.decoder.logits(hidden)
            reconstruction = reconstruction_loss(logits, labels, batch_size)

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

    def symbol_ids(self, class_labels: int | str | Sequence[int | str] | torch.Tensor) -> torch.Tensor:
        """
        Symbols by id or by name of `config.label2id`, as a `torch.LongTensor` of shape `(n,)` on the model's device.

        Raises:
            ValueError: For a name or an id that the model does not have.
        """
        if hasattr(class_labels, "tolist"):  # a tensor, an array or an array's scalar
            class_labels = class_labels.flatten().tolist()
        elif isinstance(class_labels, str) or not isinstance(class_labels, Iterable):
            class_labels = [class_labels]
        known = self.config.label2id
        ids = [known.get(label, label) for label in class_labels]
        for label in ids:
            if label not in self.config.id2label:
                names = ", ".join(repr(name) for name in known)
                raise ValueError(f"class_labels must be of 0..{len(known) - 1} or of {names}; got {label!r}")
        return torch.tensor(ids, dtype=torch.long, device=self.device)

    @torch.no_grad()
    def sample_latents(
        self,
        num_samples: int | None = None,
        *,
        class_labels: int | str | Sequence[int | str] | torch.Tensor | None = None,
        guidance_scale: float | None = None,
        num_langevin_steps: int | None = None,
        generator: torch.Generator | None = None,
        return_trajectory: bool = False,
    ) -> torch.Tensor | LatentTrajectory:
        """
        Draw latents from the prior by reverse diffusion (Algorithm 2).

        Args:
            num_samples (`int`, *optional*): Number of latents; defaults to one per entry of `class_labels`, else 1.
            class_labels (`int`, `str` or a sequence of them, *optional*): Symbol per sample, by id or name; a single
                one serves all samples.
            guidance_scale (`float`, *optional*): Weight γ of log p(y|z). 0 ignores the symbol; 1 samples the model's
                joint density; larger values insist. Defaults to `config.label_guidance`, and that to 1/τ_t.
            num_langevin_steps (`int`, *optional*): Steps per level; defaults to `config.langevin_steps`.
            generator (`torch.Generator`, *optional*): Source of all noise.
            return_trajectory (`bool`, *optional*, defaults to `False`): Also return the states after every level.

        Returns:
            `torch.FloatTensor` of shape `(num_samples, latent_size)`, or [`LatentTrajectory`].

        Raises:
            ValueError: If a symbol is unknown or there is not one per sample.
        """
        symbols = None if class_labels is None else self.symbol_ids(class_labels)
        if num_samples is None:
            num_samples = 1 if symbols is None else len(symbols)
        if num_samples < 1:
            raise ValueError(f"num_samples must be at least 1, got {num_samples}")
        if symbols is not None and len(symbols) not in (1, num_samples):
            raise ValueError(f"class_labels must name one symbol or num_samples={num_samples}, got {len(symbols)}")
        if symbols is not None:
            symbols = symbols.expand(num_samples)
        trajectory = self.prior.sample(num_samples, symbols, guidance_scale, num_langevin_steps, generator)
        if return_trajectory:
            return LatentTrajectory(latents=trajectory[-1], trajectory=trajectory)
        return trajectory[-1]

    @torch.no_grad()
    def generate(
        self,
        input_ids: torch.Tensor | None = None,
        generation_config=None,
        *,
        attention_mask: torch.Tensor | None = None,
        latents: torch.Tensor | None = None,
        class_labels: int | str | Sequence[int | str] | torch.Tensor | None = None,
        num_samples: int | None = None,
        guidance_scale: float | None = None,
        num_langevin_steps: int | None = None,
        generator: torch.Generator | None = None,
        **generation_kwargs,
    ):
        """
        Write texts: reconstructions of `input_ids`, or decoded `latents`, or samples of the prior.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`, *optional*): Texts to reconstruct
                from their posterior means.
            generation_config (`GenerationConfig`, *optional*): As in transformers.
            attention_mask (`torch.Tensor` of shape `(batch_size, sequence_length)`, *optional*): 0 at padding;
                defaults to 0 at `config.pad_token_id`.
            latents (`torch.Tensor` of shape `(n, latent_size)`, *optional*): Latents to decode.
            class_labels, num_samples, guidance_scale, num_langevin_steps: As in [`sample_latents`], for samples of the
                prior. `num_return_sequences` instead decodes each latent several times.
            generator (`torch.Generator`, *optional*): Source of all noise, sampled tokens included.
            generation_kwargs: Everything that transformers' `generate` takes, streamers and beams included.

        Returns:
            As transformers' `generate`: token ids `(n, length)`, or a dictionary with `return_dict_in_generate=True`.

        Raises:
            ValueError: If more than one of text, latents and prior sampling is asked for.
        """
        input_ids = generation_kwargs.pop("inputs", input_ids)  # transformers' own name of its first argument
        if "max_length" in generation_kwargs:
            generation_kwargs.setdefault("max_new_tokens", None)  # whose default would overrule max_length
        samples_prior = class_labels is not None or num_samples is not None or guidance_scale is not None
        given = {"input_ids": input_ids is not None, "latents": latents is not None}
        asked = [name for name, is_given in given.items() if is_given] + ["prior samples"] * samples_prior
        if len(asked) > 1:
            raise ValueError(f"generate takes one of input_ids, latents and class_labels/num_samples, got {asked}")
        if input_ids is not None:
            latents = self.encode(input_ids, attention_mask).posterior_mean
        elif latents is None:
            latents = self.sample_latents(
                num_samples,
                class_labels=class_labels,
                guidance_scale=guidance_scale,
                num_langevin_steps=num_langevin_steps,
                generator=generator,
            )
        latents = torch.as_tensor(latents, device=self.device)
        if latents.ndim != 2 or latents.shape[1] != self.config.latent_size or len(latents) == 0:
            expected = f"(n, {self.config.latent_size}) with n at least 1"
            raise ValueError(f"latents must have shape {expected}, got {tuple(latents.shape)}")
        prompts = generation_kwargs.get("decoder_input_ids")
        if prompts is not None and len(prompts) != len(latents):
            raise ValueError(f"decoder_input_ids must have one row per text, {len(latents)}, got {len(prompts)}")
        encoder_outputs = BaseModelOutput(last_hidden_state=latents[:, None])
        with _seeded_by(generator, self.device):
            return super().generate(
                generation_config=generation_config, encoder_outputs=encoder_outputs, **generation_kwargs
            )


@contextmanager
def _seeded_by(generator: torch.Generator | None, device: torch.device) -> Iterator[None]:
    """Let transformers' token sampling, which only knows the global generator, follow `generator`."""
    if generator is None:
        yield
        return
    seed = torch.randint(2**62, (), generator=generator, device=generator.device).item()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
