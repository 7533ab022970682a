"""Symbols of raw texts by name, in the format of transformers' text-classification pipeline."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging

from .arguments import MOST_SAMPLES, Texts, Tokenizer, checked
from .checkpoint_tokenizer import load_tokenizer
from .text_reading import TextReader
from .validation import Count, Flag, NoneOr


@checked(
    texts=Texts(),
    tokenizer=Tokenizer(),
    top_k=NoneOr(Count()),
    batch_size=Count(at_most=MOST_SAMPLES),
    show_progress=Flag(),
)
def classify(
    model,
    texts: str | Sequence[str],
    tokenizer: PreTrainedTokenizerBase | None = None,
    *,
    top_k: int | None = 1,
    batch_size: int = 256,
    show_progress: bool = False,
) -> list[Any]:
    """
    The likeliest symbols of raw texts by p(y|x).

    ```python
    >>> model = LDEBMModel.from_pretrained("outputs/agnews")
    >>> model.classify(["Oil prices rise again"])
    [{"label": "Business", "score": 0.97}]
    ```

    Args:
        texts (`str` or `Sequence[str]`): One text or several.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): The model's tokenizer; defaults to the one saved with the
            checkpoint that the model was loaded from. Texts are truncated to its maximum length. A warning counts
            truncated texts and words that the tokenizer does not know.
        top_k (`int`, *optional*, defaults to 1): Number of symbols per text, the likeliest first; `None` for all.
        batch_size (`int`, *optional*, defaults to 256): Number of texts encoded at a time.
        show_progress (`bool`, *optional*, defaults to `False`): Show a progress bar.

    Returns:
        `list[dict]` with `{"label", "score"}` for each text; for `top_k` other than 1 a list of such dictionaries for
        each text.

    Raises:
        ValueError: If the prior has no symbols, for a model of points or in training mode, for `texts`, `top_k` or
            `batch_size` that are not allowed, and without a tokenizer if the model was not loaded from a checkpoint.
    """
    model.require_symbols()
    texts = [texts] if isinstance(texts, str) else texts
    if not model.modality.reads_texts:
        raise ValueError("classify reads texts and cannot be used with a model of points: use infer_symbols")
    if model.training:
        raise ValueError("model must be in evaluation mode, without dropout: call model.eval()")
    num_symbols = model.config.num_labels
    num_best = num_symbols if top_k is None else top_k
    if not 1 <= num_best <= num_symbols:
        raise ValueError(f"top_k must be from 1 to the number of symbols, {num_symbols}, got {top_k}")
    if tokenizer is None:
        if not model.name_or_path:
            raise ValueError("tokenizer must be given for a model that was not loaded with from_pretrained")
        tokenizer = load_tokenizer(model.name_or_path, model.config, **model.checkpoint_place)
    reader = TextReader(tokenizer, model.config, encoder=model.encoder)
    found = []
    with logging.tqdm(total=len(texts), desc="classifying", unit="text", disable=not show_progress) as bar:
        for start in range(0, len(texts), batch_size):
            part = texts[start : start + batch_size]
            batch = reader(part).to(model.device)
            probabilities = model.infer_symbols(batch["input_ids"], batch["attention_mask"])
            scores, symbols = probabilities.topk(num_best)
            found += _labels_and_scores(scores, symbols, model.config.id2label)
            bar.update(len(part))
    reader.warn()
    return [best[0] for best in found] if top_k == 1 else found


def _labels_and_scores(
    scores: torch.Tensor, symbols: torch.Tensor, names: dict[int, str]
) -> list[list[dict[str, Any]]]:
    """The symbols of each text, `(num_texts, top_k)`, by name and with their probabilities."""
    return [
        [{"label": names[symbol], "score": score} for symbol, score in zip(text_symbols, text_scores, strict=True)]
        for text_symbols, text_scores in zip(symbols.tolist(), scores.tolist(), strict=True)
    ]
