"""Checkpoints are whole or not there, on a full disk and after corruption."""

import json
import resource
from contextlib import contextmanager

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from ldebm_hf.training.checkpoints import MANIFEST, CheckpointStore, problem_of


@pytest.fixture
def store(tmp_path) -> CheckpointStore:
    accelerator = Accelerator(cpu=True)
    model = nn.Linear(40, 40)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 40)).sum().backward()
    optimizer.step()
    accelerator.prepare(model, optimizer)
    store = CheckpointStore(accelerator, tmp_path / "checkpoints", limit=2, fingerprint={"seed": 0, "rate": 1e-3})
    store.prepare()
    return store


def names(store: CheckpointStore) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir())


@contextmanager
def largest_file(size: int):
    """No file can grow beyond `size` bytes, as on a disk with no more room."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def test_only_the_newest_are_kept(store):
    for step in (5, 10, 115):
        assert store.save(step) == store.folder / f"step-{step:08d}"
    assert names(store) == ["step-00000010", "step-00000115"]
    assert store.latest() == store.last_good == store.folder / "step-00000115"


def test_checkpoint_counts_as_soon_as_it_is_in_place(store, monkeypatch):
    """Where the other processes are lost while they tell how they did, the run goes on from it all the same."""
    done = []

    def lose_the_others(problems):
        if done:
            raise RuntimeError("gloo/transport: connection closed")
        return done.append(problems) or problems

    monkeypatch.setattr("ldebm_hf.training.checkpoints.gather_object", lose_the_others)
    with pytest.raises(RuntimeError):
        store.save(5)
    assert store.last_good == store.latest() == store.folder / "step-00000005"


def test_loading_brings_the_weights_back(store):
    (model,) = store.accelerator._models
    before = model.weight.detach().clone()
    path = store.save(1)
    nn.init.zeros_(model.weight)
    store.load(path)
    assert torch.equal(model.weight, before)


@pytest.mark.parametrize("size", [100, 5_000, 10_000])  # in the model, in the optimiser's state, in it too
def test_full_disk_leaves_the_checkpoints_there_are(store, size):
    first = store.save(1)
    with largest_file(size), pytest.raises(OSError, match="could not write checkpoint .*step-00000002"):
        store.save(2)
    assert names(store) == ["step-00000001"]
    assert store.latest() == store.last_good == first
    assert store.save(3) == store.latest(), "room again"


def test_failure_of_the_manifest_is_a_failure_of_the_checkpoint(store, monkeypatch):
    store.save(1)

    def fail(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ldebm_hf.training.checkpoints.flush_folder", fail)
    with pytest.raises(OSError, match="No space left on device"):
        store.save(2)
    assert names(store) == ["step-00000001"]


def corrupt(path, how: str) -> None:
    if how == "a changed byte":
        content = bytearray((path / "optimizer.bin").read_bytes())
        content[len(content) // 2] ^= 1
        (path / "optimizer.bin").write_bytes(content)
    elif how == "a file cut short":
        (path / "model.safetensors").write_bytes((path / "model.safetensors").read_bytes()[:100])
    elif how == "a missing file":
        (path / "model.safetensors").unlink()
    elif how == "no manifest":
        (path / MANIFEST).unlink()
    else:
        (path / MANIFEST).write_text('{"step": 2, "fi')


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("a changed byte", "optimizer.bin is not as it was written"),
        ("a file cut short", "model.safetensors is not as it was written"),
        ("a missing file", "model.safetensors is missing"),
        ("no manifest", "it has no manifest"),
        ("half a manifest", "its manifest cannot be read"),
    ],
)
def test_damaged_checkpoint_is_skipped_and_named(store, caplog, how, problem):
    good, bad = store.save(1), store.save(2)
    corrupt(bad, how)
    assert problem_of(bad) == problem
    assert store.latest() == good
    assert str(bad) in caplog.text and problem in caplog.text
    with pytest.raises(FileNotFoundError, match=problem):
        store.load(bad)


def test_damaged_checkpoint_is_replaced_and_does_not_push_out_good_ones(store):
    for step in (1, 2):
        store.save(step)
    corrupt(store.folder / "step-00000002", "no manifest")
    store.load(store.latest())
    store.save(2)
    assert names(store) == ["step-00000001", "step-00000002"]
    assert problem_of(store.folder / "step-00000002") is None


def test_leftovers_of_a_killed_save_are_cleared_and_never_taken_for_a_checkpoint(store):
    store.save(1)
    leftover = store.folder / ".step-00000002.tmp"
    leftover.mkdir()
    (leftover / "model.safetensors").write_bytes(b"half")
    assert store.latest() == store.folder / "step-00000001"
    store.prepare()
    assert names(store) == ["step-00000001"]


def test_another_runs_checkpoint_is_refused_with_the_difference(store):
    path = store.save(1)
    store.fingerprint = {"seed": 1, "rate": 1e-3, "texts": "abc"}
    with pytest.raises(ValueError, match="another run: seed was 0 and is now 1; texts was None and is now 'abc'"):
        store.load(path)


def test_no_checkpoint_is_no_error_for_latest_but_for_a_path(store):
    assert store.latest() is None
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        store.load(store.folder / "step-00000009")


def test_manifest_lists_every_file(store):
    path = store.save(4)
    manifest = json.loads((path / MANIFEST).read_text())
    assert manifest["step"] == 4 and manifest["fingerprint"] == {"seed": 0, "rate": 1e-3}
    assert {file.name for file in path.iterdir()} == {*manifest["files"], MANIFEST}
    assert manifest["files"]["model.safetensors"]["size"] == (path / "model.safetensors").stat().st_size
