from collections import Counter
from dataclasses import replace

import pytest

from ldebm_hf.data import NO_LABEL, Split
from ldebm_hf.data.splits import hide_labels, hold_out, keep_labels, limit_training, take_subset


def labelled(counts: dict[int, int]) -> Split:
    labels = [label for label, count in counts.items() for _ in range(count)]
    return Split([f"text {i}" for i in range(len(labels))], labels)


def test_hold_out_is_stratified_disjoint_and_seeded():
    split = labelled({NO_LABEL: 200, 0: 500, 1: 100})
    rest, held_out = hold_out(split, 0.1, seed=3)
    assert Counter(held_out.labels) == {NO_LABEL: 20, 0: 50, 1: 10}
    assert set(rest.texts).isdisjoint(held_out.texts) and len(rest) + len(held_out) == len(split)
    assert held_out == hold_out(split, 0.1, seed=3)[1] != hold_out(split, 0.1, seed=4)[1]
    assert rest.texts == [text for text in split.texts if text not in set(held_out.texts)]


@pytest.mark.parametrize(
    ("size", "fraction", "expected"), [(2, 0.01, 1), (2, 0.99, 1), (10, 0.25, 2), (1000, 0.1, 100)]
)
def test_hold_out_leaves_something_on_both_sides(size, fraction, expected):
    rest, held_out = hold_out(labelled({0: size}), fraction, seed=0)
    assert len(held_out) == expected and len(rest) == size - expected


def test_the_only_example_of_a_class_is_not_held_out():
    """600 texts, of which 6 have labels: of two classes two, of two others one."""
    labels = [0, 0, 1, 1, 2, 3] + [NO_LABEL] * 594
    split = Split([str(i) for i in range(600)], labels)
    for seed in range(20):
        rest, held_out = hold_out(split, 0.1, seed)
        assert {0, 1, 2, 3} <= set(rest.labels) and len(held_out) == 60
    alone = Split(["a", "b"], [0, 1])
    assert [len(part) for part in hold_out(alone, 0.5, 0)] == [1, 1]


def test_hold_out_refuses():
    with pytest.raises(ValueError, match="validation_fraction .* got 1.0"):
        hold_out(labelled({0: 5}), 1.0, seed=0)
    with pytest.raises(ValueError, match="cannot be divided"):
        hold_out(labelled({0: 1}), 0.5, seed=0)


def test_take_subset_keeps_order_and_is_seeded():
    split = labelled({0: 50, 1: 50})
    subset = take_subset(split, 20, seed=0)
    assert len(subset) == 20 and set(subset.labels) == {0, 1}
    assert subset.texts == [text for text in split.texts if text in set(subset.texts)]
    assert subset == take_subset(split, 20, seed=0) != take_subset(split, 20, seed=1)
    assert take_subset(split, 1000, seed=0) == split
    with pytest.raises(ValueError, match="max_train_examples must be at least 1, got 0"):
        take_subset(split, 0, seed=0)


def test_attributes_stay_with_their_texts():
    split = labelled({NO_LABEL: 40, 0: 40, 1: 20})
    split = replace(split, attributes={"number": [int(text.split()[1]) for text in split.texts]})
    rest, held_out = hold_out(split, 0.2, seed=0)
    for part in (rest, held_out, take_subset(split, 30, seed=0), hide_labels(split, 0.5, seed=0)):
        assert part.attributes["number"] == [int(text.split()[1]) for text in part.texts]


def test_hide_labels_keeps_a_share_of_the_known_ones():
    split = labelled({NO_LABEL: 100, 0: 60, 1: 40})
    hidden = hide_labels(split, 0.25, seed=0)
    assert sum(label != NO_LABEL for label in hidden.labels) == 25
    assert all(new in (old, NO_LABEL) for new, old in zip(hidden.labels, split.labels, strict=True))
    assert hidden.texts == split.texts and hide_labels(split, 1.0, seed=0) == split
    assert hide_labels(split, 0.0, seed=0).classes == set()
    with pytest.raises(ValueError, match="label_fraction must be between 0 and 1, got 1.5"):
        hide_labels(split, 1.5, seed=0)


def test_keep_labels_takes_equally_many_of_each_class():
    split = labelled({NO_LABEL: 50, 0: 400, 1: 30, 2: 100})
    kept = keep_labels(split, 60, seed=1)
    assert Counter(kept.labels) == {NO_LABEL: 520, 0: 20, 1: 20, 2: 20} and kept.texts == split.texts
    assert all(new in (NO_LABEL, old) for new, old in zip(kept.labels, split.labels, strict=True))
    assert kept == keep_labels(split, 60, seed=1) != keep_labels(split, 60, seed=2)
    assert Counter(keep_labels(split, 62, seed=1).labels) == {NO_LABEL: 518, 0: 21, 1: 21, 2: 20}


def test_more_labels_of_a_draw_hold_the_fewer():
    split = labelled({0: 40, 1: 40})
    few, many = (keep_labels(split, count, seed=5).labels for count in (4, 20))
    assert all(more == fewer for fewer, more in zip(few, many, strict=True) if fewer != NO_LABEL)


def test_keep_labels_refuses():
    with pytest.raises(ValueError, match="label_count must be at least the number of classes, 3, got 2"):
        keep_labels(labelled({0: 5, 1: 5, 2: 5}), 2, seed=0)
    with pytest.raises(ValueError, match="label_count=20 needs 10 labels of class 1, and there are 4"):
        keep_labels(labelled({0: 50, 1: 4}), 20, seed=0)
    with pytest.raises(ValueError, match="label_count=2 and label_fraction=0.5 cannot both be given"):
        limit_training(labelled({0: 5, 1: 5}), None, 0.5, 0, label_count=2)


def test_label_seed_decides_nothing_but_the_labels():
    split = labelled({0: 50, 1: 50})
    first, second = (limit_training(split, 40, 1, 0, label_count=10, label_seed=seed) for seed in (1, 2))
    assert first.texts == second.texts and first.labels != second.labels
    default, given = (limit_training(split, 40, 1, 0, label_count=10, label_seed=seed) for seed in (None, 0))
    assert default == given
