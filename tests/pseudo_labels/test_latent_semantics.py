"""Latent semantics of token ids against scikit-learn's on the words, and the groups of texts that they find."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import v_measure_score
from sklearn.preprocessing import normalize

from ldebm_hf.pseudo_labels.latent_semantics import LatentSemantics

SPECIAL = (0, 1, 2)
TOPICS = {0: range(10, 20), 1: range(20, 30), 2: range(30, 40)}


@pytest.fixture
def texts() -> tuple[list[list[int]], np.ndarray]:
    """120 texts of token ids, each of one of three sets of ten words, and which set; 0 begins and 1 ends each."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 120)
    return [[0, *rng.choice(TOPICS[label], rng.integers(4, 12)).tolist(), 1] for label in labels], labels


def test_it_is_scikit_learns_analysis_of_the_words(texts):
    """Cosines between texts; the directions themselves have arbitrary signs."""
    token_ids, _ = texts
    vectors = LatentSemantics(token_ids, SPECIAL, num_directions=8).features(token_ids)
    words = [" ".join(f"w{token}" for token in ids[1:-1]) for ids in token_ids]
    expected = TruncatedSVD(8, random_state=0).fit_transform(TfidfVectorizer().fit_transform(words))
    expected = normalize(expected)
    np.testing.assert_allclose(vectors @ vectors.T, expected @ expected.T, atol=1e-5)
    assert vectors.dtype == np.float32


def test_topics_are_what_it_sees(texts):
    token_ids, labels = texts
    semantics = LatentSemantics(token_ids[:80], SPECIAL)
    kmeans = KMeans(3, n_init=5, random_state=0).fit(semantics.features(token_ids[:80]))
    assert v_measure_score(labels[80:], kmeans.predict(semantics.features(token_ids[80:]))) > 0.95


def test_order_padding_and_unknown_words_do_not_count(texts):
    token_ids, _ = texts
    semantics = LatentSemantics(token_ids, SPECIAL)
    first = token_ids[0]
    other_order = semantics.features([[2, 2, *reversed(first), 99]])
    np.testing.assert_allclose(semantics.features([first]), other_order, atol=1e-6)
    assert not semantics.features([[0, 99, 1], []]).any()


def test_too_little_to_analyse_is_refused():
    with pytest.raises(ValueError, match="got 2 texts with 3 words"):
        LatentSemantics([[0, 10, 12, 1], [0, 11, 1]], SPECIAL)


def test_vectors_have_length_1_in_as_many_directions_as_asked_for_or_possible(texts):
    token_ids, _ = texts
    assert LatentSemantics(token_ids, SPECIAL, num_directions=8).features(token_ids).shape == (120, 8)
    vectors = LatentSemantics(token_ids, SPECIAL).features(token_ids)
    assert vectors.shape == (120, 29), "one less than the 30 words"
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert LatentSemantics(token_ids[:7], SPECIAL).features(token_ids).shape == (120, 6), "one less than the 7 texts"
    assert LatentSemantics([[10], [11], [12]]).features([[10]]).shape == (1, 2)


def test_there_are_100_directions_by_default():
    """And the same seed finds the same ones."""
    texts = np.random.default_rng(0).integers(0, 300, (150, 20)).tolist()
    first, again, other = (LatentSemantics(texts, **seed).features(texts) for seed in ({}, {"seed": 0}, {"seed": 1}))
    assert first.shape == (150, 100)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-4
