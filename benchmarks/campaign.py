"""The campaign: commands that are killed, files that are damaged, random requests, and many visitors of the page.

    python benchmarks/campaign.py                          # about an hour on two cores
    python benchmarks/campaign.py --scale 0.1 --parts kills damage

The table goes into a Markdown page, all figures into a JSON file. The exit code is 1 if anything was unclear.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import damaged_files
import fuzz_arguments
import fuzz_configurations
import fuzz_data_files
import fuzz_recipes
import killed_commands
import space_load
import torch
from campaign_parts import Part
from fuzz_outcomes import CLEAR, Outcomes
from tabulate import tabulate
from transformers.utils import logging

VISITORS, SECONDS = 32, 600
WHAT_IS_COUNTED = """\
Each part counts how its attempts ended, and how many ended in a way that is not promised, which is unclear: other
weights than without the kill, a traceback, damage that nobody notices, a request without a clear answer."""
"""What `--help` and the page say of the table."""


def fuzz(name: str, run: Callable[[int, int], Outcomes], number: int, folder: Path, seed: int, scale: float):
    """Random requests of one kind, as a part."""
    began = time.monotonic()
    outcomes = run(max(1, round(scale * number)), seed)
    part = Part(name, seconds=time.monotonic() - began)
    for outcome in CLEAR:
        part.outcomes[outcome] = outcomes.counts[outcome]
    for unclear in outcomes.unclear:
        part.add_unclear(": ".join(unclear))
    return [part]


def load(folder: Path, seed: int, scale: float) -> list[Part]:
    """Visitors of the page who all ask at the same time."""
    part, began = Part(f"requests of {VISITORS} visitors of the page"), time.monotonic()
    with space_load.started_page() as (address, _):
        done, failures = space_load.visit(address, VISITORS, scale * SECONDS)
    part.outcomes["answered"] = sum(map(len, done.values()))
    for failure in failures:
        part.add_unclear(failure)
    part.seconds = time.monotonic() - began
    return [part]


def repeated(parts: Callable[[int, Path, int], list[Part]], number: int, folder: Path, seed: int, scale: float):
    return parts(max(1, round(scale * number)), folder, seed)


PARTS = {
    "kills": partial(repeated, killed_commands.parts, 100),
    "damage": partial(repeated, damaged_files.parts, 200),
    "calls": partial(fuzz, "random calls of the API", fuzz_arguments.run, 6000),
    "configurations": partial(fuzz, "random configurations", fuzz_configurations.run, 5000),
    "recipes": partial(fuzz, "random recipes", fuzz_recipes.run, 3000),
    "data": partial(fuzz, "random data files", fuzz_data_files.run, 3000),
    "page": load,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=f"{__doc__}\n{WHAT_IS_COUNTED}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="parts to run (default: all)")
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the attempts (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all draws (default 0)")
    parser.add_argument("--output_file", type=Path, default=Path("outputs/campaign.json"), help="all figures, JSON")
    parser.add_argument("--page", type=Path, help="Markdown page of the table (default: none)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    found: list[Part] = []
    with tempfile.TemporaryDirectory(prefix="campaign_") as folder:
        for name in options.parts:
            parts = PARTS[name](folder=Path(folder, name), seed=options.seed, scale=options.scale)
            for part in parts:
                print(f"{part.name}: {part.row()[2]}; {part.num_unclear} unclear; {part.seconds:.0f} s", flush=True)
                for example in part.examples:
                    print(f"  unclear: {example}", flush=True)
            found += parts
    table = tabulate([part.row() for part in found], headers=["", "tried", "clear", "unclear"], tablefmt="github")
    print(f"\n{table}")
    write(options, found, table)
    sys.exit(any(part.num_unclear for part in found))


def write(options: argparse.Namespace, found: list[Part], table: str) -> None:
    """Write the record and, if asked for, the page."""
    asked = subprocess.run(["git", "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True, check=False)
    now = datetime.now(UTC)
    record = {
        "date": now.isoformat(timespec="seconds"),
        "commit": asked.stdout.strip(),
        "command": " ".join(["python", *sys.argv]),
        "parts": [part.to_dict() for part in found],
    }
    options.output_file.parent.mkdir(parents=True, exist_ok=True)
    options.output_file.write_text(json.dumps(record, indent=1), encoding="utf-8")
    if options.page is not None:
        date = now.strftime("%d %B %Y").lstrip("0")
        about = f"> Command: `{record['command']}`.\n> Date: {date}. Commit: {record['commit']}."
        examples = [f"* {part.name}: {example}" for part in found for example in part.examples]
        lines = ["# Results: the campaign", "", WHAT_IS_COUNTED, "", about, "", table, "", *examples]
        text = "\n".join(lines)
        options.page.write_text(text.rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
