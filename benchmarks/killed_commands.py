"""Processes killed at random moments (SIGKILL) and started again, until the work is done: does it end the same?"""

import random
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from campaign_parts import Part
from child_processes import Ended
from tiny_commands import start_training, start_writing, write_tables

from ldebm_hf.files.manifest import problem_of

FINAL_CHECKPOINT = "step-00000040"
OF_A_RUN = [
    "model.safetensors",
    "config.json",
    f"checkpoints/{FINAL_CHECKPOINT}/model.safetensors",
    f"checkpoints/{FINAL_CHECKPOINT}/optimizer.bin",
]
Start = Callable[..., Ended]


def kill_again_and_again(
    name: str, start: Callable[[Path], Start], files: list[str], number: int, folder: Path, rng: random.Random
) -> Part:
    """
    Kill and restart one kind of work until it has been killed `number` times.

    Args:
        name (`str`): What is killed.
        start (callable): Takes a folder, and returns a function that starts the work in it, or continues it, with
            arguments `log` and `kill_after`.
        files (`list[str]`): Files in that folder that must end the same as without a kill.
        number (`int`): Number of kills.
        folder (`Path`): A folder of its own, which is filled.
        rng (`random.Random`): Draws the moments.
    """
    part, began = Part(name), time.monotonic()
    whole, log = folder / "whole", folder / "log"
    whole.mkdir(parents=True)
    ended = start(whole)(log=log)
    duration = time.monotonic() - began
    if ended.code != 0:
        raise RuntimeError(f"{name} fails without being killed: {ended.output}")
    expected = [(whole / file).read_bytes() for file in files]
    kills = trial = 0
    while kills < number:
        trial += 1
        killed = folder / f"killed{trial}"
        killed.mkdir()
        of_this = 0
        while True:
            # The moments move to the end, so that any machine gets through.
            ended = start(killed)(log=log, kill_after=rng.uniform(0, duration * (1 + of_this / 4)))
            if not ended.killed:
                break
            of_this += 1
        kills += of_this
        if not of_this:
            continue
        if ended.code != 0:
            part.add_unclear(f"after {of_this} kills: {ended.last_line}")
        elif [(killed / file).read_bytes() for file in files] != expected:
            part.add_unclear(f"after {of_this} kills files differ: see {killed}")
            continue
        elif leftovers := sorted(str(path.relative_to(killed)) for path in killed.rglob(".*")):
            part.add_unclear(f"after {of_this} kills these stayed: {', '.join(leftovers)}")
        else:
            for _ in range(of_this):
                part.add("ended with the same bytes")
        shutil.rmtree(killed)
    part.seconds = time.monotonic() - began
    return part


def parts(number: int, folder: Path, seed: int) -> list[Part]:
    """Kill trainings in memory, streamed trainings, and commands that write a file, `number` times each."""
    rng = random.Random(seed)
    folder.mkdir(parents=True)
    table = write_tables(folder)
    run = folder / "model"
    if (ended := start_training(run, folder / "log")).code != 0:
        raise RuntimeError(f"the training fails: {ended.output}")
    assert problem_of(run) is None
    return [
        kill_again_and_again(
            "training in memory, killed",
            lambda to: partial(start_training, to),
            OF_A_RUN,
            number,
            folder / "memory",
            rng,
        ),
        kill_again_and_again(
            "streamed training, killed",
            lambda to: partial(start_training, to, streamed=table),
            OF_A_RUN,
            number,
            folder / "streamed",
            rng,
        ),
        kill_again_and_again(
            "writing a file, killed",
            lambda to: partial(start_writing, run, to / "sentences.jsonl"),
            ["sentences.jsonl"],
            number,
            folder / "file",
            rng,
        ),
    ]
