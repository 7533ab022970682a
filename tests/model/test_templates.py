"""Templates against regular expressions on every text of a small vocabulary."""

import itertools
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ldebm_hf.model.templates import FREE, NONE, read_templates

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
    places, rows = templates.start()[row : row + 1], torch.tensor([row])
    for word in words:
        places = templates.advance(places, rows, torch.tensor([word]), torch.tensor([word in WORDS]))
    return bool(places[0, templates.lengths[row]])


def pattern(tokens, max_span_length=2) -> re.Pattern:
    parts = {MASK: "[45]", SPAN: f"[45]{{1,{max_span_length}}}"}
    return re.compile("".join(parts.get(token, str(token)) for token in tokens) + str(END))


def test_slots():
    templates = read([4, MASK], [SPAN, 5, 6])
    assert templates.words.tolist() == [[4, FREE, END, NONE, NONE], [FREE, FREE, 5, 6, END]]
    assert templates.optional.tolist() == [[False] * 5, [False, True, False, False, False]]
    assert templates.sources.tolist() == [[1, 2, 3, -1, -1], [1, 1, 2, 3, 4]]
    assert templates.lengths.tolist() == [3, 5] and templates.num_observed.tolist() == [1, 2]
    without_marks = read([4, MASK], [SPAN, 5, 6], marks=False)
    assert without_marks.words.tolist() == templates.words.tolist()
    assert without_marks.sources.tolist() == [[0, 1, -1, -1, -1], [0, 0, 1, 2, -1]]


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
