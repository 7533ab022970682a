"""Commands of this project in processes of their own, which may be killed, and what became of them."""

import logging
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers.utils import logging as transformers_logging

from ldebm_hf.commands.options import run_script

PATIENCE = 300
"""Seconds after which a process hangs."""


@dataclass
class Ended:
    """How a process ended.

    Args:
        code (`int`): Its exit code; -9 if it was killed.
        output (`str`): What it printed, with a traceback if there was one.
        hung (`bool`): Whether it had to be killed because it did not end.
    """

    code: int
    output: str
    hung: bool = False

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL and not self.hung

    @property
    def refused(self) -> bool:
        """Whether it ended with an error in words."""
        return self.code == 1 and "Traceback (most recent call last)" not in self.output

    @property
    def last_line(self) -> str:
        return (self.output.strip().splitlines() or ["(no output)"])[-1]


def run_command(
    main: Callable[[Sequence[str]], None],
    arguments: Sequence[str],
    log: Path,
    kill_after: float | None = None,
    begins: Path | None = None,
) -> Ended:
    """
    Run a script's `main` in a process of its own, which starts as a copy of this one, so that it need not import
    anything again.

    Args:
        main (callable): The script's `main`, which takes the words of its command line.
        arguments (`Sequence[str]`): These words.
        log (`Path`): File for what it prints.
        kill_after (`float`, *optional*): Send SIGKILL so many seconds after it has begun.
        begins (`Path`, *optional*): A file that it writes when it begins; one that an earlier process has left does
            not count. Default: it begins when it is started.
    """
    process = multiprocessing.get_context("fork").Process(target=_run, args=(main, list(arguments), log))
    earlier = _time_of(begins)
    process.start()
    has_begun, deadline = begins is None, time.monotonic() + PATIENCE
    while process.is_alive() and not has_begun and time.monotonic() < deadline:
        process.join(timeout=0.005)
        has_begun = _time_of(begins) not in (None, earlier)
    if has_begun:
        process.join(timeout=PATIENCE if kill_after is None else kill_after)
    hung = False
    if process.is_alive():
        hung = kill_after is None or not has_begun
        process.kill()
    process.join()
    return Ended(process.exitcode, log.read_text(encoding="utf-8", errors="replace"), hung)


def _time_of(file: Path | None) -> int | None:
    """When a file was written, in nanoseconds; `None` if it is not there."""
    try:
        return None if file is None else file.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _run(main: Callable[[Sequence[str]], None], arguments: list[str], log: Path) -> None:
    with log.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        sys.stdout = sys.stderr = file
        # Every warning says that it is one, those of transformers' loggers too.
        logging.basicConfig(stream=file, format="%(levelname)s: %(message)s", force=True)
        transformers_logging.disable_default_handler()
        transformers_logging.enable_propagation()
        try:
            run_script(lambda: main(arguments), continues="it can be continued")
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=file)
            file.flush()
            os._exit(1 if isinstance(end.code, str) else end.code or 0)
        except BaseException:
            traceback.print_exc(file=file)
            file.flush()
            os._exit(2)
