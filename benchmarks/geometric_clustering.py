"""Geometric clustering at the size of a large corpus: 500,000 posterior means of 40 dimensions, 125 symbols.

    python benchmarks/geometric_clustering.py

Prints how long K-means takes, also as a percentage of an epoch over 500,000 texts, and compares a start from the last
epoch's clusters (`clustering.initialization: previous`) and half the iterations with a start from random texts.
"""

import time
from dataclasses import replace

import numpy as np
from pairs import Comparison, compare, comparison_table
from sizes import PUBLISHED, Sizes

from ldebm_hf.commands.options import run_script
from ldebm_hf.pseudo_labels.geometric_clustering import ClusteringSettings, Clusters, matching_names

LATENT_SIZE, NUM_SYMBOLS = 40, 125
SECONDS_PER_TEXT = 16.5 * 60 / 42_000
"""Of an epoch on 2 CPU cores: Penn Treebank's 42,000 sentences at the published sizes take 15 to 18 minutes."""
SETTINGS = {
    "means, the default": ClusteringSettings(),
    "3 whitened components on the unit sphere": ClusteringSettings(features="whitened", normalize=True),
    "40 whitened components": ClusteringSettings(features="whitened", normalize=True, num_components=LATENT_SIZE),
}


def posterior_means(num_texts: int = PUBLISHED.num_clustered) -> tuple[np.ndarray, np.ndarray]:
    """Two epochs' means: overlapping groups of different sizes on correlated axes; in the second epoch all moved."""
    rng = np.random.default_rng(0)
    axes = rng.normal(size=(LATENT_SIZE, LATENT_SIZE)) * np.geomspace(1, 0.1, LATENT_SIZE)[:, None]
    groups = rng.choice(NUM_SYMBOLS, num_texts, p=rng.dirichlet(np.ones(NUM_SYMBOLS)))
    last = rng.standard_normal((NUM_SYMBOLS, LATENT_SIZE), dtype=np.float32)[groups]
    last += 0.7 * rng.standard_normal(last.shape, dtype=np.float32)
    now = last + 0.1 * rng.standard_normal(last.shape, dtype=np.float32)
    return last @ axes.astype(np.float32), now @ axes.astype(np.float32)


def cluster(means: np.ndarray, settings: ClusteringSettings, previous: np.ndarray | None = None) -> np.ndarray:
    """What an epoch's clustering does once the texts are encoded."""
    assignments = Clusters.fit(means, NUM_SYMBOLS, settings, previous).assign(means)
    return assignments if previous is None else matching_names(assignments, previous, NUM_SYMBOLS)[assignments]


def spread(means: np.ndarray, assignments: np.ndarray, settings: ClusteringSettings) -> float:
    """Mean squared distance of a text's features to their cluster's centre."""
    features = Clusters.fit(means, 1, replace(settings, num_iterations=1)).features(means)
    sizes = np.bincount(assignments, minlength=NUM_SYMBOLS)
    sums = np.stack([np.bincount(assignments, column, NUM_SYMBOLS) for column in features.T], axis=1)
    centres = sums / np.maximum(sizes, 1)[:, None]
    return float(np.square(features - centres[assignments]).sum(1).mean())


def comparisons(rounds: int = 3, device: str = "cpu", sizes: Sizes = PUBLISHED) -> list[Comparison]:
    """Random start with the default 20 iterations against the last epoch's clusters with 10; always on the CPU."""
    if device != "cpu":
        return []
    settings, (last, now) = ClusteringSettings(), posterior_means(sizes.num_clustered)
    warm = replace(settings, initialization="previous", num_iterations=settings.num_iterations // 2)
    previous = cluster(last, settings)
    ends = [cluster(now, choice, previous) for choice in (settings, warm)]
    quality = spread(now, ends[1], settings) / spread(now, ends[0], settings)
    kept = " and ".join(f"{100 * (end == previous).mean():.0f} %" for end in ends)
    note = f"{len(now):,} × {LATENT_SIZE}, K {NUM_SYMBOLS}; spread of clusters {quality:.3f} times"
    (row,) = compare(
        "K-means: random start, 20 iterations; last epoch's clusters, 10",
        lambda: cluster(now, settings, previous),
        {note: lambda: cluster(now, warm, previous)},
        rounds=rounds,
    )
    share = row.baseline_seconds / (len(now) * SECONDS_PER_TEXT)
    row.note += f"; {kept} of texts keep their symbol; {100 * share:.2g} % of an epoch"
    return [row]


def main():
    means, _ = posterior_means()
    epoch = len(means) * SECONDS_PER_TEXT
    print(f"{len(means):,} means of {LATENT_SIZE} dimensions, {NUM_SYMBOLS} symbols; an epoch takes {epoch:,.0f} s")
    for name, settings in SETTINGS.items():
        start = time.perf_counter()
        cluster(means, settings)
        seconds = time.perf_counter() - start
        print(f"  {name}: {seconds:.2f} s, {100 * seconds / epoch:.3f} % of the epoch")
    print(comparison_table(comparisons()))


if __name__ == "__main__":
    run_script(main)
