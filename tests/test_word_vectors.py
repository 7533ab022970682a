"""Vectors in GloVe's format, and those that texts give."""

import math

import numpy as np
import pytest
from scipy.sparse import csr_array

from ldebm_hf.word_vectors import positive_information, read_word_vectors, train_word_vectors


def write(tmp_path, content):
    path = tmp_path / "vectors.txt"
    path.write_text(content, encoding="utf-8")
    return path


def test_reads_words_and_their_numbers(tmp_path):
    path = write(tmp_path, "the 1 2\noil 0.5 -1e-1\nthe 9 9\n. . 3 4\n")
    vectors = read_word_vectors(path)
    assert list(vectors.places) == ["the", "oil", ". ."]
    np.testing.assert_allclose(vectors.vectors, [[1, 2], [0.5, -0.1], [3, 4]])
    assert list(read_word_vectors(path, ["oil", "gas"]).places) == ["oil"]
    assert list(read_word_vectors(write(tmp_path, "2 3\na 1 2 3\nb 4 5 6\n")).places) == ["a", "b"]


def test_averages_and_coverage(tmp_path):
    vectors = read_word_vectors(write(tmp_path, "oil 1 2\nrise 3 6\n"))
    texts = ["Oil, OIL! rise of prices", "nothing known"]
    np.testing.assert_allclose(vectors.average(texts), [[5 / 3, 10 / 3], [0, 0]])
    assert vectors.coverage(texts) == pytest.approx(3 / 7)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a 1 2\nb 1\n", "line 2: expected a word and 2 numbers, got 'b 1"),
        ("a 1 2\nb 1 x\n", "line 2: expected a word and 2 numbers"),
        ("", "holds no vectors"),
    ],
)
def test_bad_files(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_word_vectors(write(tmp_path, content))
    with pytest.raises(FileNotFoundError, match="looked for .*absent.txt"):
        read_word_vectors(tmp_path / "absent.txt")


def test_information_of_pairs_by_hand():
    presence = csr_array([[1, 1, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]])
    # Pairs, both ways: 01 twice, 02 once, 12 once: 8 in all; word 0 is in 3, word 1 in 3, word 2 in 2.
    dense = positive_information(presence).toarray()
    expected = {(0, 1): math.log(2 * 8 / 9), (0, 2): math.log(8 / 6), (1, 2): math.log(8 / 6)}
    for (row, column), value in expected.items():
        assert dense[row, column] == pytest.approx(value, rel=1e-6) and dense[column, row] == dense[row, column]
    assert (dense.diagonal() == 0).all()


def test_words_of_the_same_texts_have_like_vectors():
    rng = np.random.default_rng(0)
    topics = [["rain", "wind", "storm", "cloud"], ["goal", "team", "ball", "coach"]]
    texts = [" ".join(rng.choice(topics[i % 2], 3)) for i in range(200)]
    vectors = train_word_vectors(texts, size=2)
    unit = vectors.vectors / np.linalg.norm(vectors.vectors, axis=1, keepdims=True)
    rain, storm, goal = (unit[vectors.places[word]] for word in ("rain", "storm", "goal"))
    assert rain @ storm > 0.9 > 0.5 > rain @ goal
    assert np.array_equal(train_word_vectors(texts, size=2).vectors, vectors.vectors)
    with pytest.raises(ValueError, match="size must be less than the number of words, 8, got 8"):
        train_word_vectors(texts, size=8)
    with pytest.raises(ValueError, match="texts hold no word that 900 of them have"):
        train_word_vectors(texts, size=2, min_count=900)
