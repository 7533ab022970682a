"""Calls in new processes: their threads, their results, and a peak that is not the caller's."""

import os

import numpy as np
import pytest
import torch
from fresh_process import call_in_fresh_process, call_in_fresh_processes

from ldebm_hf.experiments.peak_memory import peak_gigabytes


def threads_and_process(number: int) -> tuple[int, int, int]:
    return number, torch.get_num_threads(), os.getpid()


def fail() -> None:
    raise ValueError("out of luck")


def test_processes_have_the_threads_that_they_are_given(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    results = call_in_fresh_processes(threads_and_process, [(0,), (1,)], num_threads=2)
    assert [result[:2] for result in results] == [(0, 2), (1, 2)]
    assert os.getpid() not in {result[2] for result in results} and os.environ["OMP_NUM_THREADS"] == "1"
    with pytest.raises(ValueError, match="out of luck"):
        call_in_fresh_process(fail)


def test_peak_is_that_of_the_process_alone():
    block = np.ones(100_000_000)  # 0.8 GB here
    assert peak_gigabytes() > 0.8 and block[-1] == 1
    assert 0 < call_in_fresh_process(peak_gigabytes) < 0.8
