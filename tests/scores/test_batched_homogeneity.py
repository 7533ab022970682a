"""Homogeneity within batches: scikit-learn's batch by batch, and how high random symbols score."""

import numpy as np
import pytest
from sklearn.metrics import homogeneity_score

from ldebm_hf.scores import batched_homogeneity, symbol_scores

# How often each class occurs among the 7,740 utterances of DailyDialog's test split.
ACTS = np.repeat(np.arange(1, 5), [3534, 2210, 1278, 718])
EMOTIONS = np.repeat(np.arange(7), [6321, 118, 47, 17, 1019, 102, 116])


def test_is_scikit_learns_mean_over_batches():
    rng = np.random.default_rng(0)
    classes = np.where(np.arange(1000) < 100, 3, rng.integers(4, size=1000))  # the first batch has one class only
    symbols = 1000 * np.where(rng.random(1000) < 0.5, classes, rng.integers(50, size=1000))
    batches = [(homogeneity_score(classes[i : i + 90], symbols[i : i + 90]), 90) for i in range(0, 990, 90)]
    last = homogeneity_score(classes[990:], symbols[990:])
    dropped = batched_homogeneity(symbols, classes, batch_size=90)
    kept = batched_homogeneity(symbols, classes, batch_size=90, drop_last=False)
    whole = sum(value * size for value, size in batches)
    assert batches[0][0] == 1
    assert dropped.batched_homogeneity == pytest.approx(whole / 990)
    assert kept.batched_homogeneity == pytest.approx((whole + 10 * last) / 1000)
    one_batch = batched_homogeneity(symbols, classes, batch_size=1000)
    assert one_batch.batched_homogeneity == pytest.approx(homogeneity_score(classes, symbols))


@pytest.mark.parametrize(
    "batch_size, num_symbols, acts, emotions",
    [
        (128, 125, 0.694, 0.729),
        (128, 60, 0.50, 0.57),
        (128, 30, 0.30, 0.39),
        (128, 10, 0.10, 0.19),
        (30, 125, 0.913, 0.924),
    ],
)
def test_random_symbols_score_high_in_small_batches(batch_size, num_symbols, acts, emotions):
    """Values measured with the published code's protocol, on the labels in the order of the dialogues."""
    rng = np.random.default_rng(0)
    for classes, expected in ((ACTS, acts), (EMOTIONS, emotions)):
        symbols = rng.integers(num_symbols, size=len(classes))
        scores = batched_homogeneity(symbols, rng.permutation(classes), batch_size)
        # The value measured is one draw, rounded to two digits; and our labels come in another order.
        tolerance = 4 * scores.batched_homogeneity_chance_std + 0.005
        assert abs(scores.batched_homogeneity_chance - expected) < tolerance
        assert abs(scores.batched_homogeneity - scores.batched_homogeneity_chance) < tolerance


def test_random_symbols_score_low_on_the_whole_set():
    rng = np.random.default_rng(0)
    for classes, expected in ((ACTS, 0.021), (EMOTIONS, 0.074)):
        scores = symbol_scores(rng.integers(125, size=len(classes)), classes)
        assert abs(scores.homogeneity_chance - expected) < 4 * scores.homogeneity_chance_std
        shares = np.unique(classes, return_counts=True)[1] / len(classes)
        # (symbols - 1)(classes - 1) / 2n nats; less where classes are so rare that a symbol expects below one of them.
        nats = 124 * (len(shares) - 1) / (2 * len(classes))
        assert scores.homogeneity_chance == pytest.approx(nats / -(shares @ np.log(shares)), rel=0.15)


def test_examples_of_unknown_class_are_in_no_batch():
    rng = np.random.default_rng(0)
    symbols, classes = rng.integers(5, size=400), rng.integers(3, size=400)
    hidden = np.where(np.arange(400) % 4 == 0, -100, classes)
    known = hidden >= 0
    assert batched_homogeneity(symbols, hidden, 50) == batched_homogeneity(symbols[known], classes[known], 50)


def test_bad_arguments():
    with pytest.raises(ValueError, match="batch_size=128 must not be more than the 3 examples"):
        batched_homogeneity([0, 1, 2], [0, 1, 1])
    assert batched_homogeneity([0, 1, 2], [0, 1, 1], drop_last=False).batched_homogeneity == pytest.approx(1)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        batched_homogeneity([0, 1, 2], [0, 1, 1], batch_size=0)
    with pytest.raises(ValueError, match="one per symbol"):
        batched_homogeneity([0, 1, 2], [0, 1])
