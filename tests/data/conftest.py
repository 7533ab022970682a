from pathlib import Path

import pytest


@pytest.fixture
def write(tmp_path):
    """Write bytes or text under the test's folder and return the path."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write
