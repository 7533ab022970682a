"""The page as a program: it starts from the command, and ends promptly, with nothing of a visitor left."""

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from clean_processes import StartedPython

from ldebm_hf.web.own_texts import OwnTexts

pytest.importorskip("gradio")

REPOSITORY = Path(__file__).parents[3]
TEXTS = "text\n" + "\n".join(f"we like number {number} and bread" for number in range(60))


@contextmanager
def started_page(folder: Path, *arguments: str) -> Iterator[tuple[StartedPython, str]]:
    """A page whose temporary files lie in a folder; its process and address."""
    environment = {name: value for name, value in os.environ.items() if name != "GRADIO_TEMP_DIR"}
    environment |= {"TMPDIR": str(folder), "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
    command = ["-m", "ldebm_hf.commands.page", *arguments]
    reader, pipe = os.pipe()
    process = StartedPython(command, folder, environment, output=pipe, errors=pipe)
    os.close(pipe)
    output = open(reader)
    try:
        printed = []
        for line in output:
            printed.append(line)
            if found := re.search(r"http://\S+", line):
                break
        else:
            raise RuntimeError("".join(printed))
        threading.Thread(target=output.read, daemon=True).start()
        yield process, found[0].rstrip("/")
    finally:
        process.kill()
        process.wait()


def start_training(address: str) -> None:
    """Upload texts, train on them, and leave the connection open until the page ends."""
    http = httpx.Client(timeout=60)
    functions = http.get(f"{address}/config").json()["dependencies"]
    train = next(one["id"] for one in functions if one["api_name"] == "train")
    (path,) = http.post(f"{address}/gradio_api/upload", files={"files": ("mine.csv", TEXTS.encode())}).json()
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    joined = {"data": ["", file, "text", 3], "fn_index": train, "session_hash": "visitor"}
    assert http.post(f"{address}/gradio_api/queue/join", json=joined).status_code == 200
    is_training = threading.Event()

    def listen() -> None:
        answers = httpx.stream("GET", f"{address}/gradio_api/queue/data?session_hash=visitor", timeout=None)
        try:
            with answers as stream:
                for line in stream.iter_lines():
                    if "Reading 60 texts" in line:
                        is_training.set()
        except httpx.HTTPError:  # the page has ended
            pass

    threading.Thread(target=listen, daemon=True).start()
    assert is_training.wait(120)


@pytest.mark.slow
@pytest.mark.skipif(not OwnTexts.is_possible(), reason="faiss is not installed")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["terminated", "interrupted"])
def test_page_ends_promptly_with_its_training_and_what_was_uploaded(tmp_path, number):
    with started_page(tmp_path) as (process, address):
        start_training(address)
        assert list(tmp_path.rglob("mine.csv")) and list(tmp_path.glob("ldebm_own_texts_*"))
        start = time.monotonic()
        process.send_signal(number)
        process.wait()
        assert time.monotonic() - start < 5, "seconds, on a busy machine"
        assert process.returncode == 0
        assert not [path for path in tmp_path.iterdir() if path.name.startswith("ldebm_")]


def test_page_that_cannot_start_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="error: .*nowhere.* holds no model|error: no folder '/nowhere'"):
        with started_page(tmp_path, "/nowhere"):
            pass
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("ldebm_")]
