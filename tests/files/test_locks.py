"""One process at a time writes to a place; the others hear which one it is; the dead are in nobody's way."""

import json
import os
import re
import socket

import pytest
import torch
from tiny_models import tiny_model

from ldebm_hf import build_tokenizer
from ldebm_hf.files import writing
from ldebm_hf.files.locks import InUseError, WriteLock


def hold(folder, ready, may_end):
    with WriteLock(folder / ".lock", folder):
        ready.set()
        may_end.wait(60)


@pytest.fixture
def other_process(processes, tmp_path):
    """Another process that holds the lock; and the event on which it lets go."""
    ready, may_end = processes.Event(), processes.Event()
    process = processes.Process(target=hold, args=(tmp_path, ready, may_end))
    process.start()
    assert ready.wait(60)
    yield process, may_end
    process.kill()
    process.join()


def test_the_other_process_is_named(tmp_path, other_process):
    process, may_end = other_process
    lock = WriteLock(tmp_path / ".lock", tmp_path)
    owner = f"process {process.pid} on {re.escape(socket.gethostname())}, since 20"
    for _ in range(2):
        with pytest.raises(InUseError, match=f"{tmp_path} is in use by {owner}.*: wait until it has ended"):
            lock.acquire()
    lock.release()
    assert json.loads((tmp_path / ".lock.json").read_text())["pid"] == process.pid, "it is still the other's lock"
    may_end.set()
    process.join()
    with lock:
        assert json.loads((tmp_path / ".lock.json").read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_nothing_that_hinders(tmp_path, other_process):
    process, _ = other_process
    process.kill()
    process.join()
    assert (tmp_path / ".lock").exists() and (tmp_path / ".lock.json").exists()
    with WriteLock(tmp_path / ".lock", tmp_path):
        assert json.loads((tmp_path / ".lock.json").read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}"])
def test_a_process_that_has_not_said_who_it_is_still_keeps_others_out(tmp_path, other_process, content):
    (tmp_path / ".lock.json").unlink()
    if content is not None:
        (tmp_path / ".lock.json").write_text(content)
    with pytest.raises(InUseError, match="is in use by another process: wait"):
        WriteLock(tmp_path / ".lock", tmp_path).acquire()


def test_an_error_inside_lets_go(tmp_path):
    with pytest.raises(ZeroDivisionError), WriteLock(tmp_path / "new" / ".lock", tmp_path):
        raise ZeroDivisionError
    with WriteLock(tmp_path / "new" / ".lock", tmp_path):
        pass


def test_a_file_of_samples_takes_names_that_are_numbers(tmp_path):
    model, tokenizer = tiny_model(id2label={0: "1", 1: "2", 2: "3"}), build_tokenizer(["a b c d e f g h"])
    options = {"show_progress": False, "num_samples": 2}
    with pytest.raises(ValueError, match="got 1: write '1'"):
        writing.write_samples(model, tokenizer, tmp_path / "x.jsonl", class_labels=1, **options)
    for name, labels in (("by_name", ["2", "1"]), ("by_id", torch.tensor([1, 0]))):
        writing.write_samples(model, tokenizer, tmp_path / f"{name}.jsonl", class_labels=labels, **options)
    written = [json.loads(line) for line in (tmp_path / "by_name.jsonl").read_text().splitlines()]
    assert [record["symbol"] for record in written] == ["2", "2", "1", "1"]
    assert (tmp_path / "by_id.jsonl").read_bytes() == (tmp_path / "by_name.jsonl").read_bytes()


def test_a_file_of_samples_has_one_writer(tmp_path, monkeypatch):
    model, tokenizer = tiny_model(), build_tokenizer(["a b c d e f g h"])
    path = tmp_path / "texts.jsonl"
    begin = writing.ResumableFile.begin

    def begin_and_try_again(file, *arguments):
        begin(file, *arguments)
        with pytest.raises(InUseError, match=f"texts.jsonl is in use by process {os.getpid()} on"):
            writing.write_samples(model, tokenizer, path, 2, show_progress=False)

    monkeypatch.setattr(writing.ResumableFile, "begin", begin_and_try_again)
    writing.write_samples(model, tokenizer, path, 2, show_progress=False)
    assert [file.name for file in tmp_path.iterdir()] == ["texts.jsonl"]
