"""Attribute accuracy worked out by hand, and its chance level by enumerating all permutations."""

from itertools import permutations

import numpy as np
import pytest

from ldebm_hf.scores import attribute_accuracy


def test_accuracy_overall_and_of_each_label():
    scores = attribute_accuracy([0, 0, 1, 1, 1, 0, 7], [0, 0, 0, 0, 1, 1, -100], ["negative", "positive"])
    assert scores.pop("accuracy_chance") == pytest.approx((3 * 4 + 3 * 2) / 36)
    assert scores.pop("accuracy_chance_std") > 0
    errors = {name: scores.pop(f"{name}_std_error") for name in ("accuracy", "accuracy_negative", "accuracy_positive")}
    assert scores == {"accuracy": 0.5, "accuracy_negative": 0.5, "accuracy_positive": 0.5}
    half = pytest.approx((0.25 / 2) ** 0.5)
    assert errors["accuracy_positive"] == half and errors["accuracy"] == pytest.approx((0.25 / 6) ** 0.5)
    assert attribute_accuracy([2, 0], [2, 2])["accuracy_2"] == 0.5


def test_standard_error_is_the_spread_of_repeated_samples():
    rng = np.random.default_rng(0)
    hits = rng.random((2000, 400)) < 0.9
    scores = [attribute_accuracy(row.astype(int), np.ones(400, int)) for row in hits]
    spread = np.std([one["accuracy"] for one in scores])
    # A standard deviation estimated from 2,000 draws has a relative error of 1/√4000 = 1.6 %.
    assert np.mean([one["accuracy_std_error"] for one in scores]) == pytest.approx(spread, rel=0.06)


def test_chance_is_that_of_all_permutations():
    predictions, references = np.array([0, 0, 1, 2, 2, 3]), np.array([0, 1, 1, 2, 2, 2])
    shares = [(np.array(permuted) == references).mean() for permuted in permutations(predictions)]
    scores = attribute_accuracy(predictions, references)
    assert scores["accuracy_chance"] == pytest.approx(np.mean(shares))
    assert scores["accuracy_chance_std"] == pytest.approx(np.std(shares))


def test_constant_predictions_are_at_chance():
    scores = attribute_accuracy([1] * 10, [0, 1] * 5)
    assert scores["accuracy"] == scores["accuracy_chance"] == 0.5 and scores["accuracy_chance_std"] == 0
    assert attribute_accuracy([1], [1])["accuracy_chance_std"] == 0


def test_wrong_labels_are_refused():
    with pytest.raises(ValueError, match="label_names must name label 2, got 2 names"):
        attribute_accuracy([0, 1], [0, 2], ["no", "yes"])
    for names in (["no", "chance"], ["no", "std_error"], ["no", "chance_std"], ["no", "no"], ["no", "no_std_error"]):
        with pytest.raises(ValueError, match=f"must not repeat the key 'accuracy_.*, got '{names[1]}' for label 1"):
            attribute_accuracy([0, 1], [0, 1], names)
    with pytest.raises(ValueError, match="shapes"):
        attribute_accuracy([0, 1], [0])
