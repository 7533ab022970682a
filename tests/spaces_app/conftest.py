"""The Space's modules, as its own folder sees them."""

import sys
from pathlib import Path

import pytest
from tiny_models import write_tiny_checkpoint

SPACE = Path(__file__).parents[2] / "spaces_app"


@pytest.fixture(scope="session", autouse=True)
def space_on_path():
    sys.path.insert(0, str(SPACE))
    yield
    sys.path.remove(str(SPACE))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> str:
    texts = ["we like red fruit", "you sell bread"]
    return write_tiny_checkpoint(tmp_path_factory.mktemp("space") / "tiny", texts, {0: "food", 1: "drink"})
