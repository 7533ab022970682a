"""A pretrained encoder of texts, frozen or fine-tuned, with heads to the parameters of the posterior."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoModel, BatchEncoding, PreTrainedTokenizerBase

from .arguments import Texts, checked
from .base_model_files import BaseModelFiles, require_name
from .base_models import BasePart, encoder_of, frozen_names, require_layers, save_base_tokenizer
from .compilation import not_compiled
from .posteriors import Posterior, PosteriorHeads
from .recurrent import text_lengths
from .sentence_layout import SentencePooling, read_layout, weight_files
from .validation import require

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from .configuration_ldebm import LDEBMConfig

LONGEST = 512
"""Texts are cut to this number of the base model's tokens if neither its files nor its tokenizer say a length."""


class PretrainedEncoder(BasePart):
    """
    A pretrained transformer that makes one vector of each text, and a small network from it to the posterior.

    The model's tokens need not be those of the transformer: they are decoded to text by the model's tokenizer, and the
    text is tokenised for the transformer. The posterior is thus a function of the tokens, as with any encoder.

    A frozen transformer's vectors never change. They can be computed once, by [`features`], and given to [`forward`].

    Args:
        config ([`LDEBMConfig`]): Settings of the model.
    """

    part, auto_class = "encoder", AutoModel
    main_input_name = "input_ids"  # which transformers' generate looks up

    def __init__(self, config: LDEBMConfig):
        super().__init__(config)
        self.base = encoder_of(self._build_base())
        hidden_size = getattr(self.base.config, "hidden_size", None)
        require(hidden_size is not None, "encoder_name_or_path", config.encoder_name_or_path, "an encoder of texts")
        self.pooling = SentencePooling(config.encoder_layout, hidden_size)
        self.hidden = nn.Linear(self.pooling.num_features, config.encoder_hidden_size)
        self.dropout = nn.Dropout(config.dropout)
        num_features, self.merge = config.encoder_hidden_size, None
        if config.context_size:
            self.merge = nn.Linear(num_features + config.context_size, num_features)
        self.heads = PosteriorHeads(config, num_features)
        self.tokenizer: PreTrainedTokenizerBase | None = None
        self.base_tokenizer: PreTrainedTokenizerBase | None = None

    @classmethod
    def complete_config(cls, config: LDEBMConfig) -> None:
        """Read what the configuration does not say yet of the base model from the base model's files."""
        if config.encoder_config is not None:
            return
        name, revision = config.encoder_name_or_path, config.encoder_revision
        require_name("encoder_name_or_path", name)
        layout = read_layout(name, revision)
        values, commit = replace(cls.files_of(config), subfolder=layout["subfolder"]).read_config()
        if config.encoder_pooling is not None:
            layout |= {"pooling": [config.encoder_pooling], "dense": []}
        if config.encoder_normalize is not None:
            layout["normalize"] = config.encoder_normalize
        config.encoder_config, config.encoder_layout, config.encoder_revision = values, layout, commit

    @classmethod
    def validate_settings(cls, config: LDEBMConfig) -> None:
        """Raise ValueError for settings of a pretrained encoder that are out of range or that it does not have."""
        require_layers("encoder_trainable_layers", config.encoder_trainable_layers, config.encoder_config)
        if config.encoder != "pretrained":
            for name in ("encoder_name_or_path", "encoder_revision", "encoder_trainable_layers", "encoder_lora_rank",
                         "encoder_pooling", "encoder_normalize", "encoder_config", "encoder_layout",
                         "encoder_digest"):  # fmt: skip
                value = getattr(config, name)
                require(not value, name, value, 'used with encoder="pretrained" only')
            return
        require(config.modality_class.is_autoregressive, "encoder", config.encoder,
                f'"recurrent" for a model of {config.modality}s')  # fmt: skip
        require(config.has_latent, "encoder", config.encoder, '"recurrent" for a model without a latent, prior="none"')
        require(config.word_dropout == 0, "word_dropout", config.word_dropout, "0 with a pretrained encoder")

    def add_adapters(self) -> None:
        """Freeze the base model, but for the parts and the adapters that the configuration says are trained."""
        super().add_adapters()
        self.pooling.requires_grad_(False)

    def load_base_weights(
        self,
        only_frozen: bool = False,
        trained_with: str | None = None,
        given: AbstractSet[str] = frozenset(),
        **hub: Any,
    ) -> None:
        """As [`BasePart.load_base_weights`], with the dense layers after the transformer, and the tokenizer."""
        super().load_base_weights(only_frozen, trained_with, given, **hub)
        config = self.config
        if not given & {f"pooling.{name}" for name in self.pooling.state_dict()}:
            self.pooling.load(config.encoder_layout, config.encoder_name_or_path, config.encoder_revision, **hub)
        if self.base_tokenizer is None:
            self._load_base_tokenizer(**hub)

    def _loaded_base(self, files: BaseModelFiles, **hub: Any) -> PreTrainedModel:
        return encoder_of(super()._loaded_base(files, **hub))

    @property
    def _other_weights(self) -> list[str]:
        return weight_files(self.config.encoder_layout)

    def _load_base_tokenizer(self, **hub: Any) -> None:
        self.base_tokenizer = self.files_of(self.config).load_tokenizer(**hub)

    def base_names(self, prefix: str) -> set[str]:
        """The names in the state dict, with `prefix`, of the tensors that stay as in the base model."""
        dense = {f"{prefix}pooling.{name}" for name in self.pooling.state_dict()}
        return frozen_names(self.base, f"{prefix}base.") | dense

    def save_tokenizers(self, folder: str | Path) -> None:
        """Save the model's tokenizer and, in files of its own, that of the base model."""
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(folder)
        if self.base_tokenizer is None and self.config.includes_base_models and self.config.encoder_name_or_path:
            self._load_base_tokenizer()
        if self.base_tokenizer is not None:
            save_base_tokenizer(self.base_tokenizer, folder)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        lengths: Sequence[int] | None = None,
        context: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
    ) -> Posterior:
        """
        Args:
            input_ids, attention_mask, lengths, context: As in [`TextEncoder.forward`]; tokens are those of the model's
                own tokenizer.
            features (`torch.Tensor` of shape `(batch_size, num_features)`, *optional*): Vectors of the texts from
                [`features`], if they are known already.

        Raises:
            ValueError: As [`read_texts`], and for features of a wrong shape.
        """
        if features is None:
            features = self.features(self.read_texts(input_ids, attention_mask, lengths))
        elif features.shape != (len(input_ids), self.pooling.num_features):
            expected = (len(input_ids), self.pooling.num_features)
            raise ValueError(f"encoder_features must have shape {expected}, got {tuple(features.shape)}")
        hidden = self.dropout(F.gelu(self.hidden(features.to(self.hidden.weight.dtype))))
        if self.merge is not None:
            hidden = self.merge(torch.cat([hidden, context.to(hidden.dtype)], -1)).relu()
        return self.heads(hidden)

    @not_compiled
    def read_texts(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        lengths: Sequence[int] | None = None,
    ) -> list[str]:
        """
        The texts that the model's tokens stand for, without begin and end marks. Arguments as in [`forward`].

        Raises:
            ValueError: If the model's tokenizer is not known.
        """
        if self.tokenizer is None:
            raise ValueError(
                "tokenizer must be set, because a pretrained encoder reads the text that the ids stand for: call "
                "model.set_tokenizer(tokenizer)"
            )
        if lengths is None:
            lengths = text_lengths(input_ids, attention_mask, self.config.pad_token_id)
        rows = [row[:length] for row, length in zip(input_ids.tolist(), lengths, strict=True)]
        return self.tokenizer.batch_decode(rows, skip_special_tokens=True)

    @checked(texts=Texts(or_one=False))
    def features(self, texts: Sequence[str]) -> torch.Tensor:
        """
        The vectors of texts, `(num_texts, num_features)`, as the files of the base model say they are made.

        Args:
            texts (`Sequence[str]`): Texts, cut to the length that the base model reads.

        Raises:
            ValueError: If something among the texts is not a string of valid Unicode.
        """
        batch = self._tokenize(texts)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.is_frozen), self.recomputed_layers():
            states = self.base(**batch).last_hidden_state
            return self.pooling(states, batch["attention_mask"])

    def num_cut_texts(self, texts: Sequence[str]) -> int:
        """How many of some texts are longer than [`max_length`], so that their ends are not read."""
        if self.base_tokenizer is None:
            self._load_base_tokenizer()
        token_ids = self.base_tokenizer(self._written(texts), verbose=False)["input_ids"]
        return sum(len(ids) > self.max_length for ids in token_ids)

    def _written(self, texts: Sequence[str]) -> list[str]:
        """Texts as they are tokenised: with the prompt, and perhaps in small letters."""
        layout = self.config.encoder_layout
        texts = [layout["prompt"] + text for text in texts]
        return [text.lower() for text in texts] if layout["lowercase"] else texts

    @not_compiled
    def _tokenize(self, texts: Sequence[str]) -> BatchEncoding:
        if self.base_tokenizer is None:
            self._load_base_tokenizer()
        tokenizer = self.base_tokenizer
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        batch = tokenizer(
            self._written(texts),
            padding=True,
            truncation=True,
            max_length=self.max_length,
            return_attention_mask=True,
            return_tensors="pt",
        )
        return _with_a_token_each(batch, tokenizer).to(self.hidden.weight.device)

    @property
    def max_length(self) -> int:
        """The number of the base model's tokens that are read of a text, with its marks."""
        limits = [self.config.encoder_layout["max_length"], self.base_tokenizer.model_max_length]
        num_positions = getattr(self.base.config, "max_position_embeddings", None)
        if num_positions is not None:
            limits.append(num_positions - _first_position(self.base))
        return min([limit for limit in limits if limit is not None and 1 <= limit < 1e9], default=LONGEST)


def _with_a_token_each(batch: BatchEncoding, tokenizer: PreTrainedTokenizerBase) -> BatchEncoding:
    """The batch, with a padding token that is read where a tokenizer without marks has no token for an empty text."""
    is_empty = batch["attention_mask"].sum(1) == 0
    if not is_empty.any():
        return batch
    if batch["attention_mask"].shape[1] == 0:
        one = torch.zeros(len(is_empty), 1, dtype=torch.long)
        batch = BatchEncoding({name: one.clone() for name in batch})
        batch["input_ids"].fill_(tokenizer.pad_token_id)
    batch["attention_mask"][is_empty, 0 if tokenizer.padding_side == "right" else -1] = 1
    return batch


def _first_position(base: nn.Module) -> int:
    """The position of a text's first token, which in models like RoBERTa comes after that of padding."""
    for name, module in base.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            return module.padding_idx + 1
    return 0
