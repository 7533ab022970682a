"""Batches of texts with their contexts: the turns of a dialogue before each."""

import hashlib
from dataclasses import dataclass

import numpy as np

from ..model.dialogue_turns import pad_turns
from .batches import Batch, TokenizedSplit


@dataclass
class DialogueExamples(TokenizedSplit):
    """A split whose texts have contexts.

    Args:
        turn_ids (`list[list[int]]`): token ids of every different turn, special tokens included.
        contexts (`list[list[int]]`): the turns before each text as places in `turn_ids`, the oldest first.
    """

    turn_ids: list[list[int]]
    contexts: list[list[int]]

    @classmethod
    def of(cls, split, tokenizer, max_length: int) -> "DialogueExamples":
        texts = TokenizedSplit.of(split, tokenizer, max_length)
        places: dict[str, int] = {}
        contexts = [[places.setdefault(turn, len(places)) for turn in turns] for turns in split.contexts]
        turn_ids = tokenizer(list(places), truncation=True, max_length=max_length)["input_ids"]
        return cls(texts.token_ids, texts.labels, texts.pad_token_id, turn_ids, contexts)

    @property
    def digest(self) -> str:
        content = hashlib.sha256(super().digest.encode())
        for rows in (self.turn_ids, self.contexts):
            for row in rows:
                content.update(np.asarray([len(row), *row], dtype=np.int32).tobytes())
        return content.hexdigest()[:16]

    def batch(self, indices: list[int], labels: np.ndarray) -> Batch:
        """As of texts, and `context_input_ids` and `context_attention_mask`, `(batch, most turns, longest turn)`, with
        `context_lengths`, numbers of tokens of each context's turns."""
        batch = super().batch(indices, labels)
        return batch | self.context_inputs(batch["indices"].tolist())

    def context_inputs(self, indices: list[int]) -> Batch:
        """The contexts of some examples as the model reads them."""
        contexts = [[self.turn_ids[place] for place in self.contexts[index]] for index in indices]
        lengths = [[len(turn) for turn in turns] for turns in contexts]
        return {**pad_turns(contexts, self.pad_token_id), "context_lengths": lengths}
