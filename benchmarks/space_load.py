"""Many visitors of the page at once: answers, failures, waiting and memory.

    python benchmarks/space_load.py                                    # 32 visitors for a minute
    python benchmarks/space_load.py outputs/mine --visitors 8 --seconds 20

Each visitor has a connection of its own and asks for one thing after the other, by the page's API. The page runs in a
process of its own, as `make space` starts it; its memory is the resident set of that process (Linux).
"""

import argparse
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
REQUESTS = {
    "/write": lambda symbols: {"symbols": symbols, "num_sentences": 5, "temperature": 0.8},
    "/read": lambda symbols: {"text": "the food was great but the service was slow ."},
    "/decode_at": lambda symbols: {"x": 0, "y": 0},
    "/interpolate": lambda symbols: {"first": "the food was cold .", "second": "i love this place !", "num_steps": 7},
    "/reverse_diffusion": lambda symbols: {"symbols": symbols, "num_latents": 20},
    "/complete": lambda symbols: {"text": "the <mask> was <span>", "num_completions": 3},
    "/compare_priors": lambda symbols: {"num_points": 1000},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", help="default: the one that comes with the page")
    parser.add_argument("--visitors", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--port", type=int, default=7869)
    options = parser.parse_args()
    with started_page(options.checkpoint, options.port) as (address, process):
        visit(address, 1, 5)  # so that what is loaded once is
        before = resident(process)
        peak = Peak(process)
        done, failures = visit(address, options.visitors, options.seconds)
        most, after = peak.stop(), resident(process)
    waits = sorted(seconds for of_name in done.values() for seconds in of_name)
    print(f"{options.visitors} visitors, {options.seconds:g} s: {len(waits)} answers, {len(failures)} failures")
    print(f"waited {waits[len(waits) // 2]:.1f} s (median), {waits[-1]:.1f} s (longest)")
    print(", ".join(f"{name[1:]} {len(seconds)}" for name, seconds in done.items()))
    print(f"memory: {before:.0f} MB before, {most:.0f} MB at most, {after:.0f} MB after")
    for failure in failures[:5]:
        print(f"failed: {failure}", file=sys.stderr)
    if failures:
        sys.exit(1)


@contextmanager
def started_page(checkpoint: str | None = None, port: int = 7869) -> Iterator[tuple[str, int]]:
    """Start the page; its address and the number of its process, which ends with the context."""
    command = [sys.executable, str(PAGE), *([checkpoint] if checkpoint else []), "--port", str(port)]
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
        choice = random.Random(number)
        while time.monotonic() < end:
            name, start = choice.choice(list(done)), time.monotonic()
            try:
                clients[number].predict(**REQUESTS[name](symbols), api_name=name)
                done[name].append(time.monotonic() - start)
            except Exception as error:  # whatever a visitor may meet
                failures.append(f"{name}: {error}")

    with ThreadPoolExecutor(visitors) as pool:
        list(pool.map(asks, range(visitors)))
    return done, failures


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
