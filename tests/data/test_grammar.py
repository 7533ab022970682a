import random

import pytest

from ldebm_hf.data.grammar import Grammar

TINY = Grammar("""
S = NP VERB NP? | it rains

NP = the NOUN | NP_PAIR
NP_PAIR = the NOUN and NP
NOUN = cat | dog
VERB = sees
  | likes
""")


def test_rules_continue_and_words_are_found():
    assert TINY.words == {"it", "rains", "the", "and", "cat", "dog", "sees", "likes"}


@pytest.mark.parametrize(
    "sentence", ["it rains", "the cat sees", "the cat likes the dog", "the cat and the dog and the cat sees the dog"]
)
def test_derives(sentence):
    assert TINY.derives("S", sentence.split())


@pytest.mark.parametrize("sentence", ["", "it", "the cat", "the cat sees the", "the sees cat", "it rains the dog"])
def test_does_not_derive(sentence):
    assert not TINY.derives("S", sentence.split())


def test_every_sample_is_derivable_and_optional_parts_come_and_go():
    samples = [TINY.sample("S", random.Random(seed)) for seed in range(400)]
    assert all(TINY.derives("S", words) for words in samples)
    transitive = [words for words in samples if {"sees", "likes"} & set(words)]
    share = sum(words[-1] in {"cat", "dog"} for words in transitive) / len(transitive)
    assert 0.4 < share < 0.6


def test_rule_that_is_not_defined():
    with pytest.raises(ValueError, match=r"not defined: \['NP', 'VP'\]"):
        Grammar("S = NP VP? | hello")
