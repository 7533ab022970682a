"""Calls of several threads in one computation."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ldebm_hf.web.batching import BatchedCalls


def run_behind_a_first_call(compute, numbers, at_most=16) -> tuple[list, list[list[int]]]:
    """The answers to `numbers`, which all come while a first call, of 0, is computed; and the batches."""
    batches, is_open = [], threading.Event()

    def record(requests):
        batches.append(requests)
        if requests == [0]:
            is_open.wait(60)
        return compute(requests)

    calls = BatchedCalls(record, threading.Lock(), at_most)
    with ThreadPoolExecutor(len(numbers) + 1) as pool:
        first = pool.submit(calls, 0)
        others = [pool.submit(calls, number) for number in numbers]
        while len(calls._waiting) < len(numbers):
            pass
        is_open.set()
        first.exception()
        return others, batches


def test_waiting_calls_are_computed_together_and_each_gets_its_own_answer():
    answers, batches = run_behind_a_first_call(lambda numbers: [10 * number for number in numbers], [1, 2, 3, 4])
    assert [one.result() for one in answers] == [10, 20, 30, 40]
    assert batches[0] == [0] and sorted(batches[1]) == [1, 2, 3, 4] and len(batches) == 2


def test_no_computation_is_larger_than_allowed():
    answers, batches = run_behind_a_first_call(lambda numbers: numbers, [1, 2, 3, 4, 5], at_most=2)
    assert [one.result() for one in answers] == [1, 2, 3, 4, 5]
    assert [len(batch) for batch in batches] == [1, 2, 2, 1]


def test_an_error_reaches_all_that_were_computed_together_and_none_after_them():
    def fail(numbers):
        if 1 in numbers:
            raise RuntimeError("broken")
        return numbers

    calls = BatchedCalls(fail, threading.Lock(), 16)
    with pytest.raises(RuntimeError, match="broken"):
        calls(1)
    assert calls(2) == 2
    answers, _ = run_behind_a_first_call(fail, [1, 2])
    assert all(isinstance(one.exception(), RuntimeError) for one in answers)
