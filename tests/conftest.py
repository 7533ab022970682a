"""What all tests share: no network, no telemetry, and the place of the real data sets."""

import gc
import multiprocessing
import os
import shutil
import sys
from multiprocessing import forkserver
from pathlib import Path

import pytest

# Read by huggingface_hub when it is imported, so they are set before any test module is.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
# Otherwise torch.compile starts processes that import PyTorch, which takes longer than to compile what tests do.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_collection_finish():
    """Leave the modules and the collected tests out of later garbage collections: every training run asks for one."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def quick_disk():
    """Do not wait until files are on the disk: tests kill processes, but do not cut the power. Small runs would spend
    most of their time waiting. Whether the package waits, test_atomic.py checks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def processes():
    """Makes processes that start quickly: they are forked from a server that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["imported_server"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # where the server looks for what it preloads
        forkserver.ensure_running()
    return context


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real data sets (`ptb/`, `yelp/`, ...): `LDEBM_DATA_DIR`, default `../shared/data`."""
    path = Path(os.environ.get("LDEBM_DATA_DIR", REPOSITORY.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no real data at {path}: set LDEBM_DATA_DIR to test on it")
    return path


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium of the system, by Playwright; skips what asks for it where one of them is missing."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()
