"""Constrained decoding: templates of texts with missing words, and a beam search for the likeliest texts that fit.

A template is a row of slots for one word each: an observed word, or a free slot, which may be optional. A span of
unknown length is a free slot followed by optional free ones. The last slot is the end mark.

A text may fit a template in several ways: a word may belong to a span or be the observed word after it. A text that is
being written is therefore at a *set* of positions, where position `p` means that the slots before `p` are used up. It
fits if its end mark brings it to the position after the last slot.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from .noise import gumbel_like

FREE, NONE = -1, -2
"""Entries of `Templates.words` that are not words: a slot for any word, and padding without a slot."""

Step = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], tuple[torch.Tensor, torch.Tensor]]


@dataclass
class Templates:
    """
    Args:
        words (`torch.LongTensor` of shape `(num_templates, num_slots)`): The word of each slot, `FREE` or `NONE`.
        optional (`torch.BoolTensor` of the same shape): Slots that a text may leave out.
        lengths (`torch.LongTensor` of shape `(num_templates,)`): Number of slots, including the end mark's.
    """

    words: torch.Tensor
    optional: torch.Tensor
    lengths: torch.Tensor

    def __len__(self) -> int:
        return len(self.words)

    @property
    def num_observed(self) -> torch.Tensor:
        """Number of observed words of each template without the end mark, `(num_templates,)`."""
        return (self.words >= 0).sum(-1) - 1

    def repeat_interleave(self, repeats: int) -> "Templates":
        """Every template `repeats` times in a row."""
        return Templates(*(part.repeat_interleave(repeats, 0) for part in vars(self).values()))

    def start(self) -> torch.Tensor:
        """The positions of texts without a word, as a mask `(num_templates, num_slots + 1)`."""
        positions = torch.zeros(len(self), self.words.shape[1] + 1, dtype=torch.bool, device=self.words.device)
        positions[:, 0] = True
        return self._skip(positions, torch.arange(len(self), device=self.words.device))

    def advance(
        self, positions: torch.Tensor, rows: torch.Tensor, words: torch.Tensor, may_be_free: torch.Tensor
    ) -> torch.Tensor:
        """
        The positions of texts after one more word, `(num_texts, num_slots + 1)`.

        Args:
            positions (`torch.BoolTensor` of shape `(num_texts, num_slots + 1)`): The positions before the word.
            rows (`torch.LongTensor` of shape `(num_texts,)`): The template of each text.
            words (`torch.LongTensor` of shape `(num_texts,)`): The next word of each text.
            may_be_free (`torch.BoolTensor` of shape `(num_texts,)`): Whether that word may fill a free slot.
        """
        slots = self.words[rows]
        taken = positions[:, :-1] & ((slots == words[:, None]) | ((slots == FREE) & may_be_free[:, None]))
        after = torch.zeros_like(positions)
        after[:, 1:] = taken
        return self._skip(after, rows)

    def _skip(self, positions: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Add the positions that are reached by leaving out optional slots."""
        for slot in self.optional.any(0).nonzero()[:, 0].tolist():
            positions[:, slot + 1] |= positions[:, slot] & self.optional[rows, slot]
        return positions

    def align(self, row: int, words: Sequence[int]) -> list[int]:
        """
        The slot that each word of a text takes; of several ways to fit, the one that leaves spans earliest.

        Args:
            row (`int`): The template.
            words (`Sequence[int]`): The text, including its end mark.

        Raises:
            ValueError: If the text does not fit the template.
        """
        num_slots, num_words = int(self.lengths[row]), len(words)
        slots, optional = self.words[row].tolist(), self.optional[row].tolist()
        # fits[slot][at]: whether the words from `at` on fit the slots from `slot` on.
        fits = [[False] * (num_words + 1) for _ in range(num_slots + 1)]
        fits[num_slots][num_words] = True
        for slot in reversed(range(num_slots)):
            for at in reversed(range(num_words + 1)):
                takes_word = at < num_words and slots[slot] in (words[at], FREE) and fits[slot + 1][at + 1]
                fits[slot][at] = takes_word or (optional[slot] and fits[slot + 1][at])
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
        lengths (`Sequence[int]`): Number of tokens of each text.
        mask_token_id (`int`): Token that stands for one missing word.
        span_token_id (`int`, *optional*): Token that stands for one to `max_span_length` missing words.
        max_span_length (`int`): The most words that a span may stand for.
        begin_token_id (`int`, *optional*), end_token_id (`int`): The begin and end marks.
        vocab_size (`int`): Words are the token ids from 0 to `vocab_size - 1`.

    Raises:
        ValueError: For a text without a missing word, for begin or end marks inside a text, and for tokens that are
            neither words nor masks.
    """
    rows = []
    for row, (tokens, length) in enumerate(zip(input_ids.tolist(), lengths, strict=True)):
        tokens = tokens[:length]
        inner = tokens
        if inner and inner[0] == begin_token_id:
            inner = inner[1:]
        if inner and inner[-1] == end_token_id:
            inner = inner[:-1]
        slots = []  # of each the word and whether it is optional
        for token in inner:
            if token in (begin_token_id, end_token_id):
                raise ValueError(
                    f"input_ids must have begin and end marks at the ends only, got {tokens} in row {row}"
                )
            if token == span_token_id:
                slots += [(FREE, number > 0) for number in range(max_span_length)]
            elif token == mask_token_id:
                slots.append((FREE, False))
            elif token < vocab_size:
                slots.append((token, False))
            else:
                raise ValueError(f"input_ids must be masks or words below {vocab_size}, got {token} in row {row}")
        if not any(word == FREE for word, _ in slots):
            raise ValueError(f"input_ids must have a masked word in every text, got {tokens} in row {row}")
        rows.append([*slots, (end_token_id, False)])
    num_slots = max(map(len, rows))
    padded = [slots + [(NONE, False)] * (num_slots - len(slots)) for slots in rows]
    words = torch.tensor([[word for word, _ in slots] for slots in padded])
    optional = torch.tensor([[is_optional for _, is_optional in slots] for slots in padded])
    parts = [words, optional, torch.tensor([len(slots) for slots in rows])]
    return Templates(*(part.to(input_ids.device) for part in parts))


@dataclass
class FittingTexts:
    """
    Texts that fit templates, ordered by template and, within a template, by falling score.

    Args:
        rows (`torch.LongTensor` of shape `(num_texts,)`): The template of each text.
        words (`torch.LongTensor` of shape `(num_texts, length)`): Its words and end mark, then padding.
        lengths (`torch.LongTensor` of shape `(num_texts,)`): Number of words, including the end mark.
        scores (`torch.FloatTensor` of shape `(num_texts,)`): Log-likelihoods in nats.
    """

    rows: torch.Tensor
    words: torch.Tensor
    lengths: torch.Tensor
    scores: torch.Tensor

    def select(self, indices: torch.Tensor) -> "FittingTexts":
        """The texts with these indices."""
        return FittingTexts(*(part[indices] for part in vars(self).values()))

    def order(self, number: int) -> torch.Tensor:
        """Indices of the best `number` texts of each template, in the order of the class."""
        return _best_of_each(self.rows, self.scores, number)

    def best(self, number: int) -> "FittingTexts":
        """The best `number` texts of each template."""
        return self.select(self.order(number))

    def draw(self, generator: torch.Generator | None = None) -> "FittingTexts":
        """One text of each template, drawn with probabilities proportional to the likelihoods."""
        return self.select(_best_of_each(self.rows, self.scores + gumbel_like(self.scores, generator), 1))

    def merged(self, num_chains: int) -> "FittingTexts":
        """
        Merge the results of searches for the same template under `num_chains` different models: the distinct texts of
        every `num_chains` consecutive templates. The score of a text is now log Σ_c p_c(x)/Σ_x' p_c(x'), where p_c is
        its likelihood under model c and x' runs over the texts that were found under that model.
        """
        totals = self.scores.new_zeros(int(self.rows.max()) + 1)
        highest = torch.full_like(totals, -torch.inf).scatter_reduce(0, self.rows, self.scores, "amax")
        likelihoods = (self.scores - highest[self.rows]).exp()
        totals = totals.index_add(0, self.rows, likelihoods)
        keys = torch.cat([self.rows[:, None] // num_chains, self.lengths[:, None], self.words], 1)
        distinct, number = keys.unique(dim=0, return_inverse=True)
        shares = self.scores.new_zeros(len(distinct)).index_add(0, number, likelihoods / totals[self.rows])
        merged = FittingTexts(distinct[:, 0], distinct[:, 2:], distinct[:, 1], shares.log())
        return merged.best(len(distinct))


@torch.no_grad()
def search_templates(
    templates: Templates,
    step: Step,
    start_token_id: int,
    *,
    may_fill: torch.Tensor,
    num_beams: int,
    pad_token_id: int = 0,
) -> FittingTexts:
    """
    The likeliest texts that fit each template, at most `num_beams` per template, under an autoregressive model.

    After every word, the hypotheses of a template that have got equally far in it compete for `num_beams` places (grid
    beam search; Hokamp and Liu, ACL 2017), so that inside a span the hypotheses that extend it and those that have
    left it do not displace each other. Each fitting text is found by one hypothesis only, in however many ways it
    fits. With at least as many beams as there are fitting texts, the search is exhaustive.

    Args:
        templates ([`Templates`]): What the texts must fit.
        step (`Callable`): The model: from the last words `(n,)`, the template of each hypothesis `(n,)` and the
            model's states `(n, ...)` (`None` at first) to log-probabilities of the next word `(n, vocab_size)` and the
            next states.
        start_token_id (`int`): Token before the first word.
        may_fill (`torch.BoolTensor` of shape `(vocab_size,)`): Words that may fill free slots.
        num_beams (`int`): Number of hypotheses kept, as above.
        pad_token_id (`int`, *optional*, defaults to 0): Padding of `words` in the result.
    """
    device = templates.words.device
    rows = torch.arange(len(templates), device=device)
    positions, scores, state = templates.start(), torch.zeros(len(templates), device=device), None
    history = torch.full((len(templates), 1), start_token_id, device=device)
    worst_kept = torch.full((len(templates),), -torch.inf, device=device)
    finished: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    while len(rows):
        log_probs, state = step(history[:, -1], rows, state)
        hypotheses, words = _next_words(templates, positions, rows, log_probs, may_fill, num_beams)
        totals = scores[hypotheses] + log_probs[hypotheses, words].to(scores.dtype)
        next_rows = rows[hypotheses]
        promising = totals > worst_kept[next_rows]  # a score can only fall as the text grows
        hypotheses, words, totals, next_rows = (part[promising] for part in (hypotheses, words, totals, next_rows))
        after = templates.advance(positions[hypotheses], next_rows, words, may_fill[words])
        furthest = after.shape[1] - 1 - after.flip(1).int().argmax(1)
        kept = _best_of_each(next_rows * after.shape[1] + furthest, totals, num_beams)
        hypotheses, words, totals, next_rows = (part[kept] for part in (hypotheses, words, totals, next_rows))
        is_done = furthest[kept] == templates.lengths[next_rows]
        rows, scores, positions, state = next_rows, totals, after[kept], state[hypotheses]
        history = torch.cat([history[hypotheses], words[:, None]], 1)
        if is_done.any():
            finished.append((rows[is_done], history[is_done, 1:], scores[is_done]))
            unfinished = ~is_done
            rows, scores, positions, state, history = (
                part[unfinished] for part in (rows, scores, positions, state, history)
            )
            worst_kept = _worst_kept(finished, len(templates), num_beams)
    return _collect(finished, num_beams, pad_token_id)


def _next_words(
    templates: Templates,
    positions: torch.Tensor,
    rows: torch.Tensor,
    log_probs: torch.Tensor,
    may_fill: torch.Tensor,
    num_beams: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    The continuations to consider, as indices of hypotheses and words: every observed word that fits, and the likeliest
    words for free slots.
    """
    slots, is_open = templates.words[rows], positions[:, :-1]
    is_due = is_open & (slots >= 0)
    hypotheses, at = is_due.nonzero(as_tuple=True)
    observed = torch.stack([hypotheses, slots[hypotheses, at]])
    if int(is_due.sum(-1).max()) > 1:  # the same word at two positions is one continuation
        observed = observed.unique(dim=1)
    filling = (is_open & (slots == FREE)).any(-1).nonzero()[:, 0]
    if not len(filling):
        return observed[0], observed[1]
    allowed = may_fill.expand(len(rows), -1).index_put((observed[0], observed[1]), observed.new_zeros(()).bool())
    candidates = log_probs[filling].masked_fill(~allowed[filling], -torch.inf)
    values, words = candidates.topk(min(num_beams, candidates.shape[1]), -1)
    is_word = values > -torch.inf
    free = torch.stack([filling[:, None].expand_as(words)[is_word], words[is_word]])
    return tuple(torch.cat([observed, free], 1))


def _best_of_each(groups: torch.Tensor, scores: torch.Tensor, number: int) -> torch.Tensor:
    """Indices of the `number` best entries of each group, ordered by group and then by falling score."""
    order = scores.argsort(descending=True, stable=True)
    order = order[groups[order].argsort(stable=True)]
    ordered = groups[order]
    _, counts = ordered.unique_consecutive(return_counts=True)
    first = (counts.cumsum(0) - counts).repeat_interleave(counts)
    return order[torch.arange(len(order), device=order.device) - first < number]


def _worst_kept(finished: list, num_templates: int, num_beams: int) -> torch.Tensor:
    """The score that a text must exceed to be among the `num_beams` best of its template, `(num_templates,)`."""
    rows, scores = torch.cat([part[0] for part in finished]), torch.cat([part[2] for part in finished])
    best = _best_of_each(rows, scores, num_beams)
    counts = rows[best].bincount(minlength=num_templates)
    worst = torch.full((num_templates,), torch.inf, device=scores.device)
    worst = worst.scatter_reduce(0, rows[best], scores[best], "amin")
    return worst.masked_fill(counts < num_beams, -torch.inf)


def _collect(finished: list, num_beams: int, pad_token_id: int) -> FittingTexts:
    """The best finished texts of every template, padded to one length."""
    longest = max(words.shape[1] for _, words, _ in finished)
    padded = [
        torch.nn.functional.pad(words, (0, longest - words.shape[1]), value=pad_token_id) for _, words, _ in finished
    ]
    rows, words = torch.cat([part[0] for part in finished]), torch.cat(padded)
    scores = torch.cat([part[2] for part in finished])
    lengths = torch.cat([torch.full_like(part_rows, part_words.shape[1]) for part_rows, part_words, _ in finished])
    return FittingTexts(rows, words, lengths, scores).best(num_beams)
