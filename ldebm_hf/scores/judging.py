"""A trained classifier that judges which class a text has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerBase,
)

from ..model.weight_files import refuse_pickled_weights, refuse_unreadable_files

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Judge:
    """
    A classifier of texts with its tokenizer; [`load_judge`] loads one from a checkpoint.

    Args:
        model (`PreTrainedModel`): A sequence classifier with at least two classes, in evaluation mode.
        tokenizer (`PreTrainedTokenizerBase`): Its tokenizer. Texts longer than `model_max_length` are truncated.

    Raises:
        ValueError: A model in training mode, or with fewer than two classes.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase):
        if model.training:
            raise ValueError("model must be in evaluation mode, without dropout: call model.eval()")
        if model.config.num_labels < 2:
            raise ValueError(f"model must be a classifier of at least two classes, got {model.config.num_labels}")
        self.model, self.tokenizer = model, tokenizer

    @property
    def label_names(self) -> list[str]:
        """The names of the judge's classes, in the order of their ids."""
        return [self.model.config.id2label[label] for label in range(self.model.config.num_labels)]

    @torch.no_grad()
    def probabilities(self, texts: Sequence[str], batch_size: int = 256) -> np.ndarray:
        """
        p(class | text), float32 of shape `(len(texts), num_labels)`.

        Args:
            texts (`Sequence[str]`): Texts; an empty one is judged like any other.
            batch_size (`int`, *optional*, defaults to 256): Texts per batch; affects speed and memory only.
        """
        if isinstance(texts, str):
            raise ValueError("texts must be a list of strings, got one string")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        probabilities = np.empty((len(texts), len(self.label_names)), dtype=np.float32)
        # Batches of texts of similar length need the least padding.
        by_length = sorted(range(len(texts)), key=lambda index: -len(texts[index]))
        for start in range(0, len(texts), batch_size):
            rows = by_length[start : start + batch_size]
            batch = self.tokenizer([texts[row] for row in rows], return_tensors="pt", padding=True, truncation=True)
            logits = self.model(**batch.to(self.model.device)).logits
            probabilities[rows] = logits.float().softmax(-1).cpu().numpy()
        return probabilities

    def predict(self, texts: Sequence[str], batch_size: int = 256) -> np.ndarray:
        """The most probable class of each text, int64 of shape `(len(texts),)`; arguments as in [`probabilities`]."""
        return self.probabilities(texts, batch_size).argmax(-1)

    def label_ids(self, names: Sequence[str]) -> np.ndarray:
        """
        Ids of the judge's classes with these names, int64 of shape `(len(names),)`, to be compared with [`predict`].

        Letter case is ignored. A model's symbols and a judge's classes correspond by name, not by id.

        Raises:
            ValueError: A name that none of the judge's classes has.
        """
        known = {name.casefold(): label for label, name in enumerate(self.label_names)}
        missing = sorted({name for name in names if name.casefold() not in known})
        if missing:
            raise ValueError(
                f"the judge has no class {', '.join(map(repr, missing))}: its classes are {self.label_names}, and the "
                f"requested ones are {sorted(set(names))}. Symbols and classes are matched by name"
            )
        return np.array([known[name.casefold()] for name in names], dtype=np.int64)


def load_judge(checkpoint: str | Path, device: str | torch.device | None = None) -> Judge:
    """
    Load a judge from a checkpoint of a sequence classifier, such as `examples/train_judge.py` writes.

    Args:
        checkpoint (`str` or `Path`): Folder or Hub id with safetensors and a tokenizer. Code in it is not run.
        device (`str` or `torch.device`, *optional*): Device of the judge; defaults to an accelerator if there is one.

    Raises:
        OSError: There is nothing that can be loaded, or a file is a Git LFS pointer, empty or truncated.
        ValueError: The model is not a sequence classifier, or weights are missing from the checkpoint.
    """
    refuse_unreadable_files(checkpoint)
    refuse_pickled_weights(checkpoint, {})
    options = {"trust_remote_code": False}
    config = AutoConfig.from_pretrained(checkpoint, **options)
    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise ValueError(f"judge {str(checkpoint)!r} must be a sequence classifier, got a {config.model_type!r} model")
    model, loading = AutoModelForSequenceClassification.from_pretrained(
        checkpoint, config=config, use_safetensors=True, output_loading_info=True, **options
    )
    if loading["missing_keys"]:
        missing = ", ".join(sorted(loading["missing_keys"]))
        raise ValueError(f"judge {str(checkpoint)!r} must be a trained classifier, but its checkpoint lacks {missing}")
    if device is None:
        device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    return Judge(model.to(device), AutoTokenizer.from_pretrained(checkpoint, **options))
