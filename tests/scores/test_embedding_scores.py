"""Embedding metrics by hand, on vectors of two numbers, and on real ones."""

import numpy as np
import pytest

from ldebm_hf.scores import WordVectors, embedding_scores, load_word_vectors
from ldebm_hf.scores.embeddings import average_similarity, extrema_similarity, greedy_similarity

VECTORS = WordVectors(
    {"east": 0, "north": 1, "west": 2, "far": 3}, np.array([[1, 0], [0, 1], [-1, 0], [-3, 1]], dtype=np.float32)
)
ROOT = 2**-0.5


def of(*words):
    return VECTORS.look_up(words)


def test_similarities_by_hand():
    assert average_similarity(of("east", "north"), of("north")) == pytest.approx(ROOT)
    # The extremes of east and far are -3 and 1; those of east and north 1 and 1.
    expected = (-3 + 1) / (10**0.5 * 2**0.5)
    assert extrema_similarity(of("east", "far"), of("east", "north")) == pytest.approx(expected)
    # -1 wins where 1 is as great.
    assert extrema_similarity(of("east", "west"), of("west")) == pytest.approx(1)
    # east finds east; north finds east (0) or west (0); back, east finds east and west north (0).
    assert greedy_similarity(of("east", "north"), of("east", "west")) == pytest.approx((0.5 + 0.5) / 2)
    assert greedy_similarity(of("east", "north"), of("north")) == pytest.approx((0.5 + 1) / 2)


def test_marks_unknown_words_and_empty_texts_are_ignored():
    scores = embedding_scores(
        ["<sys> east zzz", "zzz", "north </s>", "x>"], ["east <usr>", "east", "north", "north"], VECTORS
    )
    assert scores.num_pairs == 2 and scores.coverage == pytest.approx(6 / 8)
    assert scores.average == scores.extrema == scores.greedy == pytest.approx(1)


def test_chance_is_the_mean_over_shuffles():
    """Two pairs of equal or orthogonal vectors: a shuffle gives 1 or 0 with equal probability; 4 σ of 400 shuffles."""
    scores = embedding_scores(["east", "north"], ["east", "north"], VECTORS, num_shuffles=400, seed=1)
    assert scores.average == pytest.approx(1)
    assert scores.average_chance == pytest.approx(0.5, abs=4 * 0.5 / 400**0.5)
    assert scores.average_chance_std == pytest.approx(0.5, abs=0.01)
    assert scores == embedding_scores(["east", "north"], ["east", "north"], VECTORS, num_shuffles=400, seed=1)


@pytest.mark.parametrize(
    ("responses", "references", "options", "message"),
    [
        (["east"], [], {}, "references must be one per response, at least one, got 0 for 1 responses"),
        ([], [], {}, "references must be one per response"),
        (["zzz"], ["east"], {}, "vectors must cover words of both sides of a pair, got none in 1 pairs"),
        (["east"], ["east"], {"num_shuffles": 0}, "num_shuffles must be at least 1, got 0"),
    ],
)
def test_bad_arguments(responses, references, options, message):
    with pytest.raises(ValueError, match=message):
        embedding_scores(responses, references, VECTORS, **options)


def test_real_vectors_and_responses(data_dir):
    """References against themselves score 1, shuffled ones less; the twitter vectors know most dialogue words."""
    lines = (data_dir / "daily_dialog" / "validation" / "dialogues.txt").read_text(encoding="utf-8").splitlines()
    texts = [turn.lower() for line in lines[:60] for turn in line.split("__eou__") if turn.strip()][:300]
    vectors = load_word_vectors(data_dir / "word_vectors" / "glove.twitter.27B.25d.12k.txt")
    assert vectors.vectors.shape == (11_925, 25)
    scores = embedding_scores(texts, texts, vectors)
    assert scores.average == pytest.approx(1, abs=1e-4) and scores.greedy == pytest.approx(1, abs=1e-4)
    assert scores.coverage > 0.7 and scores.num_pairs > 290
    assert 0.4 < scores.extrema_chance < scores.average_chance < 0.99
