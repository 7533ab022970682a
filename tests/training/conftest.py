import multiprocessing

import pytest
from accelerate.state import AcceleratorState, GradientState


@pytest.fixture(autouse=True)
def fresh_accelerate_state():
    """Accelerate keeps precision and processes in singletons: every test starts without them."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


@pytest.fixture(autouse=True)
def quick_runs(monkeypatch):
    """Leave out what takes the most time in tiny runs: the figure, and most of the prior's samples."""
    monkeypatch.setattr("ldebm_hf.training.loop.plot_validation_curves", lambda metrics, figure: False)
    monkeypatch.setattr("ldebm_hf.training.evaluation.NUM_PRIOR_SAMPLES", 32)


@pytest.fixture(scope="session")
def processes():
    """Makes processes that start quickly: they are forked from a server that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["faiss", "sklearn.metrics", "ldebm_hf.training"])
    return context
