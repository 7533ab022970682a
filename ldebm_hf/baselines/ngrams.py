"""An n-gram language model of token ids, a baseline without latent variable and neural network.

NLTK's `KneserNeyInterpolated` differs only in the unigrams, which it does not interpolate with a uniform distribution,
so that a word can have probability 0. It computes one probability at a time, in milliseconds; infilling needs the
whole distribution after each of thousands of contexts.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from ..model.constrained_search import read_templates, search_templates

NO_WORD = -1
"""Pads the context of a text's first words."""


class NgramModel:
    r"""
    Interpolated Kneser-Ney n-grams with one discount D (Kneser and Ney, 1995; interpolated by Chen and Goodman, 1999):

        p(w|h) = max(c(hw) - D, 0) / c(h) + D · N₁₊(h·) / c(h) · p(w|h'),

    where h' is h without its first word. Below the highest order, c is the number of different words that precede an
    n-gram. The unigrams are interpolated with a uniform distribution, and for a context that never occurs
    p(w|h) = p(w|h').

    Args:
        texts (`Iterable[Sequence[int]]`): Training texts as token ids, with begin and end tokens.
        vocab_size (`int`): Number of tokens in the vocabulary.
        order (`int`, *optional*, defaults to 3): n.
        discount (`float`, *optional*, defaults to 0.75): D, between 0 and 1.

    Raises:
        ValueError: No text has two tokens, the order is below 1, or the discount is not between 0 and 1.
    """

    def __init__(self, texts: Iterable[Sequence[int]], vocab_size: int, order: int = 3, discount: float = 0.75):
        if order < 1:
            raise ValueError(f"order must be at least 1, got {order}")
        if not 0 < discount < 1:
            raise ValueError(f"discount must be between 0 and 1 (both excluded), got {discount}")
        self.vocab_size, self.order, self.discount = vocab_size, order, discount
        counts: dict[tuple[int, ...], dict[int, int]] = defaultdict(lambda: defaultdict(int))
        for text in texts:
            padded = [NO_WORD] * (order - 2) + list(text)  # the begin token is a context and is never predicted
            for end in range(max(order - 1, 1), len(padded)):
                counts[tuple(padded[end - order + 1 : end])][padded[end]] += 1
        if not counts:
            raise ValueError("texts must contain a text of at least two tokens, got none")
        self._tables: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray, float]] = {}
        for _ in range(order):
            shorter: dict[tuple[int, ...], dict[int, int]] = defaultdict(lambda: defaultdict(int))
            for context, following in counts.items():
                words = np.fromiter(following, dtype=np.int64)
                numbers = np.fromiter(following.values(), dtype=np.float64)
                total = numbers.sum()
                self._tables[context] = words, (numbers - discount) / total, discount * len(words) / total
                if context:
                    for word in following:
                        shorter[context[1:]][word] += 1
            counts = shorter

    def probabilities(self, context: Sequence[int]) -> np.ndarray:
        """
        p(·|context), `(vocab_size,)`.

        Args:
            context (`Sequence[int]`): The preceding tokens, including the begin token; the last `order - 1` are used.
        """
        context = ((NO_WORD,) * self.order + tuple(context))[len(context) + 1 :]
        result = np.full(self.vocab_size, 1 / self.vocab_size)
        for start in reversed(range(self.order)):
            table = self._tables.get(context[start:])
            if table is not None:
                words, discounted, backoff = table
                result *= backoff
                result[words] += discounted
        return result

    def draw_word(self, context: Sequence[int], rng: np.random.Generator) -> int:
        """
        Draw a token from p(·|context), without computing the whole distribution.

        Args:
            context (`Sequence[int]`): As in [`probabilities`]. If it begins within a text, only its own tokens are
                used: one token gives the words that follow that token.
            rng (`np.random.Generator`): Makes the draws.
        """
        context = ((NO_WORD,) * self.order + tuple(context))[len(context) + 1 :]
        for start in range(self.order):
            table = self._tables.get(context[start:])
            if table is not None:
                words, discounted, backoff = table
                point = rng.random()
                if point >= backoff:  # otherwise the shorter context decides
                    index = np.searchsorted(discounted.cumsum(), point - backoff, side="right")
                    return int(words[min(index, len(words) - 1)])
        return int(rng.integers(self.vocab_size))

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
        Fill in masked tokens with the most probable ones, by the same beam search as completion with a model.

        Args:
            token_ids (`Sequence[Sequence[int]]`): Texts with masks, with or without begin and end tokens.
            mask_token_id (`int`): The token that stands for one missing token; it need not be in the vocabulary.
            may_fill (`torch.BoolTensor` of shape `(vocab_size,)`): The tokens that may be filled in.
            begin_token_id (`int`): The begin token.
            end_token_id (`int`): The end token.
            num_beams (`int`, *optional*, defaults to 10): Number of beams.

        Returns:
            `list[list[int]]`: The completed texts, without begin and end tokens.

        Raises:
            ValueError: A text has no mask.
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
