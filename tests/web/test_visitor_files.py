"""The folder of what visitors upload: gone when its page ends, in whatever way, and never that of another page."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ldebm_hf.web.visitor_files import VisitorFiles

KEEPS_FILES = """
import sys, time
from pathlib import Path
from ldebm_hf.web.visitor_files import VisitorFiles

files = VisitorFiles(Path(sys.argv[1]))
(files.folder / "mine.csv").write_text("text")
print(files.folder, flush=True)
time.sleep(600)
"""


def make_older(parent: Path) -> None:
    for folder in parent.iterdir():
        os.utime(folder, (time.time() - 3600,) * 2)


def test_folder_is_removed_with_what_it_has(tmp_path):
    with VisitorFiles(tmp_path / "new") as files:
        assert files.folder.is_dir() and files.folder.is_relative_to(tmp_path)
        (files.folder / "upload").mkdir()
        (files.folder / "upload" / "mine.csv").write_text("text")
    assert not list((tmp_path / "new").iterdir())


def test_folder_is_made_where_gradio_would_keep_files(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with VisitorFiles() as files:
        assert files.folder.is_relative_to(tmp_path)


def test_folder_of_a_killed_page_is_removed_by_the_next_and_that_of_a_running_one_stays(tmp_path):
    command = [sys.executable, "-c", KEEPS_FILES, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        folder = Path(process.stdout.readline().strip())
        make_older(tmp_path)
        with VisitorFiles(tmp_path):
            assert (folder / "mine.csv").is_file(), "its page is running"
        process.send_signal(signal.SIGKILL)
        process.wait()
        make_older(tmp_path)
        with VisitorFiles(tmp_path) as files:
            assert not folder.exists() and files.folder.is_dir()
    finally:
        process.kill()
        process.wait()


def test_young_folder_may_be_one_that_is_not_locked_yet(tmp_path):
    (tmp_path / "ldebm_page_new").mkdir()
    with VisitorFiles(tmp_path):
        assert (tmp_path / "ldebm_page_new").is_dir()
    make_older(tmp_path)
    with VisitorFiles(tmp_path):
        assert not (tmp_path / "ldebm_page_new").exists()
