import pytest
from accelerate.state import AcceleratorState, GradientState


@pytest.fixture(autouse=True)
def fresh_accelerate_state():
    """Accelerate keeps precision and processes in singletons: every test starts without them, and without those of
    the fixtures that several tests share."""
    reset_accelerate_state()
    yield
    reset_accelerate_state()


def reset_accelerate_state():
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


@pytest.fixture(scope="module", autouse=True)
def quick_runs():
    """Leave out what takes the most time in tiny runs: the figure, and most of the prior's samples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ldebm_hf.training.loop.plot_validation_curves", lambda metrics, figure: False)
        patch.setattr("ldebm_hf.training.evaluation.NUM_PRIOR_SAMPLES", 32)
        yield
