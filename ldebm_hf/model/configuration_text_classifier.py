"""The settings of the text classifier that judges generated texts."""

from typing import Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig

from .checkpoint_code import RegistersModels
from .setting_rules import INHERITED_RULES, SHARE, UNITS, VOCABULARY, IdsByName
from .validation import Number, check_all, require

RULES = {
    "vocab_size": VOCABULARY,
    "embedding_size": UNITS,
    "hidden_size": UNITS,
    "dropout": SHARE,
    "word_dropout": SHARE,
    "embedding_std": Number(above=0, at_most=10),
}
"""What the value of each setting must be like by itself."""


@strict
class TextClassifierConfig(RegistersModels, PreTrainedConfig):
    """
    Configuration of [`TextClassifier`]. Give the names of the classes as `id2label` or `label2id`.

    Args:
        vocab_size (`int`, *optional*, defaults to 10000): Number of token types, including special tokens.
        embedding_size (`int`, *optional*, defaults to 128): Size of the token embeddings.
        hidden_size (`int`, *optional*, defaults to 128): Hidden size of the GRU, per direction.
        pooling (`str`, *optional*, defaults to `"max"`): How the GRU's states are pooled: `"max"` (the largest value
            of each unit over the text) or `"final"` (the final states of both directions).
        dropout (`float`, *optional*, defaults to 0.5): Dropout on the pooled states.
        word_dropout (`float`, *optional*, defaults to 0.1): Fraction of the tokens that are replaced by
            `unk_token_id` in training.
        embedding_std (`float`, *optional*, defaults to 0.1): Standard deviation of the initial embeddings.
        pad_token_id (`int`, *optional*, defaults to 0): Padding.
        unk_token_id (`int`, *optional*, defaults to 1): Unknown word.

    Raises:
        ValueError: If a value is out of its range.
    """

    model_type = "ldebm_text_classifier"

    vocab_size: int = 10000
    embedding_size: int = 128
    hidden_size: int = 128
    pooling: Literal["max", "final"] = "max"
    dropout: float | int = 0.5
    word_dropout: float | int = 0.1
    embedding_std: float | int = 0.1
    pad_token_id: int = 0
    unk_token_id: int = 1

    def __post_init__(self, **kwargs):
        check_all(INHERITED_RULES, vars(self) | kwargs)
        if self.id2label is None and self.label2id is not None:
            self.id2label = {label: name for name, label in IdsByName()("label2id", self.label2id).items()}
        super().__post_init__(**kwargs)
        self.label2id = {name: label for label, name in self.id2label.items()}

    def validate_each_setting(self):
        check_all(INHERITED_RULES | RULES, vars(self))
        for name in ("pad_token_id", "unk_token_id"):
            in_vocabulary = 0 <= getattr(self, name) < self.vocab_size
            require(in_vocabulary, name, getattr(self, name), f"in 0..{self.vocab_size - 1}, as vocab_size")


AutoConfig.register(TextClassifierConfig.model_type, TextClassifierConfig, exist_ok=True)
TextClassifierConfig.register_for_auto_class()
