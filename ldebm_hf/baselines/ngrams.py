"""An n-gram language model of token ids: the baseline that has no latent and no network."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from ..model.constrained_search import read_templates, search_templates

NO_WORD = -1
"""Stands before the beginning of a text."""


class NgramModel:
    r"""
    Interpolated n-grams with one absolute discount D (Kneser and Ney, 1995, in Chen and Goodman's interpolated form):

        p(w|h) = max(c(hw) - D, 0) / c(h) + D · N₁₊(h·) / c(h) · p(w|h'),

    h' being h without its first word. Below the highest order, c counts in how many different contexts an n-gram
    stands; below the unigrams all words are equally likely. Contexts never seen leave it to the shorter ones.

    Args:
        texts (`Iterable[Sequence[int]]`): Training texts as token ids, with begin and end marks.
        vocab_size (`int`): Number of tokens.
        order (`int`, *optional*, defaults to 3): n.
        discount (`float`, *optional*, defaults to 0.75): D, between 0 and 1.

    Raises:
        ValueError: Without a text of two tokens, for an order below 1, and for a discount outside 0 to 1.
    """

    def __init__(self, texts: Iterable[Sequence[int]], vocab_size: int, order: int = 3, discount: float = 0.75):
        if order < 1:
            raise ValueError(f"order must be at least 1, got {order}")
        if not 0 < discount < 1:
            raise ValueError(f"discount must be between 0 and 1 (both excluded), got {discount}")
        self.vocab_size, self.order, self.discount = vocab_size, order, discount
        counts: dict[tuple[int, ...], dict[int, int]] = defaultdict(lambda: defaultdict(int))
        for text in texts:
            padded = [NO_WORD] * (order - 2) + list(text)  # the begin mark is the first context, never predicted
            for end in range(max(order - 1, 1), len(padded)):
                counts[tuple(padded[end - order + 1 : end])][padded[end]] += 1
        if not counts:
            raise ValueError("texts must have at least two tokens each, got none such")
        self._tables: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray, float]] = {}
        for _ in range(order):
            shorter: dict[tuple[int, ...], dict[int, int]] = defaultdict(lambda: defaultdict(int))
            for context, following in counts.items():
                words = np.fromiter(following, dtype=np.int64)
                numbers = np.fromiter(following.values(), dtype=np.float64)
                total = numbers.sum()
                self._tables[context] = words, (numbers - discount) / total, discount * len(words) / total
                for word in following if context else ():
                    shorter[context[1:]][word] += 1
            counts = shorter

    def probabilities(self, context: Sequence[int]) -> np.ndarray:
        """
        p(·|context), `(vocab_size,)`.

        Args:
            context (`Sequence[int]`): The words before, the begin mark among them; the last `order - 1` are read.
        """
        context = ((NO_WORD,) * self.order + tuple(context))[len(context) + 1 :]
        result = np.full(self.vocab_size, 1 / self.vocab_size)
        for start in reversed(range(self.order)):
            table = self._tables.get(context[start:])
            if table is not None:
                words, shares, rest = table
                result *= rest
                result[words] += shares
        return result

    def infill(
        self,
        token_ids: Sequence[Sequence[int]],
        mask_token_id: int,
        *,
        may_fill: torch.Tensor,
        begin_token_id: int,
        end_token_id: int,
        num_beams: int = 10,
    ) -> list[list[int]]:
        """
        The likeliest texts that keep every observed word, by the search that completes with a model.

        Args:
            token_ids (`Sequence[Sequence[int]]`): Texts with masks, with or without begin and end marks.
            mask_token_id (`int`): Stands for one missing word; may lie beyond the vocabulary.
            may_fill (`torch.BoolTensor` of shape `(vocab_size,)`): Words that may stand in its place.
            begin_token_id (`int`), end_token_id (`int`): The marks.
            num_beams (`int`, *optional*, defaults to 10): Texts that the search keeps.

        Returns:
            `list[list[int]]`: The words of each, without marks.

        Raises:
            ValueError: For a text without a mask.
        """
        longest = max(map(len, token_ids))
        padded = torch.tensor([[*ids, *[begin_token_id] * (longest - len(ids))] for ids in token_ids])
        templates = read_templates(
            padded, list(map(len, token_ids)), mask_token_id, None, 1, begin_token_id, end_token_id, self.vocab_size
        )

        def step(words, rows, contexts):
            earlier = words.new_full((len(words), self.order), NO_WORD) if contexts is None else contexts
            contexts = torch.cat([earlier[:, 1:], words[:, None]], 1)
            log_probs = np.log([self.probabilities(context) for context in contexts.tolist()])
            return torch.from_numpy(log_probs), contexts

        found = search_templates(templates, step, begin_token_id, may_fill=may_fill, num_beams=num_beams).best(1)
        rows = zip(found.words.tolist(), found.lengths.tolist(), strict=True)
        return [words[: length - 1] for words, length in rows]
