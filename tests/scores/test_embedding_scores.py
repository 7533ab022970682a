"""Embedding metrics by hand, on vectors of two numbers, and on real ones."""

import numpy as np
import pytest

from ldebm_hf.scores import WordVectors, embedding_scores, load_word_vectors, response_retrieval
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


WORDS = [f"w{number}" for number in range(40)]
RANDOM = WordVectors(
    {word: row for row, word in enumerate(WORDS)},
    # The common direction makes all cosines high that are not centred.
    np.random.default_rng(0).standard_normal((len(WORDS), 8)).astype(np.float32) + 5,
)


def draw_texts(rng, count, num_words=6):
    return [" ".join(WORDS[word] for word in row) for row in rng.integers(len(WORDS), size=(count, num_words))]


def test_the_true_response_is_always_retrieved():
    references = draw_texts(np.random.default_rng(1), 600)
    assert len({" ".join(sorted(text.split())) for text in references}) == 600
    scores = response_retrieval(references, references, RANDOM)
    assert (scores.retrieval, scores.retrieval_std_error, scores.num_responses) == (1, 0, 600)
    reordered = [" ".join(reversed(text.split())) for text in references]
    assert response_retrieval(reordered, references, RANDOM).retrieval == 1


def test_random_responses_are_retrieved_by_chance_and_the_standard_error_is_their_spread():
    """
    The mean of 200 draws is 0.5 within 4 of its standard errors, and the mean standard error is the spread of the
    draws within 20 % (4 standard errors of a standard deviation of 200 draws).
    """
    rng = np.random.default_rng(2)
    draws = [response_retrieval(draw_texts(rng, 100), draw_texts(rng, 100), RANDOM) for _ in range(200)]
    values = np.array([draw.retrieval for draw in draws])
    assert values.mean() == pytest.approx(0.5, abs=4 * values.std() / 200**0.5)
    assert np.mean([draw.retrieval_std_error for draw in draws]) == pytest.approx(values.std(), rel=0.2)


def test_responses_to_half_of_the_contexts_are_half_way():
    """Every second response is the true one, the others are those of other contexts: 0.75 within 4 standard errors."""
    references = draw_texts(np.random.default_rng(3), 1200)
    responses = [text if row % 2 else references[row - 2] for row, text in enumerate(references)]
    scores = response_retrieval(responses, references, RANDOM)
    assert scores.retrieval_std_error < 0.01
    assert scores.retrieval == pytest.approx(0.75, abs=4 * scores.retrieval_std_error)


def test_one_answer_to_everything_is_retrieved_by_chance_exactly():
    """Whatever it is; the average similarity, in contrast, depends on the words."""
    references = draw_texts(np.random.default_rng(4), 300) + ["w1 w2"] * 30
    for answer in ("w1 w2", "w3", "zzz", ""):
        scores = response_retrieval([answer] * 330, references, RANDOM)
        assert scores.retrieval == pytest.approx(0.5, abs=1e-12), answer
        assert scores.retrieval_std_error == pytest.approx(0, abs=1e-12), answer


def test_ties_count_half_and_references_without_words_are_left_out():
    """
    The references are east, west and east again. The first response is nearer to its own reference than to west, and
    as near to the other east (3/4); the second is nearer to its own than to both (1); the third has no known word
    (1/2). Against each reference the two other responses win once and are once as near (3/4).
    """
    scores = response_retrieval(["<sys> east", "west", "zzz", "east"], ["east", "<usr> west", "east", "zzz"], VECTORS)
    assert scores.retrieval == pytest.approx((3 / 4 + 1 + 1 / 2) / 3) and scores.num_responses == 3
    sums = np.array([3 / 4 + 3 / 4, 1 + 3 / 4, 1 / 2 + 3 / 4])
    assert scores.retrieval_std_error == pytest.approx(sums.std(ddof=1) / 3**0.5)


def test_what_all_texts_share_is_subtracted():
    """
    Less the references' mean (10, 0), a is (0, 1), b is 0 and c is (0, -1). The response "b b a" then points to a, and
    is nearer to b than to c; with the common direction it would be nearest to b.
    """
    vectors = WordVectors({"a": 0, "b": 1, "c": 2}, np.array([[10, 1], [10, 0], [10, -1]], dtype=np.float32))
    scores = response_retrieval(["a", "b b a", "c"], ["a", "b", "c"], vectors)
    assert scores.retrieval == pytest.approx((1 + 1 / 2 + 1) / 3)


@pytest.mark.parametrize(
    ("responses", "references", "message"),
    [
        (["east"], [], "references must be one per response, at least one, got 0 for 1 responses"),
        (["east", "east"], ["east", "zzz"], "vectors must cover words of at least two references, got 1 of 2"),
    ],
)
def test_bad_arguments_of_retrieval(responses, references, message):
    with pytest.raises(ValueError, match=message):
        response_retrieval(responses, references, VECTORS)


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
    own = response_retrieval(texts, texts, vectors)
    # Some turns are the same words as others, which are ties.
    assert own.retrieval > 0.99 > response_retrieval(texts[1:] + texts[:1], texts, vectors).retrieval
