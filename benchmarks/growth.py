"""How time and memory grow: a training step against batch, latent size, Langevin steps and vocabulary, and what starts
an epoch against the size of the corpus.

    python benchmarks/growth.py --output_dir outputs/growth

Everything else is as published (batch 128, d 40, 50 steps, 10,004 words, 21 tokens a text). Writes `growth.json` and
`growth.png`. Memory is what the process needs beyond its state before (peak resident size; Linux only).
"""

import argparse
import gc
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.clustering import ClusteringSettings, Clusters

BASE = {"batch size": 128, "latent size": 40, "Langevin steps": 50, "vocabulary": 10_004}
VARIED = {
    "batch size": (32, 64, 128, 256, 512),
    "latent size": (10, 40, 160, 640),
    "Langevin steps": (5, 10, 20, 50, 100),
    "vocabulary": (2_500, 5_000, 10_004, 20_000, 40_000),
}
CORPUS_SIZES = (10_000, 50_000, 100_000, 500_000)
TOKENS = 21
REPEATS = 3


def training_step(**changes: int) -> Callable[[], None]:
    values = {**BASE, **changes}
    torch.manual_seed(0)
    config = LDEBMConfig.from_preset(
        "published",
        num_symbols=20,
        latent_size=values["latent size"],
        langevin_steps=values["Langevin steps"],
        vocab_size=values["vocabulary"],
    )
    model = LDEBMModel(config).train()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    input_ids = torch.randint(4, values["vocabulary"], (values["batch size"], TOKENS))

    def step() -> None:
        optimizer.zero_grad()
        model(input_ids, torch.ones_like(input_ids)).loss.backward()
        optimizer.step()

    return step


def epoch_start(num_texts: int) -> Callable[[], None]:
    means = np.random.default_rng(0).standard_normal((num_texts, 40), dtype=np.float32)
    return lambda: Clusters.fit(means, 125, ClusteringSettings()).assign(means)


def cost(make: Callable[[], Callable[[], None]]) -> dict[str, float]:
    """Median seconds of a call, and the memory that the callable and its calls need at most, in MB."""
    gc.collect()
    before = _reset_peak()
    call = make()
    call()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return {"seconds": float(np.median(seconds)), "MB": (_status("VmHWM") - before) / 1e3}


def _reset_peak() -> float:
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak to the current size
    return _status("VmRSS")


def _status(name: str) -> float:
    """A field of the process's status, in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(name)))


def plot(results: dict[str, dict[int, dict[str, float]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(2, len(results), figsize=(4 * len(results), 6), layout="constrained")
    for column, (name, rows) in zip(panels.T, results.items(), strict=True):
        for axes, value, label in zip(column, ("seconds", "MB"), ("seconds", "memory, MB"), strict=True):
            axes.plot(list(rows), [row[value] for row in rows.values()], marker="o")
            axes.set(xlabel=name, ylim=(0, None))
            axes.set_ylabel(label if column is panels.T[0] else "")
    for axes in panels[0]:
        axes.set_title("K-means, 125 symbols" if axes is panels[0][-1] else "a training step")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/growth"))
    options = parser.parse_args()
    options.output_dir.mkdir(parents=True, exist_ok=True)
    points = [(name, value) for name, values in VARIED.items() for value in values]
    results: dict[str, dict[int, dict[str, float]]] = {}
    for name, value in tqdm(points):
        results.setdefault(name, {})[value] = cost(lambda name=name, value=value: training_step(**{name: value}))
    for size in tqdm(CORPUS_SIZES):
        results.setdefault("texts", {})[size] = cost(lambda size=size: epoch_start(size))
    (options.output_dir / "growth.json").write_text(json.dumps(results, indent=1))
    plot(results, options.output_dir / "growth.png")
    for name, rows in results.items():
        print(name + ": " + "; ".join(f"{k:,}: {v['seconds']:.3g} s, {v['MB']:.0f} MB" for k, v in rows.items()))


if __name__ == "__main__":
    main()
