"""Checkpoints are whole or not there, on a full disk and after corruption."""

import json
import resource
import shutil
from contextlib import contextmanager

import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from safetensors.torch import load_file, save_file
from torch import nn

from ldebm_hf.files.manifest import MANIFEST, problem_of, write_manifest
from ldebm_hf.training.checkpoints import CheckpointStore
from ldebm_hf.training.progress import Progress


@pytest.fixture
def store(tmp_path) -> CheckpointStore:
    accelerator = Accelerator(cpu=True)
    model = nn.Linear(40, 40)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 40)).sum().backward()
    optimizer.step()
    accelerator.prepare(model, optimizer, torch.optim.lr_scheduler.LinearLR(optimizer))
    fingerprint = {"seed": 0, "rate": 1e-3}
    store = CheckpointStore(accelerator, tmp_path / "checkpoints", 2, fingerprint, Progress(best_metric=0.1))
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


def test_folder_is_made_before_the_first_checkpoint(store, tmp_path):
    assert names(store) == []
    store.folder = tmp_path / "run" / "checkpoints"
    for _ in range(2):
        store.prepare()
        assert names(store) == []


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


def test_loading_brings_weights_and_progress_back(store):
    (model,) = store.accelerator._models
    before = model.weight.detach().clone()
    path = store.save(1)
    nn.init.zeros_(model.weight)
    store.progress.best_metric = 2.0
    store.load(path)
    assert torch.equal(model.weight, before) and store.progress.best_metric == 0.1


@pytest.mark.parametrize("size", [100, 5_000, 10_000])  # in the model, in the optimiser's state, in it too
def test_full_disk_leaves_the_checkpoints_there_are(store, size):
    first = store.save(1)
    with largest_file(size), pytest.raises(OSError, match="could not write checkpoint .*step-00000002"):
        store.save(2)
    assert names(store) == ["step-00000001"]
    assert store.latest() == store.last_good == first
    assert store.save(3) == store.latest(), "room again"


def test_what_an_earlier_attempt_has_left_is_no_part_of_a_checkpoint(store):
    leftover = store.folder / ".step-00000002.tmp"
    leftover.mkdir()
    (leftover / "random_states_7.pkl").write_bytes(b"of another run")
    path = store.save(2)
    assert "random_states_7.pkl" not in {file.name for file in path.iterdir()}


def test_failure_before_anything_is_written_is_told_too(store, monkeypatch):
    def fail(path):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(store.accelerator, "save_state", fail)
    with pytest.raises(OSError, match="could not write checkpoint .*step-00000002: .*Read-only file system"):
        store.save(2)
    assert names(store) == [] and store.last_good is None


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
        (path / MANIFEST).write_text(NO_MANIFESTS[how])


NO_MANIFESTS = {
    "half a manifest": '{"step": 2, "fi',
    "a list": "[]",
    "a list of files": '{"files": ["optimizer.bin"]}',
    "a file elsewhere": '{"files": {"../step-00000001/model.safetensors": {}}}',
    "no files": '{"step": 2}',
}


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("a changed byte", "optimizer.bin is not as it was written"),
        ("a file cut short", "model.safetensors is not as it was written"),
        ("a missing file", "model.safetensors is missing"),
        ("no manifest", "it has no manifest"),
        *((how, "its manifest cannot be read") for how in NO_MANIFESTS),
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


def test_checkpoints_of_later_steps_do_not_count_when_an_earlier_step_is_saved(store):
    """As in a run that was resumed from before them: they go when it comes to their steps."""
    for step in (10, 20):
        store.save(step)
    store.save(5)
    assert names(store) == ["step-00000005", "step-00000010", "step-00000020"]
    store.save(10)
    assert names(store) == ["step-00000005", "step-00000010", "step-00000020"]
    store.save(15)
    assert names(store) == ["step-00000010", "step-00000015", "step-00000020"]
    assert store.latest() == store.folder / "step-00000020" and store.last_good == store.folder / "step-00000015"


def test_old_checkpoint_that_cannot_be_removed_does_not_spoil_the_new_one(store, monkeypatch):
    """It is out of sight at once, and goes when the next run begins."""
    rmtree = shutil.rmtree

    def stuck(path, ignore_errors=False):
        if path.name == ".step-00000001.tmp" and not ignore_errors:
            raise OSError(39, "Directory not empty")

    for step in (1, 2):
        store.save(step)
    monkeypatch.setattr("ldebm_hf.training.checkpoints.shutil.rmtree", stuck)
    assert store.save(3) == store.latest()
    assert names(store) == [".step-00000001.tmp", "step-00000002", "step-00000003"]
    monkeypatch.setattr("ldebm_hf.training.checkpoints.shutil.rmtree", rmtree)
    store.prepare()
    assert names(store) == ["step-00000002", "step-00000003"]


def test_weights_that_never_change_are_left_out_and_stay_as_they_are(tmp_path):
    accelerator = Accelerator(cpu=True)
    model = accelerator.prepare(nn.Linear(4, 4))
    store = CheckpointStore(accelerator, tmp_path / "checkpoints", 2, {}, Progress(), left_out=iter(["weight"]))
    store.prepare()
    path = store.save(1)
    assert set(load_file(path / "model.safetensors")) == {"bias"}
    before = model.bias.detach().clone()
    nn.init.ones_(model.weight)
    nn.init.ones_(model.bias)
    store.load(path)
    assert torch.equal(model.bias, before) and (model.weight == 1).all()


def test_checkpoint_without_a_weight_of_the_model_is_refused(store):
    path = store.save(1)
    save_file({"bias": torch.zeros(40)}, path / "model.safetensors", metadata={"format": "pt"})
    write_manifest(path, step=1, fingerprint=store.fingerprint)
    with pytest.raises(RuntimeError, match="weight"):
        store.load(path)


def test_loading_says_what_is_the_last_good_checkpoint(store):
    first, second = store.save(1), store.save(2)
    assert store.last_good == second
    store.load(first)
    assert store.last_good == first


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


class Bomb:
    """An object whose pickle makes a file when it is loaded, as it could do anything else."""

    def __init__(self, crater):
        self.crater = crater

    def __reduce__(self):
        return open, (str(self.crater), "w")


def place_bomb(path, name: str, crater) -> None:
    """Put a bomb into a file of a checkpoint, and a manifest that agrees."""
    content = {"step": 1, "bomb": Bomb(crater)}
    fingerprint = json.loads((path / MANIFEST).read_text())["fingerprint"]
    torch.save(content, path / name)
    write_manifest(path, step=1, fingerprint=fingerprint)
    torch.load(path / name, weights_only=False)
    assert crater.exists(), "it would go off"
    crater.unlink()


@pytest.mark.parametrize("name", ["optimizer.bin", "scheduler.bin", "random_states_0.pkl", "scaler.pt"])
def test_checkpoint_whose_files_would_run_code_is_refused(store, tmp_path, name):
    if name == "scaler.pt":
        store.accelerator.scaler = torch.amp.GradScaler("cpu")
    path = store.save(1)
    place_bomb(path, name, tmp_path / "crater")
    with pytest.raises(ValueError, match="cannot resume from .* holds something other than tensors and plain values"):
        store.load(path)
    assert not (tmp_path / "crater").exists()


def test_pickled_progress_of_earlier_versions_is_refused(store, tmp_path):
    path = store.save(1)
    place_bomb(path, "custom_checkpoint_0.pkl", tmp_path / "crater")
    with pytest.raises(ValueError, match="custom_checkpoint_0.pkl is a pickle, as earlier versions wrote it"):
        store.load(path)
    assert not (tmp_path / "crater").exists()


def test_pickled_weights_do_not_take_the_place_of_missing_ones(store, tmp_path):
    path = store.save(1)
    (path / "model.safetensors").unlink()
    place_bomb(path, "pytorch_model.bin", tmp_path / "crater")
    with pytest.raises(ValueError, match="it has no model.safetensors, and other files of weights are not read"):
        store.load(path)
    assert not (tmp_path / "crater").exists()


def test_no_file_of_a_checkpoint_is_read_by_the_path_that_runs_code(store):
    """Accelerate reads the states of registered objects without `weights_only`; there must be none."""
    path = store.save(1)
    assert not list(path.glob("custom_checkpoint*"))
    assert store.accelerator._custom_objects == []


@pytest.mark.parametrize("fingerprint", [None, [], "seed"])
def test_manifest_that_does_not_say_of_which_run_is_refused(store, fingerprint):
    path = store.save(1)
    write_manifest(path, step=1, fingerprint=fingerprint)
    with pytest.raises(ValueError, match="its manifest does not say which run it is of"):
        store.load(path)


@pytest.mark.parametrize("kind", ["DEEPSPEED", "FSDP", "MEGATRON_LM"])
def test_checkpoints_are_not_left_to_readers_of_other_libraries(store, monkeypatch, kind):
    path = store.save(1)
    monkeypatch.setattr(Accelerator, "distributed_type", DistributedType[kind])
    with pytest.raises(ValueError, match=f"cannot resume from .* with {kind}, whose own reader .* can run code"):
        store.load(path)
