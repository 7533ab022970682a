"""Constrained decoding against scoring every text that fits, under a model whose words depend on all words before."""

import functools
import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_templates import BEGIN, END, FEW, MASK, SPAN, TOKENS, WORDS, pattern, read

from ldebm_hf.model.constrained_search import search_templates

VOCABULARY = 7
FREE_WORDS = torch.tensor([word in WORDS for word in range(VOCABULARY)])


class ChaoticModel:
    """States are hashes of all words so far and of the template; log-probabilities are drawn from them."""

    def step(self, words, rows, states):
        states = rows * 0 if states is None else states
        states = (states * 31 + words * 7 + rows + 1) % 1009
        return torch.stack([self.log_probs(state) for state in states.tolist()]), states

    @staticmethod
    @functools.cache
    def log_probs(state):
        return (2 * torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(state))).log_softmax(-1)

    def score(self, row, words):
        total, state = 0.0, 0
        for word, following in zip((BEGIN, *words), words, strict=False):
            state = (state * 31 + word * 7 + row + 1) % 1009
            total += self.log_probs(state)[following].item()
        return total


def everything_that_fits(tokens, row=0) -> dict[tuple[int, ...], float]:
    expected, found = pattern(tokens), {}
    for length in range(1, 2 * len(tokens) + 1):
        for words in itertools.product(WORDS, repeat=length):
            text = (*words, END)
            if expected.fullmatch("".join(map(str, text))):
                found[text] = ChaoticModel().score(row, text)
    return found


def search(*rows, num_beams) -> list[list[tuple[tuple[int, ...], float]]]:
    found = search_templates(read(*rows), ChaoticModel().step, BEGIN, may_fill=FREE_WORDS, num_beams=num_beams)
    results = [[] for _ in rows]
    for row, words, length, score in zip(found.rows, found.words, found.lengths, found.scores, strict=True):
        assert words[length:].tolist() == [0] * (len(words) - length)
        results[row].append((tuple(words[:length].tolist()), score.item()))
    return results


SHORT = TOKENS.filter(lambda tokens: len(tokens) + tokens.count(SPAN) <= 6)


@FEW
@given(SHORT)
def test_with_room_for_all_the_search_finds_every_text_once(tokens):
    (found,) = search(tokens, num_beams=1000)
    expected = everything_that_fits(tokens)
    assert len(found) == len({text for text, _ in found}) == len(expected)
    for text, score in found:
        assert score == pytest.approx(expected[text], abs=1e-4)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)


@FEW
@given(st.lists(TOKENS, min_size=1, max_size=3), st.integers(1, 4))
def test_whatever_the_beams_every_observed_word_stays_in_order(rows, num_beams):
    for number, (tokens, found) in enumerate(zip(rows, search(*rows, num_beams=num_beams), strict=True)):
        assert 1 <= len(found) <= num_beams and len({text for text, _ in found}) == len(found)
        for text, score in found:
            assert pattern(tokens).fullmatch("".join(map(str, text))), (tokens, text)
            assert score == pytest.approx(ChaoticModel().score(number, text), abs=1e-4)


def test_beams_find_the_likeliest_fillings_of_neighbouring_masks():
    """Two masks, then words that decide: 4 fillings, all of which 4 beams hold."""
    tokens = [4, MASK, MASK, 5, 5, 4]
    expected = sorted(everything_that_fits(tokens).items(), key=lambda item: -item[1])
    (found,) = search(tokens, num_beams=4)
    assert [text for text, _ in found] == [text for text, _ in expected]


def test_a_span_goes_on_even_if_leaving_it_looks_better_at_first():
    """`5` ends the span; a model that loves `5` and then hates the end of short texts needs places for both ways."""

    def step(words, rows, states):
        counts = torch.zeros(len(words), 1) if states is None else states + 1
        log_probs = torch.full((len(words), VOCABULARY), math.log(0.1))
        log_probs[:, 5] = math.log(0.6)
        log_probs[:, END] = torch.where(counts[:, 0] < 4, -50.0, 0.0)
        return log_probs, counts

    found = search_templates(read([SPAN, 5], max_span_length=3), step, BEGIN, may_fill=FREE_WORDS, num_beams=1)
    assert found.words.tolist() == [[5, 5, 5, 5, END]] and found.scores[0] == pytest.approx(4 * math.log(0.6))
