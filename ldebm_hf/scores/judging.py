"""What class a text has, as a trained classifier judges it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)


class Judge:
    """A classifier of texts with its tokenizer; [`load_judge`] makes one from a checkpoint.

    Args:
        model (`PreTrainedModel`): any sequence classifier, in evaluation mode, of at least two classes.
        tokenizer (`PreTrainedTokenizerBase`): its tokenizer. Texts longer than its `model_max_length` are cut.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase):
        if model.training:
            raise ValueError("model must be in evaluation mode, without dropout: call model.eval()")
        if model.config.num_labels < 2:
            raise ValueError(f"model must be a classifier of at least two classes, got {model.config.num_labels}")
        self.model, self.tokenizer = model, tokenizer

    @property
    def label_names(self) -> list[str]:
        """Name of each of the judge's classes, by id."""
        return [self.model.config.id2label[label] for label in range(self.model.config.num_labels)]

    @torch.no_grad()
    def probabilities(self, texts: Sequence[str], batch_size: int = 256) -> np.ndarray:
        """p(class | text), float32 of shape `(len(texts), num_labels)`.

        Args:
            texts (`Sequence[str]`): an empty text is judged like any other.
            batch_size (`int`, *optional*, defaults to 256): texts at a time; decides speed and memory only.
        """
        if isinstance(texts, str):
            raise ValueError("texts must be a list of strings, got one string")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        probabilities = np.empty((len(texts), len(self.label_names)), dtype=np.float32)
        by_length = sorted(range(len(texts)), key=lambda index: -len(texts[index]))  # for the least padding
        for start in range(0, len(texts), batch_size):
            rows = by_length[start : start + batch_size]
            batch = self.tokenizer([texts[row] for row in rows], return_tensors="pt", padding=True, truncation=True)
            logits = self.model(**batch.to(self.model.device)).logits
            probabilities[rows] = logits.float().softmax(-1).cpu().numpy()
        return probabilities

    def predict(self, texts: Sequence[str], batch_size: int = 256) -> np.ndarray:
        """The likeliest class of each text, int64 of shape `(len(texts),)`; arguments as in [`probabilities`]."""
        return self.probabilities(texts, batch_size).argmax(-1)

    def label_ids(self, names: Sequence[str]) -> np.ndarray:
        """The judge's class of each name, int64 of shape `(len(names),)`: what was asked for by a model's symbol names
        can then be compared with [`predict`]. Upper and lower case are the same.

        Raises:
            ValueError: a name that none of the judge's classes has.
        """
        known = {name.casefold(): label for label, name in enumerate(self.label_names)}
        missing = sorted({name for name in names if name.casefold() not in known})
        if missing:
            raise ValueError(
                f"the judge has no class {', '.join(map(repr, missing))}: its classes are {self.label_names}, and it "
                f"is asked for {sorted(set(names))}. Symbols are matched with classes by name"
            )
        return np.array([known[name.casefold()] for name in names], dtype=np.int64)


def load_judge(checkpoint: str | Path, device: str | torch.device | None = None) -> Judge:
    """A judge from any checkpoint of a sequence classifier, ours (`examples/train_judge.py`) or another.

    Args:
        checkpoint (`str` or `Path`): folder or Hub id, with safetensors and a tokenizer. No code of its own is run.
        device (`str` or `torch.device`, *optional*): where it works; default the accelerator if there is one.

    Raises:
        OSError: nothing there that can be loaded.
        ValueError: a model of another kind, or a classifier whose weights are not all in the checkpoint.
    """
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
