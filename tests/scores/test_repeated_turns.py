"""Held-out turns that stand in training dialogues."""

import numpy as np
import pytest

from ldebm_hf.data import NO_LABEL, Split
from ldebm_hf.scores.repeated_turns import repeats_training
from ldebm_hf.scores.responses import WrittenResponses, response_scores

LONG = "we should meet at the station at eight"
TRAINING = [f"<usr> {LONG}", "thank you"]


def test_long_turns_tell_dialogues_apart_and_short_ones_do_not():
    texts = [f"<sys> {LONG.upper()}", "fine", "thank you", f"{LONG} or nine", "fine"]
    contexts = [("<d>",), ("<d>", LONG), ("<d>", "thank you"), ("<d>",), ("<d>", LONG.rpartition(" ")[0])]
    split = Split(texts, [NO_LABEL] * 5, contexts=contexts)
    assert repeats_training(split, TRAINING).tolist() == [True, True, False, False, False]
    assert repeats_training(split, TRAINING, num_words=2).tolist() == [True, True, True, False, False]
    assert not repeats_training(split, TRAINING, num_words=9).any()


def test_bleu_of_unseen_dialogues_is_that_of_their_responses_alone():
    references = ["it will rain in oslo today", "it will snow in vienna today", "thank you very much indeed"]
    written = WrittenResponses([()] * 3, references, [references[0], "no", references[2]], [])
    scores = response_scores(written, repeated=np.array([False, False, True]))
    alone = WrittenResponses([()] * 2, references[:2], written.responses[:2], [])
    assert scores["bleu_unseen"] == response_scores(alone)["bleu"] < scores["bleu"]
    assert scores["unseen_share"] == pytest.approx(2 / 3)
    assert response_scores(written, repeated=np.array([True, False, True]))["bleu_unseen"] == 0
    all_repeated = response_scores(written, repeated=np.ones(3, bool))
    assert all_repeated["unseen_share"] == 0 and "bleu_unseen" not in all_repeated
    assert "unseen_share" not in response_scores(written)


def test_a_split_without_contexts_is_refused():
    with pytest.raises(ValueError, match="split must have contexts, got one without"):
        repeats_training(Split(["a"], [NO_LABEL]), TRAINING)
