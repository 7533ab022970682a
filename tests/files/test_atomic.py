"""Files and folders appear whole or not at all."""

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
