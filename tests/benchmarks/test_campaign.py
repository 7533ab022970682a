"""The campaign counts what it should: an unclear outcome is seen, and commands of children end as they end."""

import random
import sys
from pathlib import Path

from campaign_parts import Part
from child_processes import run_command
from damaged_files import KINDS, damage_again_and_again


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


def test_damage_that_nobody_notices_is_unclear(tmp_path):
    """Work that copies what it finds, without a look at it, and work that names what is damaged."""

    interrupted = tmp_path / "interrupted"
    interrupted.mkdir()
    (interrupted / "data").write_bytes(bytes(range(50)))

    def copies(arguments: list[str]) -> None:

        folder = Path(arguments[0])
        (folder / "end").write_bytes((folder / "data").read_bytes() if (folder / "data").exists() else b"")
        if arguments[1:]:
            print("data is not as it was written")

    for words, unclear in (([], True), (["say"], False)):

        def resume(folder, words=words):
            return run_command(copies, [str(folder), *words], tmp_path / "log")

        expected = {"end": bytes(range(50))}
        part = damage_again_and_again(
            "copy", interrupted, resume, expected, 12, tmp_path / f"tried{len(words)}", random.Random(0)
        )
        assert part.tried == 12 and (part.num_unclear > 8) == unclear
        assert unclear or part.outcomes["named, and ended otherwise"] > 8
    assert len(KINDS) == 7


def test_a_part_is_a_row_and_a_record():
    part = Part("tries")
    for _ in range(3):
        part.add("answered")
    part.add_unclear("a thing: it hangs")
    assert part.row() == ["tries", 4, "3 answered", 1]
    assert part.to_dict()["outcomes"] == {"answered": 3, "unclear": 1}
