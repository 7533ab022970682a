"""Constrained decoding: the likeliest texts that fit a template, by beam search."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .noise import gumbel_like
from .templates import FREE, Templates

Step = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], tuple[torch.Tensor, torch.Tensor]]


@dataclass
class FittingTexts:
    """
    Texts that fit templates, ordered by template, the likeliest first.

    Args:
        rows (`torch.LongTensor` of shape `(num_texts,)`): The template of each.
        words (`torch.LongTensor` of shape `(num_texts, length)`): Its words and end mark, then padding.
        lengths (`torch.LongTensor` of shape `(num_texts,)`): Number of them.
        scores (`torch.FloatTensor` of shape `(num_texts,)`): Log-likelihoods in nats.
    """

    rows: torch.Tensor
    words: torch.Tensor
    lengths: torch.Tensor
    scores: torch.Tensor

    def select(self, indices: torch.Tensor) -> "FittingTexts":
        """Some of them."""
        return FittingTexts(*(part[indices] for part in vars(self).values()))

    def order(self, number: int) -> torch.Tensor:
        """Indices of the best `number` of each template, ordered as the texts are to be."""
        return _best_of_each(self.rows, self.scores, number)

    def best(self, number: int) -> "FittingTexts":
        """The best `number` of each template."""
        return self.select(self.order(number))

    def draw(self, generator: torch.Generator | None = None) -> "FittingTexts":
        """One of each template, at random by their likelihoods."""
        return self.select(_best_of_each(self.rows, self.scores + gumbel_like(self.scores, generator), 1))

    def merged(self, num_chains: int) -> "FittingTexts":
        """
        The different texts of every `num_chains` templates that are one and the same, for which different models have
        searched; a score is now the log of the sum of a text's shares in each model's likelihood of what it found.
        """
        totals = self.scores.new_zeros(int(self.rows.max()) + 1)
        highest = torch.full_like(totals, -torch.inf).scatter_reduce(0, self.rows, self.scores, "amax")
        likelihoods = (self.scores - highest[self.rows]).exp()
        totals = totals.index_add(0, self.rows, likelihoods)
        keys = torch.cat([self.rows[:, None] // num_chains, self.lengths[:, None], self.words], 1)
        different, number = keys.unique(dim=0, return_inverse=True)
        shares = self.scores.new_zeros(len(different)).index_add(0, number, likelihoods / totals[self.rows])
        merged = FittingTexts(different[:, 0], different[:, 2:], different[:, 1], shares.log())
        return merged.best(len(different))


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
    The likeliest texts that fit each template, up to `num_beams` of each, under a model that reads from left to right.

    After every word, hypotheses of the same template that have got equally far in it compete for `num_beams` places
    (grid beam search, Hokamp and Liu, ACL 2017): inside a span, those that go on and those that have left it do not
    crowd each other out. Each text that fits is found by one hypothesis only, whichever way it fits. With as many
    places as there are texts that fit, the search is exhaustive.

    Args:
        templates ([`Templates`]): What the texts must fit.
        step (`Callable`): From the last words `(n,)`, the template of each hypothesis `(n,)` and the model's states
            `(n, ...)` (`None` at the beginning) to log-probabilities of the next word `(n, vocab_size)` and states.
        start_token_id (`int`): Word before the first.
        may_fill (`torch.BoolTensor` of shape `(vocab_size,)`): Words that may fill free slots.
        num_beams (`int`): Places.
        pad_token_id (`int`, *optional*, defaults to 0): Fills `words` of the result.
    """
    device = templates.words.device
    rows = torch.arange(len(templates), device=device)
    places, scores, state = templates.start(), torch.zeros(len(templates), device=device), None
    history = torch.full((len(templates), 1), start_token_id, device=device)
    worst_kept = torch.full((len(templates),), -torch.inf, device=device)
    finished: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    while len(rows):
        log_probs, state = step(history[:, -1], rows, state)
        hypotheses, words = _next_words(templates, places, rows, log_probs, may_fill, num_beams)
        totals = scores[hypotheses] + log_probs[hypotheses, words].to(scores.dtype)
        of_row = rows[hypotheses]
        promising = totals > worst_kept[of_row]  # scores only fall
        hypotheses, words, totals, of_row = (part[promising] for part in (hypotheses, words, totals, of_row))
        after = templates.advance(places[hypotheses], of_row, words, may_fill[words])
        furthest = after.shape[1] - 1 - after.flip(1).int().argmax(1)
        kept = _best_of_each(of_row * after.shape[1] + furthest, totals, num_beams)
        hypotheses, words, totals, of_row = (part[kept] for part in (hypotheses, words, totals, of_row))
        is_done = furthest[kept] == templates.lengths[of_row]
        rows, scores, places, state = of_row, totals, after[kept], state[hypotheses]
        history = torch.cat([history[hypotheses], words[:, None]], 1)
        if is_done.any():
            finished.append((rows[is_done], history[is_done, 1:], scores[is_done]))
            goes_on = ~is_done
            rows, scores, places, state, history = (
                part[goes_on] for part in (rows, scores, places, state, history)
            )
            worst_kept = _worst_kept(finished, len(templates), num_beams)
    return _collect(finished, num_beams, pad_token_id)


def _next_words(
    templates: Templates,
    places: torch.Tensor,
    rows: torch.Tensor,
    log_probs: torch.Tensor,
    may_fill: torch.Tensor,
    num_beams: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hypotheses and words to go on with: all observed words that are due, and the likeliest free ones."""
    slots, open_places = templates.words[rows], places[:, :-1]
    due = open_places & (slots >= 0)
    hypotheses, at = due.nonzero(as_tuple=True)
    observed = torch.stack([hypotheses, slots[hypotheses, at]])
    if int(due.sum(-1).max()) > 1:  # one word that is due at two places is one way to go on
        observed = observed.unique(dim=1)
    filling = (open_places & (slots == FREE)).any(-1).nonzero()[:, 0]
    if not len(filling):
        return observed[0], observed[1]
    allowed = may_fill.expand(len(rows), -1).index_put((observed[0], observed[1]), observed.new_zeros(()).bool())
    candidates = log_probs[filling].masked_fill(~allowed[filling], -torch.inf)
    values, words = candidates.topk(min(num_beams, candidates.shape[1]), -1)
    is_word = values > -torch.inf
    free = torch.stack([filling[:, None].expand_as(words)[is_word], words[is_word]])
    return tuple(torch.cat([observed, free], 1))


def _best_of_each(groups: torch.Tensor, scores: torch.Tensor, number: int) -> torch.Tensor:
    """Indices of the `number` best entries of each group, the best first, ordered by group."""
    order = scores.argsort(descending=True, stable=True)
    order = order[groups[order].argsort(stable=True)]
    ordered = groups[order]
    _, counts = ordered.unique_consecutive(return_counts=True)
    first = (counts.cumsum(0) - counts).repeat_interleave(counts)
    return order[torch.arange(len(order), device=order.device) - first < number]


def _worst_kept(finished: list, num_templates: int, num_beams: int) -> torch.Tensor:
    """The score that a text must exceed to be among the best of its template."""
    rows, scores = torch.cat([part[0] for part in finished]), torch.cat([part[2] for part in finished])
    best = _best_of_each(rows, scores, num_beams)
    counts = rows[best].bincount(minlength=num_templates)
    worst = torch.full((num_templates,), torch.inf, device=scores.device)
    worst = worst.scatter_reduce(0, rows[best], scores[best], "amin")
    return worst.masked_fill(counts < num_beams, -torch.inf)


def _collect(finished: list, num_beams: int, pad_token_id: int) -> FittingTexts:
    longest = max(words.shape[1] for _, words, _ in finished)
    padded = [
        torch.nn.functional.pad(words, (0, longest - words.shape[1]), value=pad_token_id) for _, words, _ in finished
    ]
    rows, words = torch.cat([part[0] for part in finished]), torch.cat(padded)
    scores = torch.cat([part[2] for part in finished])
    lengths = torch.cat([torch.full_like(of_row, part.shape[1]) for of_row, part, _ in finished])
    return FittingTexts(rows, words, lengths, scores).best(num_beams)
