"""A hierarchy of symbols: which ones lie near each other among the latents, as a tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

ROW = 22
"""Height of a symbol's row in the drawn tree."""
WIDTH = 420
"""Width of the drawn tree without the names."""


def symbol_hierarchy(latents: np.ndarray, assignments: np.ndarray) -> dict[str, Any] | None:
    """
    Join the two nearest groups of symbols until one is left (agglomerative clustering with average linkage).

    The distance of two symbols is the Euclidean one between the mean latents of their texts.

    Args:
        latents (`np.ndarray` of shape `(num_texts, d)`): The latents of texts.
        assignments (`np.ndarray` of shape `(num_texts,)`): The symbol of each text.

    Returns:
        `dict`: `symbols` (ids, in the order of the leaves) and `joins`, a list of `[first, second, distance]` from
        the nearest to the farthest: places in `symbols`, or `len(symbols) + n` for what the n-th join made, from 0.
        `None` for fewer than three symbols with texts, of which there is nothing to draw.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage

    used = np.unique(assignments)
    if len(used) < 3:
        return None
    centers = np.stack([latents[assignments == symbol].astype(np.float64).mean(0) for symbol in used])
    joined = linkage(centers, "average", optimal_ordering=True)
    order = leaves_list(joined)
    place = {int(leaf): number for number, leaf in enumerate(order)}
    joins = [[place.get(int(one), int(one)) for one in pair] + [float(distance)] for *pair, distance, _ in joined]
    return {"symbols": [int(used[leaf]) for leaf in order], "joins": joins}


def tree_lines(hierarchy: Mapping[str, Any]) -> tuple[list[str], int]:
    """The tree as paths of SVG, root on the left and leaves on the right, and its height. Leaves are at the middle of
    rows of `ROW` pixels, `WIDTH` to the right."""
    number = len(hierarchy["symbols"])
    farthest = hierarchy["joins"][-1][2] or 1.0
    places = [(float(WIDTH), ROW * (leaf + 0.5)) for leaf in range(number)]
    lines = []
    for first, second, distance in hierarchy["joins"]:
        x = WIDTH * (1 - distance / farthest) * 0.97 + 4
        (x1, y1), (x2, y2) = places[first], places[second]
        lines.append(f"M{x1:.1f} {y1:.1f}H{x:.1f}V{y2:.1f}H{x2:.1f}")
        places.append((x, (y1 + y2) / 2))
    return lines, ROW * number
