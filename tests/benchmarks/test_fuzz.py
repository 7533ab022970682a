"""A few hundred random requests of each kind: each is answered, or refused in a sentence that names what is wrong."""

import importlib

import pytest


@pytest.mark.parametrize(
    ("module", "number"),
    [("fuzz_arguments", 300), ("fuzz_configurations", 300), ("fuzz_recipes", 300), ("fuzz_data_files", 300)],
)
def test_random_requests_end_clearly(module, number):
    fuzz = importlib.import_module(module)
    outcomes = fuzz.run(number, seed=1)
    assert outcomes.counts.total() == number
    assert outcomes.counts["answered"] > 0.1 * number
    assert outcomes.counts["refused in a sentence"] > 0.1 * number
    assert not outcomes.unclear
