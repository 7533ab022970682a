"""Many visitors of the page at once: answers, failures, waiting and memory.

    python benchmarks/space_load.py                                    # 32 visitors for a minute
    python benchmarks/space_load.py outputs/mine --visitors 8 --seconds 20

Each visitor has a connection of its own and asks for one thing after the other, by the page's API. The page runs in a
process of its own, as `make space` starts it; its memory is the resident set of that process (Linux).
"""

import argparse
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 600  # seconds that a visitor waits, as a browser does, which gives up on no answer by itself
PAGE = Path(__file__).parents[1] / "spaces_app" / "app.py"
WORDS = {
    "thing": ("food", "service", "place", "staff", "coffee", "room", "menu", "price"),
    "was": ("great", "slow", "cold", "friendly", "awful", "clean", "too expensive", "ok"),
}
REQUESTS = {
    "/write": lambda symbols, draw: {
        "symbols": symbols, "num_sentences": 5, "temperature": 0.8, "seed": draw.seed(),
    },
    "/read": lambda symbols, draw: {"text": f"{draw.sentence()} but {draw.sentence()} ."},
    "/decode_at": lambda symbols, draw: {"x": draw.place(), "y": draw.place()},
    "/interpolate": lambda symbols, draw: {
        "first": f"{draw.sentence()} .", "second": f"{draw.sentence()} !", "num_steps": 7,
    },
    "/reverse_diffusion": lambda symbols, draw: {"symbols": symbols, "num_latents": 20, "seed": draw.seed()},
    "/complete": lambda symbols, draw: {
        "text": f"the <mask> was <span> and {draw.sentence()}", "num_completions": 3, "seed": draw.seed(),
    },
    "/compare_priors": lambda symbols, draw: {"num_points": 1000, "seed": draw.seed()},
}  # fmt: skip


class Draws:
    """What a visitor enters, so that hardly any two requests are the same."""

    def __init__(self, number: int):
        self.random = random.Random(number)

    def seed(self) -> int:
        return self.random.randrange(2**31)

    def place(self) -> float:
        return round(self.random.uniform(-1, 1), 2)

    def sentence(self) -> str:
        return f"the {self.random.choice(WORDS['thing'])} was {self.random.choice(WORDS['was'])}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", help="default: the one that comes with the page")
    parser.add_argument("--visitors", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--port", type=int, default=7869)
    parser.add_argument("--page", default=str(PAGE), help="another version of app.py, to compare with")
    options = parser.parse_args()
    with started_page(options.checkpoint, options.port, options.page) as (address, process):
        visit(address, 1, 5)  # so that what is loaded once is
        before, used, load = resident(process), cpu_seconds(process), os.getloadavg()[0]
        peak = Peak(process)
        done, failures = visit(address, options.visitors, options.seconds)
        most, after, used = peak.stop(), resident(process), cpu_seconds(process) - used
    waits = sorted(seconds for of_name in done.values() for seconds in of_name)
    print(f"{options.visitors} visitors, {options.seconds:g} s: {len(waits)} answers, {len(failures)} failures")
    print(f"waited {waits[len(waits) // 2]:.1f} s (median), {waits[-1]:.1f} s (longest)")
    for name, seconds in done.items():
        if seconds:
            print(f"  {name[1:]}: {len(seconds)} answers, median {sorted(seconds)[len(seconds) // 2]:.1f} s")
    print(f"processor time of the page: {used / max(len(waits), 1):.2f} s for each answer")
    print(f"load of the machine (processes that want a core): {load:.1f} before, {os.getloadavg()[0]:.1f} after")
    print(f"memory: {before:.0f} MB before, {most:.0f} MB at most, {after:.0f} MB after")
    for failure in failures[:5]:
        print(f"failed: {failure}", file=sys.stderr)
    if failures:
        sys.exit(1)


@contextmanager
def started_page(
    checkpoint: str | None = None, port: int = 7869, page: str | Path = PAGE
) -> Iterator[tuple[str, int]]:
    """Start the page; its address and the number of its process, which ends with the context."""
    command = [sys.executable, str(page), *([checkpoint] if checkpoint else []), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield wait_for(server), server.pid
    finally:
        server.terminate()
        server.wait()


def wait_for(server: subprocess.Popen) -> str:
    """The address that a started page prints."""
    for line in server.stdout:
        if found := re.search(r"http://\S+", line):
            threading.Thread(target=server.stdout.read, daemon=True).start()
            return found[0]
    raise RuntimeError("the page did not start")


def visit(address: str, visitors: int, seconds: float) -> tuple[dict[str, list[float]], list[str]]:
    """Seconds that each answer took, by what was asked, and what went wrong; all ask until the time is over."""
    from gradio_client import Client

    patient = {"timeout": PATIENCE}
    clients = [Client(address, verbose=False, httpx_kwargs=patient) for _ in range(visitors)]
    offered = clients[0].view_api(return_format="dict", print_info=False)["named_endpoints"]
    parameters = offered["/write"]["parameters"]
    symbols = next(one["parameter_default"] for one in parameters if one["parameter_name"] == "symbols")
    done, failures, end = {name: [] for name in REQUESTS if name in offered}, [], time.monotonic() + seconds

    def asks(number: int) -> None:
        draw = Draws(number)
        while time.monotonic() < end:
            name, start = draw.random.choice(list(done)), time.monotonic()
            try:
                clients[number].predict(**REQUESTS[name](symbols, draw), api_name=name)
                done[name].append(time.monotonic() - start)
            except Exception as error:  # whatever a visitor may meet
                failures.append(f"{name}: {error}")

    with ThreadPoolExecutor(visitors) as pool:
        list(pool.map(asks, range(visitors)))
    return done, failures


def cpu_seconds(process: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(process: int) -> float:
    """Megabytes of memory of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000


class Peak:
    """The most memory of a process until `stop`."""

    def __init__(self, process: int):
        self.process, self.most, self.ended = process, 0.0, threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while not self.ended.wait(0.2):
            self.most = max(self.most, resident(self.process))

    def stop(self) -> float:
        self.ended.set()
        self.thread.join()
        return self.most


if __name__ == "__main__":
    main()
