"""Which examples make up each step, and how they are padded."""

import numpy as np
import pytest
import torch

from ldebm_hf import build_tokenizer
from ldebm_hf.data import PointSplit, Split
from ldebm_hf.training.batches import (
    PointExamples,
    TokenizedSplit,
    model_inputs,
    plan_epoch,
    to_device,
)
from ldebm_hf.training.randomness import Purpose, generator, seed_noise


@pytest.mark.parametrize("num_examples", [1, 2, 3, 7, 8, 16, 23, 24])
@pytest.mark.parametrize(("num_micro_batches", "num_processes"), [(1, 1), (2, 1), (1, 2), (3, 2)])
def test_every_example_counts_once_in_every_step(num_examples, num_micro_batches, num_processes):
    order = np.random.default_rng(0).permutation(num_examples)
    plans = [
        plan_epoch(order, 4, num_micro_batches=num_micro_batches, num_processes=num_processes, process=process)
        for process in range(num_processes)
    ]
    step_size = 4 * num_micro_batches * num_processes
    assert {len(plan) for plan in plans} == {-(-num_examples // step_size)}
    for number, steps in enumerate(zip(*plans, strict=True)):
        assert len({len(step.micro_batches) for step in steps}) == 1, "as many forward passes on every process"
        parts = [
            (micro, weight) for step in steps for micro, weight in zip(step.micro_batches, step.weights, strict=True)
        ]
        assert all(1 <= len(micro) <= 4 for micro, _ in parts)
        expected = order[number * step_size : (number + 1) * step_size]
        if len(expected) >= num_processes:
            assert sorted(np.concatenate([micro for micro, _ in parts])) == sorted(expected)
        # The mean over processes of the weighted means is the plain mean.
        values = np.arange(num_examples) ** 2.0
        combined = sum(weight * values[micro].mean() for micro, weight in parts) / num_processes
        assert combined == pytest.approx(values[np.concatenate([micro for micro, _ in parts])].mean())


def test_accumulated_steps_have_the_examples_of_plain_ones():
    order = np.random.default_rng(0).permutation(37)
    plain, accumulated = plan_epoch(order, 8), plan_epoch(order, 4, num_micro_batches=2)
    assert len(plain) == len(accumulated) == 5
    for one, two in zip(plain, accumulated, strict=True):
        np.testing.assert_array_equal(np.concatenate(one.micro_batches), np.concatenate(two.micro_batches))


@pytest.fixture
def split() -> TokenizedSplit:
    texts = Split(["a b c d e", "a", "b c", "c d e"], [0, 1, -100, 1])
    return TokenizedSplit.from_split(texts, build_tokenizer(texts.texts), max_length=5)


def test_texts_are_tokenised_and_cut_with_their_end_mark(split):
    assert [len(ids) for ids in split.token_ids] == [5, 3, 4, 5]
    assert all(ids[0] == 2 and ids[-1] == 3 for ids in split.token_ids)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_are_padded_and_ordered_from_long_to_short(split, num_workers):
    first, second = split.batches([np.array([1, 2]), np.array([3])], num_workers=num_workers)
    assert first["input_ids"].tolist() == [split.token_ids[2], [*split.token_ids[1], 0]]
    assert first["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert first["class_labels"].tolist() == [-100, 1]
    assert first["lengths"] == [4, 3]
    assert first["indices"].tolist() == [2, 1] and second["indices"].tolist() == [3]
    assert {value.dtype for name, value in first.items() if name != "lengths"} == {torch.int64}


def test_other_symbols_may_take_the_labels_place(split):
    (batch,) = split.batches([np.array([0, 2])], class_labels=np.array([4, 5, 6, 7]))
    assert batch["class_labels"].tolist() == [4, 6]


def test_tensors_of_a_batch_go_to_the_device_and_lengths_stay(split):
    (batch,) = split.batches([np.array([0, 2])])
    moved = to_device(batch, torch.device("meta"))
    assert moved.keys() == batch.keys() and moved["lengths"] == [5, 4]
    assert {value.device.type for name, value in moved.items() if name != "lengths"} == {"meta"}


def test_batches_by_length_hold_everything_once(split):
    batches = split.batches_by_length(3)
    assert [batch.tolist() for batch in batches] == [[1, 2, 0], [3]]


@pytest.fixture
def points() -> PointExamples:
    return PointExamples.from_split(PointSplit(np.arange(10).reshape(5, 2), [0, 1, -100, 1, 2]))


def test_batches_of_points_are_rows_in_the_order_asked_for(points):
    first, second = points.batches([np.array([4, 0, 4]), np.array([2])])
    assert first["points"].tolist() == [[8, 9], [0, 1], [8, 9]] and first["points"].dtype == torch.float32
    assert first["class_labels"].tolist() == [2, 0, 2] and first["indices"].tolist() == [4, 0, 4]
    assert second["points"].tolist() == [[4, 5]] and second["class_labels"].tolist() == [-100]
    (batch,) = points.batches([np.array([4, 0])], class_labels=np.array([5, 6, 7, 8, 9]), num_workers=2)
    assert batch["class_labels"].tolist() == [9, 5]


def test_batches_of_points_for_encoding_hold_everything_once(points):
    assert [batch.tolist() for batch in points.batches_by_length(2)] == [[0, 1], [2, 3], [4]]


def test_model_reads_all_but_symbols_and_indices(split, points):
    (texts,), (vectors,) = split.batches([np.array([0, 2])]), points.batches([np.array([0, 2])])
    assert model_inputs(texts).keys() == {"input_ids", "attention_mask", "lengths"}
    assert model_inputs(vectors).keys() == {"points"}


def test_digest_changes_with_every_example_and_label(split, points):
    digests = [split.digest, points.digest]
    split.token_ids[1][1], points.points[3, 1] = 9, 8
    digests += [split.digest, points.digest]
    split.labels[0], points.labels[0] = 1, 1
    digests += [split.digest, points.digest]
    assert len(set(digests)) == 6


def test_noise_depends_on_seed_purpose_and_place_only():
    def draw(*where) -> float:
        seed_noise(*where)
        return torch.rand(()).item()

    places = [(seed, purpose, *place) for seed in (0, 1) for purpose in Purpose for place in [(0, 0), (0, 1), (1, 0)]]
    first = [draw(*place) for place in places]
    torch.rand(17)
    assert [draw(*place) for place in places] == first
    assert len(set(first)) == len(places)


def test_orders_differ_between_epochs():
    orders = [generator(0, Purpose.EPOCH_ORDER, epoch).permutation(20).tolist() for epoch in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]
