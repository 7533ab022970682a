"""Batches of texts with their contexts, the turns of the dialogue before them."""

import hashlib
from dataclasses import dataclass

import numpy as np

from ..model.dialogue_turns import pad_turns
from ..model.text_reading import TextReader
from .batches import Batch, TokenizedSplit


@dataclass
class DialogueExamples(TokenizedSplit):
    """A split whose texts have contexts.

    Args:
        turn_ids (`list[list[int]]`): token ids of every distinct turn, with special tokens.
        contexts (`list[list[int]]`): for each text the turns before it, oldest first, as positions in `turn_ids`.
    """

    turn_ids: list[list[int]]
    contexts: list[list[int]]

    @classmethod
    def from_split(cls, split, tokenizer, max_length: int, reader: TextReader | None = None) -> "DialogueExamples":
        """Tokenize the texts and contexts of a [`~data.Split`], each text and turn cut to `max_length` tokens."""
        texts = TokenizedSplit.from_split(split, tokenizer, max_length, reader)
        positions: dict[str, int] = {}
        contexts = [[positions.setdefault(turn, len(positions)) for turn in turns] for turns in split.contexts]
        turns = tokenizer(list(positions), truncation=True, max_length=max_length)
        examples = cls(texts.token_ids, texts.labels, texts.pad_token_id, turns["input_ids"], contexts)
        if reader is not None:
            reader.count_turns(list(positions), turns)
            examples.unread = reader.message
        return examples

    @property
    def digest(self) -> str:
        content = hashlib.sha256(super().digest.encode())
        for rows in (self.turn_ids, self.contexts):
            for row in rows:
                content.update(np.asarray([len(row), *row], dtype=np.int32).tobytes())
        return content.hexdigest()[:16]

    def batch(self, indices: list[int], labels: np.ndarray) -> Batch:
        """One batch of texts and, in addition, their contexts as in [`context_inputs`]."""
        batch = super().batch(indices, labels)
        return batch | self.context_inputs(batch["indices"].tolist())

    def context_inputs(self, indices: list[int]) -> Batch:
        """The contexts of some examples as the model reads them.

        Returns:
            `dict` of `context_input_ids` and `context_attention_mask`, int64 `(batch, most turns, longest turn)`, and
            `context_lengths`, for each context the list of its turns' numbers of tokens.
        """
        contexts = [[self.turn_ids[position] for position in self.contexts[index]] for index in indices]
        lengths = [[len(turn) for turn in turns] for turns in contexts]
        return {**pad_turns(contexts, self.pad_token_id), "context_lengths": lengths}
