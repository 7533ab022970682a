"""The campaign counts what it should: an unclear outcome is seen, and commands of children end as they end."""

import logging
import random
import sys
import time
from argparse import Namespace
from pathlib import Path

import campaign
import child_processes
import pytest
from campaign_parts import Part
from child_processes import run_command
from damaged_files import KINDS, damage_again_and_again, names_in_a_warning
from transformers.utils import logging as transformers_logging


def refuses(arguments: list[str]) -> None:
    raise ValueError(f"{arguments[0]} must be something else")


def breaks(arguments: list[str]) -> None:
    print("begun", flush=True)
    raise KeyError(arguments[0])


def waits(arguments: list[str]) -> None:
    sys.stdin = None
    while True:
        pass


def test_ways_in_which_a_command_ends(tmp_path):
    done = run_command(lambda arguments: print(arguments), ["a"], tmp_path / "log")
    assert done.code == 0 and done.last_line == "['a']" and not done.killed
    refused = run_command(refuses, ["a"], tmp_path / "log")
    assert refused.refused and refused.last_line == "error: a must be something else"
    broken = run_command(breaks, ["a"], tmp_path / "log")
    assert not broken.refused and "begun" in broken.output and "KeyError: 'a'" in broken.output
    assert run_command(waits, [], tmp_path / "log", kill_after=0.2).killed


def test_a_kill_is_timed_from_when_the_command_itself_begins(tmp_path):
    """Not from the file that an earlier process has left."""
    begins = tmp_path / "begins"
    begins.touch()

    def begins_late(arguments: list[str]) -> None:
        time.sleep(1.5)
        begins.touch()
        print("begun", flush=True)
        time.sleep(60)

    ended = run_command(begins_late, [], tmp_path / "log", kill_after=0.5, begins=begins)
    assert ended.killed and ended.output == "begun\n"


def test_a_command_that_never_begins_hangs(tmp_path, monkeypatch):
    monkeypatch.setattr(child_processes, "PATIENCE", 0.5)
    ended = run_command(waits, [], tmp_path / "log", kill_after=1000, begins=tmp_path / "begins")
    assert ended.hung and not ended.killed


def test_damage_that_nobody_notices_is_unclear(tmp_path):
    """Work that copies what it finds, without a look at it, and work that names what is damaged."""

    interrupted = tmp_path / "interrupted"
    interrupted.mkdir()
    (interrupted / "best").mkdir()
    (interrupted / "best" / "data").write_bytes(bytes(range(50)))

    def copies(arguments: list[str]) -> None:

        folder = Path(arguments[0])
        data = folder / "best" / "data"
        (folder / "end").write_bytes(data.read_bytes() if data.exists() else b"")
        for line in arguments[1:]:
            print(line.format(folder=folder))

    silent = ["Done. The best model is in {folder}.", "warning: it is slow.", "the best is in {folder}/best/data"]
    cases = (
        ([], True),
        (silent, True),
        (["warning: {folder}/best/data is not as it was written"], False),
        (["WARNING: skipping {folder}/best: damaged"], False),
    )
    for number, (words, unclear) in enumerate(cases):

        def resume(folder, words=words):
            return run_command(copies, [str(folder), *words], tmp_path / "log")

        expected = {"end": bytes(range(50))}
        part = damage_again_and_again(
            "copy", interrupted, resume, expected, 12, tmp_path / f"tried{number}", random.Random(0)
        )
        assert part.tried == 12 and (part.num_unclear > 8) == unclear
        assert unclear or part.outcomes["named, and ended otherwise"] > 8
    assert len(KINDS) == 7


@pytest.mark.parametrize(
    ("file", "output", "named"),
    [
        ("config.json", "Trained. The end is in /runs.\nwarning: slow.", False),
        ("config.json", "reading config.json", False),
        ("config.json", "WARNING: /runs/checkpoints/step-4/config.json has changed", False),
        ("config.json", "WARNING: config.json has changed", True),
        ("config.json", "[ERROR|a.py:3] /runs/config.json: no JSON", True),
        ("best/model.bin", "WARNING: the best model is that of step 3.", False),
        ("best/model.bin", "WARNING: /runs/best-of-all is full", False),
        ("best/model.bin", "warning: leaving /runs/best alone", True),
        ("a/b/model.bin", "warning: skipping /runs/a: damaged", True),
        ("a/b/model.bin", "warning: skipping /runs/a/c: damaged", False),
    ],
)
def test_a_damaged_file_is_named_by_its_path_or_its_folder_in_a_warning(file, output, named):
    assert names_in_a_warning(output, Path("/runs"), Path(file)) == named


def test_warnings_of_a_child_say_that_they_are(tmp_path):
    def warns(arguments: list[str]) -> None:
        logging.getLogger("ldebm_hf.training").warning("skipping it")
        transformers_logging.get_logger("transformers.generation").warning("and this")

    lines = run_command(warns, [], tmp_path / "log").output.splitlines()
    assert lines == ["WARNING: skipping it", "WARNING: and this"]


def test_the_page_says_what_is_counted_and_has_the_table(tmp_path):
    part = Part("tries")
    part.add_unclear("a thing: it hangs")
    options = Namespace(output_file=tmp_path / "figures.json", page=tmp_path / "page.md")
    campaign.write(options, [part], "| the table |")
    lines = options.page.read_text(encoding="utf-8").splitlines()
    assert lines[:3] == ["# Results: the campaign", "", campaign.WHAT_IS_COUNTED.splitlines()[0]]
    assert lines[2].startswith("Each part counts how its attempts ended") and "| the table |" in lines
    assert lines[-1] == "* tries: a thing: it hangs"


def test_a_part_is_a_row_and_a_record():
    part = Part("tries")
    for _ in range(3):
        part.add("answered")
    part.add_unclear("a thing: it hangs")
    assert part.row() == ["tries", 4, "3 answered", 1]
    assert part.to_dict()["outcomes"] == {"answered": 3, "unclear": 1}
