"""Vectors in GloVe's format, and those that texts give."""

import math

import numpy as np
import pytest
from scipy.sparse import csr_array

from ldebm_hf.scores.embeddings import average_similarity
from ldebm_hf.text.word_vectors import (
    WordVectors,
    load_word_vectors,
    positive_information,
    train_vectors_by_neighbours,
    train_vectors_by_texts,
)


def write(tmp_path, content):
    path = tmp_path / "vectors.txt"
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize("header", ["", "4 2\n"])
def test_text_files_of_both_kinds(tmp_path, header):
    path = tmp_path / "vectors.txt"
    path.write_text(header + "a 1 2\né 3 -4e-1\n. . 5 6\na 7 8\n", encoding="utf-8")
    vectors = load_word_vectors(path)
    assert vectors.words == {"a": 0, "é": 1, ". .": 2}
    assert vectors.vectors.tolist() == np.array([[1, 2], [3, -0.4], [5, 6]], dtype=np.float32).tolist()
    assert load_word_vectors(path, words=["é", "b"]).words == {"é": 0}
    with pytest.raises(ValueError, match="holds no vector of the words asked for"):
        load_word_vectors(path, words=["b"])


def test_averages_and_coverage(tmp_path):
    vectors = load_word_vectors(write(tmp_path, "oil 1 2\nrise 3 6\n"))
    texts = ["Oil, OIL! rise of prices", "nothing known"]
    np.testing.assert_allclose(vectors.average(texts), [[5 / 3, 10 / 3], [0, 0]])
    assert vectors.coverage(texts) == pytest.approx(3 / 7)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a 1 2\nb 1\n", "line 2: a word and 2 numbers expected, got 'b 1"),
        (b"a 1 2\nb x 1\n", "line 2: could not convert"),
        (b"", "holds no vector"),
        (b"a 1\xff\n", "must be a text file of word vectors"),
    ],
)
def test_files_that_are_no_vectors(tmp_path, content, message):
    path = tmp_path / "vectors.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_word_vectors(path)
    with pytest.raises(FileNotFoundError, match="no word vectors: looked for .*none.txt"):
        load_word_vectors(tmp_path / "none.txt")
    with pytest.raises(ValueError, match=r"vectors must have shape \(1, size\), a row per word, got \(2, 3\)"):
        WordVectors({"a": 0}, np.zeros((2, 3)))


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
    vectors = train_vectors_by_texts(texts, size=2)
    unit = vectors.vectors / np.linalg.norm(vectors.vectors, axis=1, keepdims=True)
    rain, storm, goal = (unit[vectors.words[word]] for word in ("rain", "storm", "goal"))
    assert rain @ storm > 0.9 > 0.5 > rain @ goal
    assert np.array_equal(train_vectors_by_texts(texts, size=2).vectors, vectors.vectors)
    assert train_vectors_by_texts(texts, size=8).vectors.shape == (8, 7), "one number fewer than words"
    with pytest.raises(ValueError, match="texts must have two words that 2 of them have"):
        train_vectors_by_texts(["rain", "rain wind"], min_count=2)
    with pytest.raises(ValueError, match="texts hold no word that 900 of them have"):
        train_vectors_by_texts(texts, size=2, min_count=900)


def test_trained_vectors_bring_words_of_the_same_contexts_together():
    """Cats and dogs meet the same words, stones others; a word seen once has no vector."""
    texts = ["the cat eats food", "the dog eats food", "a cat sleeps well", "a dog sleeps well"] * 3
    texts += ["stones fall down hills", "rocks fall down hills"] * 3 + ["<sys> rare"]
    vectors = train_vectors_by_neighbours(texts, size=6)
    assert "rare" not in vectors.words and "<sys>" not in vectors.words and vectors.vectors.shape[1] == 6
    cat, dog, stones = (vectors.look_up([word]) for word in ("cat", "dog", "stones"))
    assert average_similarity(cat, dog) > 0.99 and average_similarity(cat, stones) < 0.1
    again = train_vectors_by_neighbours(texts, size=6)
    assert np.array_equal(vectors.vectors, again.vectors)
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        train_vectors_by_neighbours(texts, size=0)
    with pytest.raises(ValueError, match="at least 3 words of min_count=2, got 0"):
        train_vectors_by_neighbours(["a b c"])
