"""The benchmark suite: every comparison, as one table of ratios and as JSON.

    python benchmarks/run.py --output outputs/bench.json

Each ratio is the baseline's time over ours, from runs in turns in this process, with quartiles over the rounds. Where
CUDA is present everything runs on the CPU first and then on the GPU.
"""

import argparse
import json
import platform
from pathlib import Path

import generation
import geometric_clustering
import sampler
import torch
import training_step
from pairs import Comparison, comparison_table

SECTIONS = {
    "sampler": sampler,
    "training_step": training_step,
    "generation": generation,
    "clustering": geometric_clustering,
}


def environment() -> dict[str, str | int]:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side (default 3)")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--output", type=Path, default=Path("outputs/bench.json"))
    options = parser.parse_args()
    print(", ".join(f"{name} {value}" for name, value in environment().items()))
    results: dict[str, list[Comparison]] = {}
    for device in ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]:
        for name in options.sections:
            rows = results[f"{name}, {device}"] = SECTIONS[name].comparisons(rounds=options.rounds, device=device)
            print(f"\n### {name}, {device}\n\n{comparison_table(rows)}", flush=True)
    report = {
        "environment": environment(),
        "results": {name: [row.to_dict() for row in rows] for name, rows in results.items()},
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
