"""Templates against regular expressions, and constrained decoding against scoring every text that fits, under a model
whose next word depends on all words before."""

import functools
import itertools
import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldebm_hf.model.constrained_search import FREE, NONE, read_templates, search_templates

MASK, SPAN, BEGIN, END = 1, 20, 2, 3
WORDS = (4, 5)
TOKENS = st.lists(st.sampled_from((MASK, SPAN, *WORDS)), min_size=1, max_size=5).filter(
    lambda tokens: MASK in tokens or SPAN in tokens
)
FEW = settings(deadline=None, max_examples=25)


def read(*rows, max_span_length=2, marks=True):
    rows = [[BEGIN, *row, END] if marks else list(row) for row in rows]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    return read_templates(ids, list(map(len, rows)), MASK, SPAN, max_span_length, BEGIN, END, 8)


def fits(templates, row, words) -> bool:
    positions, rows = templates.start()[row : row + 1], torch.tensor([row])
    for word in words:
        positions = templates.advance(positions, rows, torch.tensor([word]), torch.tensor([word in WORDS]))
    return bool(positions[0, templates.lengths[row]])


def pattern(tokens, max_span_length=2) -> re.Pattern:
    parts = {MASK: "[45]", SPAN: f"[45]{{1,{max_span_length}}}"}
    return re.compile("".join(parts.get(token, str(token)) for token in tokens) + str(END))


# ----------------------------------------------------------------------------------------------------------- templates


def test_slots():
    templates = read([4, MASK], [SPAN, 5, 6])
    assert templates.words.tolist() == [[4, FREE, END, NONE, NONE], [FREE, FREE, 5, 6, END]]
    assert templates.optional.tolist() == [[False] * 5, [False, True, False, False, False]]
    assert templates.lengths.tolist() == [3, 5] and templates.num_observed.tolist() == [1, 2]
    without_marks = read([4, MASK], [SPAN, 5, 6], marks=False)
    assert without_marks.words.tolist() == templates.words.tolist()


@FEW
@given(TOKENS)
def test_a_template_fits_what_its_regular_expression_does(tokens):
    templates, expected = read(tokens), pattern(tokens)
    for length in range(1, 5):
        for words in itertools.product(WORDS, repeat=length):
            text = "".join(map(str, (*words, END)))
            assert fits(templates, 0, [*words, END]) == bool(expected.fullmatch(text)), (tokens, words)


@FEW
@given(TOKENS, st.lists(st.sampled_from(WORDS), min_size=1, max_size=8))
def test_alignment_is_one_to_one_and_keeps_observed_words(tokens, words):
    templates, text = read(tokens), [*words, END]
    if not fits(templates, 0, text):
        with pytest.raises(ValueError, match="words must fit the template"):
            templates.align(0, text)
        return
    slots = templates.align(0, text)
    assert slots == sorted(set(slots)) and len(slots) == len(text)
    assert all(templates.words[0, slot] in (FREE, word) for slot, word in zip(slots, text, strict=True))
    left_out = set(range(int(templates.lengths[0]))) - set(slots)
    assert all(templates.optional[0, slot] for slot in left_out)


def test_of_several_alignments_the_one_that_leaves_the_span_soonest():
    templates = read([SPAN, 5, SPAN])
    assert templates.align(0, [4, 5, 5, END]) == [0, 2, 3, 5]


def test_rows_repeat_in_place():
    repeated = read([4, MASK], [MASK, 5]).repeat_interleave(2)
    assert repeated.words[:, 0].tolist() == [4, 4, FREE, FREE] and repeated.lengths.tolist() == [3] * 4


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([2, 4, 5, 3], r"input_ids must have a masked word in every text, got \[2, 4, 5, 3\] in row 1"),
        ([2, 3], r"masked word in every text, got \[2, 3\] in row 1"),
        ([2, 8, 1, 3], "input_ids must be masks or words below 8, got 8 in row 1"),
        ([2, 4, 3, 1, 3], r"begin and end marks at the ends only, got \[2, 4, 3, 1, 3\] in row 1"),
    ],
)
def test_unfit_texts(row, message):
    with pytest.raises(ValueError, match=message):
        read([2, 1, 3], row, marks=False)


# -------------------------------------------------------------------------------------------------------------- search

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
def test_observed_words_stay_in_order_for_any_number_of_beams(rows, num_beams):
    for number, (tokens, found) in enumerate(zip(rows, search(*rows, num_beams=num_beams), strict=True)):
        assert 1 <= len(found) <= num_beams and len({text for text, _ in found}) == len(found)
        for text, score in found:
            assert pattern(tokens).fullmatch("".join(map(str, text))), (tokens, text)
            assert score == pytest.approx(ChaoticModel().score(number, text), abs=1e-4)


def test_beams_find_the_likeliest_fillings_of_neighbouring_masks():
    """Two masks and then words that decide between the 4 fillings, all of which fit into 4 beams."""
    tokens = [4, MASK, MASK, 5, 5, 4]
    expected = sorted(everything_that_fits(tokens).items(), key=lambda item: -item[1])
    (found,) = search(tokens, num_beams=4)
    assert [text for text, _ in found] == [text for text, _ in expected]


def test_a_span_is_extended_even_if_leaving_it_is_likelier_at_first():
    """`5` ends the span. The model prefers `5`, but not the end of short texts, so both continuations need beams."""

    def step(words, rows, states):
        counts = torch.zeros(len(words), 1) if states is None else states + 1
        log_probs = torch.full((len(words), VOCABULARY), math.log(0.1))
        log_probs[:, 5] = math.log(0.6)
        log_probs[:, END] = torch.where(counts[:, 0] < 4, -50.0, 0.0)
        return log_probs, counts

    found = search_templates(read([SPAN, 5], max_span_length=3), step, BEGIN, may_fill=FREE_WORDS, num_beams=1)
    assert found.words.tolist() == [[5, 5, 5, 5, END]] and found.scores[0] == pytest.approx(4 * math.log(0.6))
