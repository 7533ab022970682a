"""Texts with words missing: which texts a template allows, read from token ids, as an automaton for a search.

A template is a row of slots, each for one word: an observed word, or a free one; a free slot may be optional. A span
of unknown length is a free slot and, behind it, optional ones. The last slot is the end mark.

A text may fit in several ways, as a word may belong to the span or be the observed one after it. So a text that is
being written is at a *set* of places; place `p` means that the slots before `p` are behind it. It fits if its end
brings it behind the last slot.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

FREE, NONE = -1, -2
"""In place of the word of a slot: any word may stand there; there is no slot."""


@dataclass
class Templates:
    """
    Args:
        words (`torch.LongTensor` of shape `(num_templates, num_slots)`): The word of each slot, `FREE` or `NONE`.
        optional (`torch.BoolTensor` of the same shape): Slots that a text may leave out.
        sources (`torch.LongTensor` of the same shape): From which column of the token ids a slot is; -1 of an end mark
            that was added, and where there is none.
        lengths (`torch.LongTensor` of shape `(num_templates,)`): Number of slots, the end mark's included.
    """

    words: torch.Tensor
    optional: torch.Tensor
    sources: torch.Tensor
    lengths: torch.Tensor

    def __len__(self) -> int:
        return len(self.words)

    @property
    def num_observed(self) -> torch.Tensor:
        """Observed words of each template, the end mark not counted, `(num_templates,)`."""
        return (self.words >= 0).sum(-1) - 1

    def repeat_interleave(self, repeats: int) -> "Templates":
        """Every template so many times, one after the other."""
        return Templates(*(part.repeat_interleave(repeats, 0) for part in vars(self).values()))

    def start(self) -> torch.Tensor:
        """The places of texts without a word yet, as a mask `(num_templates, num_slots + 1)`."""
        places = torch.zeros(len(self), self.words.shape[1] + 1, dtype=torch.bool, device=self.words.device)
        places[:, 0] = True
        return self._skip(places, torch.arange(len(self), device=self.words.device))

    def advance(
        self, places: torch.Tensor, rows: torch.Tensor, words: torch.Tensor, may_be_free: torch.Tensor
    ) -> torch.Tensor:
        """
        The places of texts after one more word.

        Args:
            places (`torch.BoolTensor` of shape `(num_texts, num_slots + 1)`): Before it.
            rows (`torch.LongTensor` of shape `(num_texts,)`): The template of each text.
            words (`torch.LongTensor` of shape `(num_texts,)`): The word.
            may_be_free (`torch.BoolTensor` of shape `(num_texts,)`): Whether it may fill a free slot.
        """
        slots = self.words[rows]
        taken = places[:, :-1] & ((slots == words[:, None]) | ((slots == FREE) & may_be_free[:, None]))
        after = torch.zeros_like(places)
        after[:, 1:] = taken
        return self._skip(after, rows)

    def _skip(self, places: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """With the places that optional slots lead to."""
        for slot in self.optional.any(0).nonzero()[:, 0].tolist():
            places[:, slot + 1] |= places[:, slot] & self.optional[rows, slot]
        return places

    def align(self, row: int, words: Sequence[int]) -> list[int]:
        """
        The slots that the words of a text that fits take; of several ways the one that leaves spans soonest.

        Args:
            row (`int`): The template.
            words (`Sequence[int]`): The text, its end mark included.
        """
        num_slots, num_words = int(self.lengths[row]), len(words)
        slots, optional = self.words[row].tolist(), self.optional[row].tolist()
        # fits[slot][at]: whether the words from `at` on fit the slots from `slot` on.
        fits = [[False] * (num_words + 1) for _ in range(num_slots + 1)]
        fits[num_slots][num_words] = True
        for slot in reversed(range(num_slots)):
            for at in reversed(range(num_words + 1)):
                takes = at < num_words and slots[slot] in (words[at], FREE) and fits[slot + 1][at + 1]
                fits[slot][at] = takes or (optional[slot] and fits[slot + 1][at])
        if not fits[0][0]:
            raise ValueError(f"words must fit the template {slots[:num_slots]}, got {list(words)}")
        slot, taken = 0, []
        for at in range(num_words):
            while optional[slot] and fits[slot + 1][at]:
                slot += 1
            taken.append(slot)
            slot += 1
        return taken


def read_templates(
    input_ids: torch.Tensor,
    lengths: Sequence[int],
    mask_token_id: int,
    span_token_id: int | None,
    max_span_length: int,
    begin_token_id: int | None,
    end_token_id: int,
    vocab_size: int,
) -> Templates:
    """
    Templates from token ids.

    Args:
        input_ids (`torch.LongTensor` of shape `(batch_size, sequence_length)`): Texts, padded on the right, with or
            without begin and end marks.
        lengths (`Sequence[int]`): Number of tokens of each.
        mask_token_id (`int`): Token that stands for one missing word.
        span_token_id (`int`, *optional*): Token that stands for one to `max_span_length` missing words.
        max_span_length (`int`): That number.
        begin_token_id (`int`, *optional*), end_token_id (`int`): The marks.
        vocab_size (`int`): Words are of 0 to less than this.

    Raises:
        ValueError: For a text without a missing word, marks inside a text, and tokens that are no words nor masks.
    """
    rows = []
    for row, (tokens, length) in enumerate(zip(input_ids.tolist(), lengths, strict=True)):
        columns = [(token, column) for column, token in enumerate(tokens[:length])]
        if columns and columns[0][0] == begin_token_id:
            columns = columns[1:]
        end = (end_token_id, False, columns.pop()[1] if columns and columns[-1][0] == end_token_id else -1)
        slots = []
        for token, column in columns:
            if token in (begin_token_id, end_token_id):
                shown = tokens[:length]
                raise ValueError(f"input_ids must have begin and end marks at the ends only, got {shown} in row {row}")
            if token == span_token_id:
                slots += [(FREE, position > 0, column) for position in range(max_span_length)]
            else:
                slots.append((FREE if token == mask_token_id else token, False, column))
        if any(word >= vocab_size for word, _, _ in slots):
            largest = max(word for word, _, _ in slots)
            raise ValueError(f"input_ids must be masks or words below {vocab_size}, got {largest} in row {row}")
        if not any(word == FREE for word, _, _ in slots):
            raise ValueError(f"input_ids must have a masked word in every text, got {tokens[:length]} in row {row}")
        rows.append([*slots, end])
    num_slots = max(map(len, rows))
    padded = [slots + [(NONE, False, -1)] * (num_slots - len(slots)) for slots in rows]
    words, optional, sources = (torch.tensor([[slot[part] for slot in row] for row in padded]) for part in range(3))
    parts = [words, optional, sources, torch.tensor([len(slots) for slots in rows])]
    return Templates(*(part.to(input_ids.device) for part in parts))
