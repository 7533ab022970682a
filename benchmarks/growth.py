"""How time and memory grow: of a training step with batch, latent size, Langevin steps and vocabulary, and of the
clustering at the start of an epoch with the number of texts.

    python benchmarks/growth.py --output_dir outputs/growth

Everything else is as published (batch 128, d 40, 50 steps, 10,004 words, 21 tokens a text). Every point is measured in
a process of its own, with its peak resident memory. Writes `growth.json` and `growth.png`.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from fresh_process import call_in_fresh_process
from tqdm.auto import tqdm

from ldebm_hf import LDEBMConfig, LDEBMModel
from ldebm_hf.experiments.peak_memory import peak_gigabytes
from ldebm_hf.pseudo_labels.geometric_clustering import ClusteringSettings, Clusters

BASE = {"batch size": 128, "latent size": 40, "Langevin steps": 50, "vocabulary": 10_004}
VARIED = {
    "batch size": (32, 128, 512),
    "latent size": (10, 160, 640),
    "Langevin steps": (5, 50, 100),
    "vocabulary": (2_500, 10_004, 40_000),
    "texts": (10_000, 100_000, 500_000),
}
TOKENS = 21
REPEATS = 2


def training_step(name: str, value: int) -> Callable[[], None]:
    values = {**BASE, name: value}
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


def measure(name: str, value: int) -> dict[str, float]:
    """Return the median seconds of a call, and the process's peak resident memory in GB."""
    call = epoch_start(value) if name == "texts" else training_step(name, value)
    call()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return {"seconds": float(np.median(seconds)), "GB": peak_gigabytes()}


def plot(results: dict[str, dict[int, dict[str, float]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(2, len(results), figsize=(3.5 * len(results), 6), layout="constrained")
    for value, row in zip(("seconds", "GB"), panels, strict=True):
        for axes, (name, points) in zip(row, results.items(), strict=True):
            axes.plot(list(points), [point[value] for point in points.values()], marker="o")
            axes.set(xlabel=name, ylim=(0, 1.1 * max(point[value] for point in points.values())))
        row[0].set_ylabel("seconds" if value == "seconds" else "peak memory, GB")
    for axes, name in zip(panels[0], results, strict=True):
        axes.set_title("K-means, 125 symbols" if name == "texts" else "a training step")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/growth"))
    options = parser.parse_args()
    options.output_dir.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[int, dict[str, float]]] = {}
    for name, value in tqdm([(name, value) for name, values in VARIED.items() for value in values]):
        results.setdefault(name, {})[value] = call_in_fresh_process(measure, name, value)
    (options.output_dir / "growth.json").write_text(json.dumps(results, indent=1))
    plot(results, options.output_dir / "growth.png")
    for name, rows in results.items():
        print(name + ": " + "; ".join(f"{k:,}: {v['seconds']:.3g} s, {v['GB']:.2f} GB" for k, v in rows.items()))


if __name__ == "__main__":
    main()
