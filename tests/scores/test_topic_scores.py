import math

import numpy as np
import pytest

from ldebm_hf.scores import topic_coherence, topic_diversity

DOCUMENTS = ["a b c", "a b", "a d", "e", "c d"]


def split(texts):
    return [text.split() for text in texts]


def npmi(both: int, one: int, other: int, total: int = 5) -> float:
    return math.log(both * total / (one * other)) / -math.log(both / total)


def test_pairs_by_hand():
    pairs = {"a b": npmi(2, 3, 2), "a c": npmi(1, 3, 2), "b d": -1.0, "c d": npmi(1, 2, 2)}
    np.testing.assert_allclose(topic_coherence(split(pairs), split(DOCUMENTS)), list(pairs.values()))
    (mean,) = topic_coherence([["a", "b", "c"]], split(DOCUMENTS))
    assert mean == pytest.approx((npmi(2, 3, 2) + npmi(1, 3, 2) + npmi(1, 2, 2)) / 3)


def test_limits():
    assert topic_coherence([["a", "b"]], split(["a b"] * 3 + ["c"] * 4)) == pytest.approx(1.0)
    assert topic_coherence([["a", "b"]], split(["a b", "b a c"])) == pytest.approx(1.0)  # all documents have both
    assert topic_coherence([["a", "unheard"]], split(DOCUMENTS)) == pytest.approx(-1.0)
    independent = split(["a b", "a", "b", "c"])
    assert topic_coherence([["a", "b"]], independent) == pytest.approx(0.0)


def test_a_word_counts_once_per_document_and_order_does_not_matter():
    expected = topic_coherence(split(["a b c"]), split(DOCUMENTS))
    repeated = [document + document[:1] for document in split(DOCUMENTS)]
    assert topic_coherence([["c", "a", "b"]], repeated) == pytest.approx(expected)


def test_diversity():
    assert topic_diversity(split(["a b", "c d"])) == 1
    assert topic_diversity(split(["a b", "b a", "a b"])) == pytest.approx(1 / 3)
    assert topic_diversity(split(["a b", "a c"])) == pytest.approx(3 / 4)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"two different words each, got \['a', 'a'\]"):
        topic_coherence([["a", "a"]], split(DOCUMENTS))
    with pytest.raises(ValueError, match="documents must contain at least one"):
        topic_coherence([["a", "b"]], [])
    with pytest.raises(ValueError, match="topics must have words"):
        topic_diversity([])
