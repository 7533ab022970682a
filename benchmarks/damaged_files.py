"""Files of interrupted work damaged at random, which is then continued: is the damage found, or does it do no harm?"""

import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from campaign_parts import Part
from child_processes import Ended
from killed_commands import OF_A_RUN
from tiny_commands import start_training, start_writing


def flip_a_bit(file: Path, rng: random.Random) -> None:
    data = bytearray(file.read_bytes())
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    file.write_bytes(data)


def cut_short(file: Path, rng: random.Random) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: rng.randrange(len(data) + 1)])


def fill_with_zeros(file: Path, rng: random.Random) -> None:
    data = file.read_bytes()
    begin = rng.randrange(len(data) + 1)
    file.write_bytes(data[:begin] + bytes(len(data) - begin))


def replace_by_a_list(file: Path, rng: random.Random) -> None:
    file.write_text("[]")


def append(file: Path, rng: random.Random) -> None:
    with file.open("ab") as opened:
        opened.write(rng.randbytes(rng.randrange(1, 100)))


def remove(file: Path, rng: random.Random) -> None:
    file.unlink()


def exchange(file: Path, rng: random.Random) -> None:
    other = rng.choice(sorted(path for path in file.parent.iterdir() if path.is_file()))
    file.write_bytes(other.read_bytes())


KINDS = [flip_a_bit, cut_short, fill_with_zeros, replace_by_a_list, append, remove, exchange]


def damage_again_and_again(
    name: str,
    interrupted: Path,
    resume: Callable[[Path], Ended],
    files: dict[str, bytes],
    number: int,
    folder: Path,
    rng: random.Random,
) -> Part:
    """
    Damage one file of interrupted work and continue it, `number` times.

    What is promised: it ends with the same files as without damage, or with an error in words, or it ends otherwise
    and has named the damaged file or its folder in a warning ([`names_in_a_warning`]).

    Args:
        name (`str`): What is damaged.
        interrupted (`Path`): The folder as it was when the work was interrupted.
        resume (callable): Continues the work in a copy of that folder.
        files (`dict[str, bytes]`): Files of the finished work, with what they must hold.
        number (`int`): How often.
        folder (`Path`): A folder of its own, which is filled.
        rng (`random.Random`): Draws file and damage.
    """
    part, began = Part(name), time.monotonic()
    folder.mkdir(parents=True)
    names = sorted(path.relative_to(interrupted) for path in interrupted.rglob("*") if path.is_file())
    for _ in range(number):
        damaged = folder / "damaged"
        shutil.rmtree(damaged, ignore_errors=True)
        shutil.copytree(interrupted, damaged)
        file, kind = rng.choice(names), rng.choice(KINDS)
        kind(damaged / file, rng)
        ended = resume(damaged)
        what = f"{kind.__name__.replace('_', ' ')} in {file}"
        if ended.hung:
            part.add_unclear(f"{what}: it hangs")
        elif ended.refused:
            part.add("refused in words")
        elif ended.code != 0:
            part.add_unclear(f"{what}: {ended.last_line}")
        elif all((damaged / path).exists() and (damaged / path).read_bytes() == held for path, held in files.items()):
            part.add("ended with the same bytes")
        elif names_in_a_warning(ended.output, damaged, file):
            part.add("named, and ended otherwise")
        else:
            part.add_unclear(f"{what}: ended otherwise without a word")
    part.seconds = time.monotonic() - began
    return part


def names_in_a_warning(output: str, folder: Path, file: Path) -> bool:
    """
    Whether a line about a warning or an error names a file.

    Args:
        output (`str`): What was printed.
        folder (`Path`): The folder of the work.
        file (`Path`): The file's path in it. The file is named by this path, alone or with the folder before it, or by
            the whole path of a folder that it is in, other than `folder` itself.
    """
    names = [file, folder / file, *(folder / parent for parent in file.parents if parent != Path("."))]
    pattern = r"(?<![\w/.-])(" + "|".join(re.escape(str(name)) for name in names) + r")(?![\w/-]|\.\w)"
    lines = [line for line in output.splitlines() if re.search(r"\b(warning|error)\b", line, re.IGNORECASE)]
    return any(re.search(pattern, line) for line in lines)


def parts(number: int, folder: Path, seed: int) -> list[Part]:
    """Damage interrupted trainings and interrupted commands that write a file, `number` times each."""
    rng = random.Random(seed)
    folder.mkdir(parents=True)
    log, run, text = folder / "log", folder / "run", folder / "text"
    text.mkdir()
    kill_until(lambda seconds: start_training(run, log, kill_after=seconds), lambda: len(_checkpoints(run)) >= 2)
    finished = folder / "finished"
    shutil.copytree(run, finished)
    start_training(finished, log)
    sentences = "sentences.jsonl"
    kill_until(
        lambda seconds: start_writing(finished, text / sentences, log, kill_after=seconds),
        lambda: len(list((text / f".{sentences}.parts").glob("part-*"))) >= 5,
    )
    whole = folder / "whole"
    shutil.copytree(text, whole)
    start_writing(finished, whole / sentences, log)
    return [
        damage_again_and_again(
            "interrupted training, damaged",
            run,
            lambda damaged: start_training(damaged, log),
            {name: (finished / name).read_bytes() for name in OF_A_RUN},
            number,
            folder / "trainings",
            rng,
        ),
        damage_again_and_again(
            "half-written file, damaged",
            text,
            lambda damaged: start_writing(finished, damaged / sentences, log),
            {sentences: (whole / sentences).read_bytes()},
            number,
            folder / "files",
            rng,
        ),
    ]


def kill_until(start: Callable[[float], Ended], is_enough: Callable[[], bool]) -> None:
    """Start work and kill it, a little later each time, until it has done enough and is not finished."""
    seconds = 0.2
    while not is_enough():
        if not start(seconds).killed:
            raise RuntimeError("the work was finished before it was killed in its middle")
        seconds *= 1.3


def _checkpoints(run: Path) -> list[Path]:
    return list((run / "checkpoints").glob("step-*"))
