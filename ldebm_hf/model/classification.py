"""From raw texts to the names of their symbols, in the form of transformers' text-classification pipeline."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging

from .text_reading import TextReader


class LDEBMClassificationMixin:
    """`classify` for a model with `infer_symbols` and a configuration that names symbols."""

    def classify(
        self,
        texts: str | Sequence[str],
        tokenizer: PreTrainedTokenizerBase | None = None,
        *,
        top_k: int | None = 1,
        batch_size: int = 256,
        show_progress: bool = False,
    ) -> list[Any]:
        """
        The likeliest symbols of raw texts, by p(y|x).

        ```python
        >>> model = LDEBMModel.from_pretrained("outputs/agnews")
        >>> model.classify(["Oil prices rise again"])
        [{"label": "Business", "score": 0.97}]
        ```

        Args:
            texts (`str` or `Sequence[str]`): One text or several.
            tokenizer (`PreTrainedTokenizerBase`, *optional*): The model's; defaults to the one beside the weights that
                the model was loaded from. Texts are cut to its length; a warning counts those, and words that are
                unknown to it.
            top_k (`int`, *optional*, defaults to 1): Symbols per text, the likeliest first; `None` for all.
            batch_size (`int`, *optional*, defaults to 256): Texts to read at a time.
            show_progress (`bool`, *optional*, defaults to `False`): Show a progress bar.

        Returns:
            `list[dict]`, one `{"label", "score"}` for each text; with another `top_k` than 1 a list of them for each.

        Raises:
            ValueError: If the prior has no symbols, for a model in training mode or one of points, for `texts`,
                `top_k` or `batch_size` that are not allowed, and without a tokenizer for a model that was not loaded.
        """
        self.require_symbols()
        texts = [texts] if isinstance(texts, str) else list(texts)
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("texts must be strings")
        if self.config.modality == "point":
            raise ValueError("classify reads texts and cannot be asked of a model of points: use infer_symbols")
        if self.training:
            raise ValueError("model must be in evaluation mode, without dropout: call model.eval()")
        number = self.config.num_labels if top_k is None else top_k
        if not 1 <= number <= self.config.num_labels:
            raise ValueError(f"top_k must be 1 to the number of symbols, {self.config.num_labels}, got {top_k}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if tokenizer is None:
            if not self.name_or_path:
                raise ValueError("tokenizer must be given for a model that was not loaded with from_pretrained")
            tokenizer = AutoTokenizer.from_pretrained(self.name_or_path)
        reader = TextReader(tokenizer, self.config)
        found = []
        with logging.tqdm(total=len(texts), desc="classifying", unit="text", disable=not show_progress) as bar:
            for start in range(0, len(texts), batch_size):
                part = texts[start : start + batch_size]
                batch = reader(part).to(self.device)
                probabilities = self.infer_symbols(batch["input_ids"], batch["attention_mask"])
                found += self._named(*probabilities.topk(number))
                bar.update(len(part))
        reader.warn()
        return [symbols[0] for symbols in found] if top_k == 1 else found

    def _named(self, scores: torch.Tensor, symbols: torch.Tensor) -> list[list[dict[str, Any]]]:
        return [
            [{"label": self.config.id2label[s], "score": p} for s, p in zip(of_text, scores_of_text, strict=True)]
            for of_text, scores_of_text in zip(symbols.tolist(), scores.tolist(), strict=True)
        ]
