"""Responses copied from the most similar training context."""

import pytest

from ldebm_hf.baselines.nearest_context import nearest_context_responses
from ldebm_hf.data import NO_LABEL, Split

CONTEXTS = [("<d>", "is it raining in oslo"), ("<d>", "play some jazz"), ("play some jazz", "louder please")]
TRAINING = Split(["yes , a lot", "here you are", "of course"], [NO_LABEL] * 3, contexts=CONTEXTS)


def test_every_context_is_answered_as_the_most_similar_one_was(monkeypatch):
    asked = [("<d>", "play some rock"), ("louder",), ("is it raining now",), *CONTEXTS]
    expected = ["here you are", "of course", "yes , a lot", *TRAINING.texts]
    assert nearest_context_responses(TRAINING, asked) == expected
    monkeypatch.setattr("ldebm_hf.baselines.nearest_context.CONTEXTS_AT_A_TIME", 2)
    assert nearest_context_responses(TRAINING, asked) == expected, "however many are compared at a time"


def test_words_that_no_training_context_has_are_answered_too():
    assert nearest_context_responses(TRAINING, [("hm",)]) == ["yes , a lot"]


def test_training_needs_contexts():
    with pytest.raises(ValueError, match="training must have contexts, got a split without"):
        nearest_context_responses(Split(["a"], [NO_LABEL]), [("b",)])
