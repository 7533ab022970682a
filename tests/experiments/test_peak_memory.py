"""The peak memory of a run is counted anew for each run."""

import numpy as np

from ldebm_hf.experiments import peak_memory
from ldebm_hf.experiments.peak_memory import peak_gigabytes, reset_peak_memory


def test_a_peak_is_of_what_came_after_the_reset():
    block = np.ones(100_000_000)  # 0.8 GB
    before = peak_gigabytes()
    assert before > 0.8 and block[-1] == 1
    del block
    assert reset_peak_memory()
    assert peak_gigabytes() < before - 0.7


def test_systems_that_cannot_count_anew_say_so(monkeypatch, tmp_path):
    monkeypatch.setattr(peak_memory, "CLEAR", tmp_path / "absent" / "clear_refs")
    assert not reset_peak_memory()
