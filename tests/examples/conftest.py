import pytest


@pytest.fixture
def without_curves(monkeypatch):
    """Leave out the figure of each run, which takes longer than tiny trainings."""
    monkeypatch.setattr("ldebm_hf.training.loop.plot_validation_curves", lambda metrics, figure: False)
