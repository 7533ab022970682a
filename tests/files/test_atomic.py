"""Files and folders appear whole or not at all."""

import os
from pathlib import Path

import pytest

from ldebm_hf.files import atomic


def write_one(folder):
    (folder / "weights").write_text("new")


def test_folder_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "best"
    atomic.replace_folder(folder, lambda new: (new / "old_file").write_text("old"))
    atomic.replace_folder(folder, write_one)
    assert [path.name for path in folder.iterdir()] == ["weights"]
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_failed_replacement_leaves_the_old_folder(tmp_path):
    folder = tmp_path / "best"
    atomic.replace_folder(folder, write_one)

    def fail(new):
        (new / "weights").write_text("half")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        atomic.replace_folder(folder, fail)
    assert (folder / "weights").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


@pytest.mark.parametrize("renames_done", [0, 1])
def test_replacement_killed_halfway_can_be_undone(tmp_path, monkeypatch, renames_done):
    folder = tmp_path / "best"
    atomic.replace_folder(folder, lambda new: (new / "weights").write_text("old"))
    rename, left = atomic.os.replace, [True] * renames_done

    class Killed(BaseException):
        pass

    def replace_until_killed(source, target):
        if not left:
            raise Killed
        left.pop()
        rename(source, target)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(atomic.os, "replace", replace_until_killed)
        patch.setattr(atomic.shutil, "rmtree", lambda *_, **__: None)  # the dead do not clean up
        atomic.replace_folder(folder, write_one)
    assert len(list(tmp_path.iterdir())) == 2
    atomic.restore_folder(folder)
    assert (folder / "weights").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


@pytest.fixture
def failing_renames(monkeypatch):
    """Let renames fail as often as the returned function is told; what was waited for is in its list `waits`."""
    rename, waits = atomic.os.replace, []

    def fail(times, error=PermissionError(13, "Permission denied")):  # noqa: B008
        left = [error] * times

        def replace(source, target):
            if left:
                raise left.pop()
            rename(source, target)

        monkeypatch.setattr(atomic.os, "replace", replace)
        return waits

    monkeypatch.setattr(atomic.time, "sleep", waits.append)
    return fail


@pytest.mark.parametrize("error", [PermissionError(13, "held"), OSError(16, "busy"), OSError("held")])
@pytest.mark.parametrize("times", [1, 3])
def test_a_rename_that_fails_for_moments_is_tried_again(tmp_path, failing_renames, error, times):
    waits = failing_renames(times, error)
    atomic.write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new" and [path.name for path in tmp_path.iterdir()] == ["a"]
    assert waits == list(atomic.WAITS[:times])


def test_a_rename_that_always_fails_names_both_files_and_keeps_them(tmp_path, failing_renames):
    path = tmp_path / "a"
    path.write_text("old")
    waits = failing_renames(100)
    with pytest.raises(OSError, match=r"\.a\.tmp could not be renamed to .*/a: Permission denied\. Both are as they"):
        atomic.write_text(path, "new")
    assert path.read_text() == "old" and (tmp_path / ".a.tmp").read_text() == "new"
    assert waits == list(atomic.WAITS) and sum(waits) < 2
    failing_renames(0)
    atomic.write_text(path, "newer")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a", "newer")]


def test_waiting_is_of_no_use_on_a_full_disk(tmp_path, failing_renames):
    waits = failing_renames(1, OSError(28, "No space left on device"))
    with pytest.raises(OSError, match="No space left on device"):
        atomic.write_text(tmp_path / "a", "new")
    assert waits == []


@pytest.mark.parametrize("good_renames", [0, 1])
def test_a_folder_that_cannot_be_exchanged_stays_and_the_new_one_too(
    tmp_path, monkeypatch, failing_renames, good_renames
):
    folder = tmp_path / "best"
    atomic.replace_folder(folder, lambda new: (new / "weights").write_text("old"))
    rename, tried = atomic.os.replace, []

    def replace(source, target):
        tried.append(source)
        if source.name == ".best.old" or len(tried) <= good_renames:
            rename(source, target)
        else:
            raise PermissionError(13, "Permission denied")

    failing_renames(0)
    monkeypatch.setattr(atomic.os, "replace", replace)
    with pytest.raises(atomic.RenameError, match="best could not be renamed|.best.tmp could not be renamed"):
        atomic.replace_folder(folder, write_one)
    assert (folder / "weights").read_text() == "old"
    assert (tmp_path / ".best.tmp" / "weights").read_text() == "new"
    monkeypatch.setattr(atomic.os, "replace", rename)
    atomic.replace_folder(folder, write_one)
    assert (folder / "weights").read_text() == "new" and [path.name for path in tmp_path.iterdir()] == ["best"]


def test_failed_copy_leaves_nothing(tmp_path, monkeypatch):
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("content")

    def fail(path):
        raise OSError("disk full")

    monkeypatch.setattr(atomic, "flush", fail)
    with pytest.raises(OSError, match="disk full"):
        atomic.copy_file(source, target)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a"
    atomic.write_file(path, lambda temporary: temporary.write_bytes(b"old"))

    def fail(temporary):
        temporary.write_bytes(b"ha")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        atomic.write_file(path, fail)
    assert path.read_bytes() == b"old" and [other.name for other in tmp_path.iterdir()] == ["a"]


@pytest.fixture
def deeds(monkeypatch) -> list[str]:
    """The names of the files and folders that are waited for until they are on the disk, and of what is renamed."""
    done, replace = [], os.replace

    def fsync(descriptor):
        done.append(f"flushed {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")

    def noted_replace(source, target):
        done.append(f"renamed {Path(source).name}")
        replace(source, target)

    monkeypatch.setattr("os.fsync", fsync)
    monkeypatch.setattr("os.replace", noted_replace)
    return done


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="finds the names of open files in /proc")
def test_a_file_is_on_the_disk_before_it_takes_its_place(tmp_path, deeds):
    atomic.write_text(tmp_path / "a", "new")
    (tmp_path / "b").write_text("other")
    atomic.copy_file(tmp_path / "b", tmp_path / "a")
    assert deeds == ["flushed .a.tmp", "renamed .a.tmp"] * 2


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="finds the names of open files in /proc")
def test_a_folder_and_its_files_are_on_the_disk_before_it_takes_its_place(tmp_path, deeds):
    atomic.replace_folder(tmp_path / "folder", lambda new: (new / "a").write_text("text"))
    assert deeds == ["flushed a", "flushed .folder.tmp", "renamed .folder.tmp"]
