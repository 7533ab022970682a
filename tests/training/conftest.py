import multiprocessing

import pytest
from accelerate.state import AcceleratorState, GradientState


@pytest.fixture(autouse=True)
def fresh_accelerate_state(monkeypatch):
    """Accelerate keeps precision and processes in singletons: every test starts without them."""
    monkeypatch.setattr("ldebm_hf.training.evaluation.NUM_PRIOR_SAMPLES", 32)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


@pytest.fixture(scope="session")
def processes():
    """Makes processes that start quickly: they are forked from a server that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["faiss", "sklearn.metrics", "ldebm_hf.training"])
    return context
