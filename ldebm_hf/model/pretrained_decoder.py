"""A pretrained language model as decoder, which reads the latent as a learned prefix."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, Cache, DynamicCache, PreTrainedConfig
from transformers import initialization as init
from transformers.utils import logging

from .base_model_files import OWN_CODE, OWN_VOCABULARY, values_of
from .base_models import BasePart, frozen_names, layers_of, require_layers
from .noise import at_least_float32, draw
from .objective import IGNORE_INDEX, Targets
from .token_embedding import outside_of_range
from .validation import require

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from .configuration_ldebm import LDEBMConfig

logger = logging.get_logger(__name__)

PREFIX_STD = 0.02
"""Standard deviation of the initial weights from the latent to the prefix."""
CAUSAL_TOLERANCE = 30
"""How much a logit may change by a token that comes after it: this many times the rounding of the largest logit."""


class PrefixedState:
    """
    What a language model remembers of a prefix and of the tokens after it, with the interface of a transformers cache.

    Args:
        cache (`Cache`): Keys and values of prefix and tokens.
        prefix_length (`int`): Number of positions of the prefix.
    """

    is_compileable = False
    is_croppable = False

    def __init__(self, cache: DynamicCache, prefix_length: int):
        self.cache, self.prefix_length = cache, prefix_length

    def get_seq_length(self) -> int:
        return self.cache.get_seq_length() - self.prefix_length

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        self.cache.reorder_cache(beam_idx)

    def __getitem__(self, rows: torch.Tensor) -> PrefixedState:
        """The state of some of the texts, chosen by indices or by a mask."""
        cache = copy.copy(self.cache)
        cache.layers = [copy.copy(layer) for layer in self.cache.layers]
        cache.batch_select_indices(rows)
        return PrefixedState(cache, self.prefix_length)


class ReadOnlyCache(Cache):
    """What is in another cache, which layers read and do not extend, so that they may be computed twice."""

    def __init__(self, cache: Cache):
        super().__init__(layers=cache.layers)

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any):
        return copy.copy(self.layers[layer_idx]).update(key_states, value_states, *args, **kwargs)


class LatentPrefix(nn.Linear):
    """
    The linear map from a latent to the prefix. It starts small, as layers of language models do: keys and values as
    large as those of torch's own initialisation would drown out the words that the language model has learned to read.
    """

    def init_tensors(self) -> None:
        """Initialise the weights, and the offset to zero."""
        init.normal_(self.weight, std=PREFIX_STD)
        init.zeros_(self.bias)


class PretrainedDecoder(BasePart):
    """
    A language model of the Hub that reads z before the text, in one of two ways:

    * `decoder_conditioning="every_layer"`: every layer attends to keys and values that are linear in z (prefix tuning,
      Li & Liang, ACL 2021; the "memory" of Optimus, Li et al., EMNLP 2020).
    * `decoder_conditioning="prefix"`: the first embeddings are linear in z (prompt tuning, Lester et al., EMNLP 2021).

    A vector of context is read together with z. A begin mark and padding that the language model's own configuration
    does not name were added by its tokenizer's builder: they are read as the end mark and never written.

    Args:
        config ([`LDEBMConfig`]): Settings of the model.

    Raises:
        ValueError: If the language model has no attention, whose keys and values the latent could be.
    """

    part, auto_class = "decoder", AutoModelForCausalLM

    def __init__(self, config: LDEBMConfig):
        super().__init__(config)
        self.base = self._build_base()
        self.cache_argument = _cache_argument(self.base)
        if self.base._is_stateful:
            self._refuse("a language model with attention, which remembers keys and values and no other state")
        base = self.base.config.get_text_config()
        embedding_size = self.embedding.embedding_dim
        self.prefix = None
        num_inputs = config.total_latent_size + config.context_size
        if num_inputs:
            if config.decoder_conditioning == "prefix":
                self.prefix_shape = (config.decoder_prefix_length, embedding_size)
            else:
                head_size = getattr(base, "head_dim", None) or base.hidden_size // base.num_attention_heads
                layers = 2 * base.num_hidden_layers
                self.prefix_shape = (layers, _num_key_heads(base), config.decoder_prefix_length, head_size)
            self.prefix = LatentPrefix(num_inputs, torch.Size(self.prefix_shape).numel())
        self.dropped_word = None
        if config.decoder_word_dropout:
            self.dropped_word = nn.Parameter(torch.zeros(embedding_size))
        self.added_tokens = {config.bos_token_id, config.pad_token_id} - _own_marks(base) - {None}

    @classmethod
    def complete_config(cls, config: LDEBMConfig) -> None:
        """Read what the configuration does not say yet of the base model from the base model's files."""
        if config.decoder_config is None:
            config.decoder_config, config.decoder_revision = cls.files_of(config).read_config()

    @classmethod
    def validate_settings(cls, config: LDEBMConfig) -> None:
        """Raise ValueError for settings of a pretrained decoder that are out of range or that it does not have."""
        require_layers("decoder_trainable_layers", config.decoder_trainable_layers, config.decoder_config)
        if config.decoder != "pretrained":
            for name in ("decoder_name_or_path", "decoder_revision", "decoder_trainable_layers", "decoder_config",
                         "decoder_digest"):  # fmt: skip
                value = getattr(config, name)
                require(not value, name, value, 'used with decoder="pretrained" only')
            return
        require(config.modality_class.is_autoregressive, "decoder", config.decoder,
                f'"recurrent" for a model of {config.modality}s')  # fmt: skip
        require(bool(config.eos_token_ids), "eos_token_id", config.eos_token_id, "a token, with a pretrained decoder")
        require(config.speaker_markers == "none", "speaker_markers", config.speaker_markers,
                '"none" with a pretrained decoder, whose vocabulary has no such tokens')  # fmt: skip

    def init_tensors(self) -> None:
        """Initialise the tensors of the decoder itself."""
        if self.dropped_word is not None:
            init.zeros_(self.dropped_word)

    @property
    def all_tied_weights_keys(self) -> dict[str, str]:
        """
        The tied weights of the language model, where transformers looks for those of a part of a model; none if the
        checkpoint does not hold them.
        """
        if not self.config.includes_base_models:
            num_layers = self.config.decoder_trainable_layers
            if num_layers == 0 or num_layers < len(layers_of(self.base)):
                return {}
        return {f"base.{name}": f"base.{source}" for name, source in self.base.all_tied_weights_keys.items()}

    @property
    def embedding(self) -> nn.Embedding:
        """The embedding of the language model's tokens."""
        return self.base.get_input_embeddings()

    def resize_token_embeddings(self, number: int, pad_to_multiple_of: int | None, mean_resizing: bool) -> None:
        """
        Resize the embeddings and the output projection of the language model, as transformers does. Its own files then
        have other weights than it, so that a checkpoint holds all of them.
        """
        before = self.embedding.num_embeddings
        embedding = self.base.resize_token_embeddings(number, pad_to_multiple_of, mean_resizing)
        if embedding.num_embeddings != before:
            kept = {name: value for name, value in self._base_config.items() if name == OWN_CODE}
            self.config.decoder_config = values_of(self.base.config) | kept | {OWN_VOCABULARY: True}

    def load_base_weights(
        self,
        only_frozen: bool = False,
        trained_with: str | None = None,
        given: AbstractSet[str] = frozenset(),
        **hub: Any,
    ) -> None:
        """
        As [`BasePart.load_base_weights`]; and tied weights are tied.

        Raises:
            ValueError: Also if a new model's language model reads in both directions, or cannot read the latent.
        """
        super().load_base_weights(only_frozen, trained_with, given, **hub)
        self.base.tie_weights()
        if not only_frozen:
            self._require_causal()

    def _refuse(self, allowed: str) -> None:
        require(False, "decoder_name_or_path", self.config.decoder_name_or_path, allowed)

    @torch.no_grad()
    def _require_causal(self) -> None:
        """
        Read two texts that differ in their last token: what is predicted before it must not differ.
        `AutoModelForCausalLM` also loads encoders, which see the words that they are to predict, unless their
        configuration says `is_decoder`.
        """
        device, was_training = self.embedding.weight.device, self.base.training
        known = [token for token in range(self.config.vocab_size) if token not in self.added_tokens]
        texts = torch.tensor([[known[0]] * 3, [known[0]] * 2 + known[1:2]], device=device)
        latents = torch.zeros(2, self.config.total_latent_size, device=device)
        context = torch.zeros(2, self.config.context_size, device=device) if self.config.context_size else None
        self.base.eval()
        try:
            logits, _ = self.next_tokens(texts, latents, context=context)
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            self._refuse(
                f"a language model that reads a latent by decoder_conditioning={self.config.decoder_conditioning!r}, "
                f"and this one cannot ({error})"
            )
        finally:
            self.base.train(was_training)
        first, second = logits[:, :-1, known].float()
        tolerance = CAUSAL_TOLERANCE * torch.finfo(logits.dtype).eps * first.abs().max()
        if bool((first - second).abs().max() > tolerance):
            self._refuse(
                "a language model that reads from left to right, and this one sees the words that it is to predict "
                "(is_decoder in its config.json may say otherwise)"
            )

    def base_names(self, prefix: str) -> set[str]:
        """The names in the state dict, with `prefix`, of the tensors that stay as in the base model."""
        return frozen_names(self.base, f"{prefix}base.")

    def next_tokens(
        self,
        input_ids: torch.Tensor,
        latents: torch.Tensor,
        state: PrefixedState | None = None,
        context: torch.Tensor | None = None,
        last_only: bool = False,
        keeps_state: bool = True,
    ) -> tuple[torch.Tensor, PrefixedState]:
        """
        Logits of the next tokens and the state after the tokens; see [`TextDecoder.next_tokens`]. With
        `keeps_state=False` the state stays that before the tokens, as layers that are computed again need it.
        """
        embedded, num_prefix_embeddings = self._embed(input_ids), 0
        if state is None:
            state = PrefixedState(DynamicCache(config=self.base.config.get_text_config()), 0)
            prefix = self._prefix(latents, context, embedded.dtype)
            if prefix is not None:
                state.prefix_length = self.config.decoder_prefix_length
                if self.config.decoder_conditioning == "prefix":
                    embedded = torch.cat([prefix, embedded], 1)
                    num_prefix_embeddings = state.prefix_length
                else:
                    for layer in range(prefix.shape[1] // 2):
                        state.cache.update(prefix[:, 2 * layer], prefix[:, 2 * layer + 1], layer)
        self._require_positions(state.cache.get_seq_length() + embedded.shape[1])
        cache = state.cache if keeps_state else ReadOnlyCache(state.cache)
        with self.recomputed_layers():
            output = self.base(inputs_embeds=embedded, use_cache=True, **{self.cache_argument: cache})
        logits = output.logits[:, -1:] if last_only else output.logits[:, num_prefix_embeddings:]
        return self._fit_vocabulary(logits), state

    def reconstruction_loss(
        self,
        targets: Targets,
        latents: torch.Tensor,
        context: torch.Tensor | None = None,
        with_logits: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """-log p(x|z) in nats, mean over the texts, and the logits; see [`TextDecoder.reconstruction_loss`]."""
        previous = self._drop_words(targets.previous)
        logits, _ = self.next_tokens(previous, latents, context=context, keeps_state=False)
        flat, labels = at_least_float32(logits).flatten(0, 1), targets.labels.flatten()
        total = F.cross_entropy(flat, labels, ignore_index=IGNORE_INDEX, reduction="sum")
        return total / len(latents), logits if with_logits else None

    def log_likelihood(
        self, targets: Targets, latents: torch.Tensor, context: torch.Tensor | None = None
    ) -> torch.Tensor:
        """log p(x|z) of each text in nats, `(batch_size,)`; see [`TextDecoder.log_likelihood`]."""
        logits, _ = self.next_tokens(targets.previous, latents, context=context, keeps_state=False)
        logits = at_least_float32(logits).transpose(1, 2)
        return -F.cross_entropy(logits, targets.labels, ignore_index=IGNORE_INDEX, reduction="none").sum(-1)

    def _prefix(self, latents: torch.Tensor, context: torch.Tensor | None, dtype: torch.dtype) -> torch.Tensor | None:
        """The prefix as `prefix_shape` says, `(batch_size, ...)`; `None` for a model without latent and context."""
        if self.prefix is None:
            return None
        inputs = latents.to(self.prefix.weight.dtype)
        if context is not None:
            inputs = torch.cat([inputs, context.to(inputs.dtype)], -1)
        return self.prefix(inputs).unflatten(-1, self.prefix_shape).to(dtype)

    def _require_positions(self, number: int) -> None:
        """Raise ValueError if a text with its prefix is longer than the language model was made for."""
        limit = getattr(self.base.config.get_text_config(), "max_position_embeddings", None)
        if limit is not None and 1 <= limit < number:  # XLNet writes -1 for no limit
            raise ValueError(
                f"a text and its prefix must have at most {limit} tokens, the positions of the language model, got "
                f"{number}: lower data.max_length or max_new_tokens, or give shorter inputs"
            )
        window = _window(self.base.config.get_text_config())
        if window is not None and number > window:
            logger.warning_once(
                f"the language model sees {window} positions at a time, and what comes later in a text does not read "
                "the latent, which comes first: lower data.max_length or max_new_tokens"
            )

    def _drop_words(self, input_ids: torch.Tensor) -> torch.Tensor:
        """In training, the previous tokens, random ones of them as -1, which [`_embed`] reads as a learned vector."""
        if self.dropped_word is None or not self.training:
            return input_ids
        dropped = draw(torch.rand, input_ids.shape, self.dropped_word) < self.config.decoder_word_dropout
        dropped[:, 0] = False  # the begin mark
        return input_ids.masked_fill(dropped, -1)

    def _embed(self, input_ids: torch.Tensor) -> torch.Tensor:
        size = self.config.vocab_size
        if input_ids.device.type == "cpu" and bool((input_ids >= size).any()):  # a GPU is not waited for
            raise ValueError(outside_of_range("token ids", input_ids, size, "vocab_size", exempt=-1))
        is_known = (input_ids >= 0) & (input_ids < len(self.embedding.weight))
        for token in self.added_tokens:
            is_known = is_known & (input_ids != token)
        embedded = self.embedding(input_ids.where(is_known, self.config.eos_token_ids[0]))
        if self.dropped_word is None:
            return embedded
        return embedded.where(input_ids[..., None] >= 0, self.dropped_word.to(embedded.dtype))

    def _fit_vocabulary(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits of the tokenizer's tokens: a language model may have more, or lack some, which are never written."""
        never = torch.finfo(logits.dtype).min
        num_missing = self.config.vocab_size - logits.shape[-1]
        logits = F.pad(logits, (0, num_missing), value=never)  # a negative number of them is cut off
        for token in self.added_tokens:
            logits[..., token] = never
        return logits


def _cache_argument(base: PreTrainedModel) -> str:
    """The argument through which a language model takes its cache; new models of transformers have the short name."""
    return "cache" if "cache" in inspect.signature(base.forward).parameters else "past_key_values"


def _num_key_heads(base: PreTrainedConfig) -> int:
    """The number of heads of which a layer remembers keys and values."""
    if getattr(base, "multi_query", False) and not getattr(base, "new_decoder_architecture", False):
        return 1
    grouped = getattr(base, "num_key_value_heads", None) or getattr(base, "num_kv_heads", None)
    return grouped or base.num_attention_heads


def _window(base: PreTrainedConfig) -> int | None:
    """The number of positions that are seen at a time, if no layer sees more."""
    window = getattr(base, "sliding_window", None)
    kinds = getattr(base, "layer_types", None)
    sees_all = not getattr(base, "use_sliding_window", True) or (kinds and "full_attention" in kinds)
    return None if sees_all else window


def _own_marks(base: PreTrainedConfig) -> set[int]:
    """The begin, end and padding marks that a language model's configuration names."""
    marks = set()
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        value = getattr(base, name, None)
        marks |= set(value) if isinstance(value, list) else {value}
    return marks - {None}
