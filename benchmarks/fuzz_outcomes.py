"""How random requests end: answered, refused in a sentence, or with a message from inside the code."""

from __future__ import annotations

import argparse
import contextlib
import random
import re
import resource
import signal
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from transformers.utils import logging

MEBIBYTE = 2**20

ANSWERED, REFUSED, INSIDE, ENDLESS, NOT_FINITE = (
    "answered",
    "refused in a sentence",
    "message from inside",
    "no answer in time",
    "answered with numbers that are not finite",
)
CLEAR = (ANSWERED, REFUSED)


class OutOfTime(BaseException):
    """A request took too long. Not an `Exception`, so that no handler of the tested code takes it for its own."""


@dataclass
class Outcomes:
    """
    The outcomes of many requests.

    Args:
        counts (`Counter`): How many requests ended in each way.
        unclear (`list[tuple[str, str, str]]`): Of each request that ended in no clear way its outcome, the request,
            and the message.
    """

    counts: Counter[str] = field(default_factory=Counter)
    unclear: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, outcome: str, request: str, message: str = "") -> None:
        """Count one request."""
        self.counts[outcome] += 1
        if outcome not in CLEAR:
            self.unclear.append((outcome, request, message))

    @property
    def num_unclear(self) -> int:
        """Number of requests that were neither answered nor refused in a sentence."""
        return len(self.unclear)

    def report(self, subject: str, num_shown: int, every: bool = False) -> str:
        """The counts in words, and the commonest kinds of unclear outcomes, or every one of these."""
        total = self.counts.total()
        lines = [f"{total} random {subject}:"]
        lines += [f"  {count:6d}  {outcome}" for outcome, count in self.counts.most_common()]
        lines.append(f"  {self.num_unclear:6d}  unclear in total")
        if every:
            return "\n".join([*lines, *(" | ".join(one) for one in self.unclear)])
        kinds = Counter(f"{request.split('(')[0]}: {message[:100]}" for _, request, message in self.unclear)
        lines += [f"    {count:4d} x {kind}" for kind, count in kinds.most_common(num_shown)]
        return "\n".join(lines)


def try_request(
    request: Callable[[], object],
    is_clear: Callable[[Exception], bool],
    is_finite: Callable[[object], bool] = lambda answer: True,
    seconds: int = 20,
) -> tuple[str, str]:
    """
    The outcome of a request, and the message of its error.

    Args:
        request (`Callable`): What is tried.
        is_clear (`Callable`): Whether an error is a sentence that tells the caller what to change.
        is_finite (`Callable`, *optional*): Whether an answer makes sense.
        seconds (`int`, *optional*, defaults to 20): After this time a request counts as endless.
    """
    try:
        with time_limit(seconds):
            answer = request()
    except OutOfTime:
        return ENDLESS, f"no answer in {seconds} s"
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        message = f"{type(error).__name__}: {error}".replace("\n", " ")
        if is_clear(error):
            return REFUSED, message
        return INSIDE, f"{message[:160]} ({where.filename.rsplit('/', 1)[-1]}:{where.lineno})"
    return (ANSWERED, "") if is_finite(answer) else (NOT_FINITE, "")


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise [`OutOfTime`] in the main thread after some seconds."""

    def stop(signum, frame):
        raise OutOfTime

    handler = signal.signal(signal.SIGALRM, stop)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds)  # another time limit may run, which goes on afterwards
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def damaged_bytes(rng: random.Random, data: bytes) -> bytes:
    """The bytes of a file with some changed, left out, repeated or put in."""
    damaged = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        place = rng.randrange(len(damaged) + 1)
        size = rng.choice([1, 1, 4, 50])
        match rng.randrange(6):
            case 0:
                damaged[place : place + size] = rng.randbytes(size)
            case 1:
                del damaged[place : place + size]
            case 2:
                damaged[place:place] = damaged[max(0, place - size) : place]
            case 3:
                damaged[place:place] = rng.choice(
                    [b"\x00", b"\xff\xfe", b'"', b"'", b"\r", b"\n", b"[", b"{", b"\xed\xa0\x80"]
                )
            case 4:
                del damaged[place:]
            case 5:
                damaged[place:place] = rng.randbytes(size)
    return bytes(damaged)


def names_one_of(message: str, names: Iterable[str]) -> bool:
    """Whether a message has one of some names as a word of its own, perhaps after a section as in `model.prior`."""
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", message) for name in names)


def ascii_only(text: str) -> str:
    """A text with escapes for all characters but ASCII, which every terminal can print."""
    return text.encode("ascii", "backslashreplace").decode()


def run_from_command_line(
    description: str, run: Callable[[int, int], Outcomes], subject: str, number: int, memory: int | None = None
) -> None:
    """
    Try random requests as the command line says, print how they ended, and exit with code 1 if any was unclear.

    Args:
        description (`str`): What `--help` says.
        run (`Callable`): Takes the number of requests and the seed.
        subject (`str`): What the requests are, in words.
        number (`int`): How many there are by default.
        memory (`int`, *optional*): Limit of the process's memory in mebibytes, by default; without it there is none.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=number, help=f"Number of {subject}.")
    parser.add_argument("--seed", type=int, default=0, help="Seed of all draws.")
    if memory is not None:
        parser.add_argument("--memory", type=int, default=memory, help="Limit of the process's memory in mebibytes.")
    parser.add_argument("--show", type=int, default=40, help="Number of kinds of unclear outcomes that are printed.")
    parser.add_argument("--every", action="store_true", help="Print every unclear outcome.")
    options = parser.parse_args()
    if memory is not None:
        resource.setrlimit(resource.RLIMIT_AS, (options.memory * MEBIBYTE, options.memory * MEBIBYTE))
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    outcomes = run(options.number, options.seed)
    print(outcomes.report(subject, options.show, options.every))
    sys.exit(outcomes.num_unclear > 0)
