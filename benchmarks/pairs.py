"""Side-by-side timing: in every round the baseline and ours run one after the other, and only ratios are compared."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch

from ldebm_hf.reports.tables import markdown_table
from ldebm_hf.training.float32_products import float32_products


@dataclass
class Comparison:
    """
    How much faster ours is, by the ratio baseline/ours of each round.

    Args:
        name (`str`): What was timed.
        ratio, low, high (`float`): Median and quartiles of the rounds' ratios.
        baseline_seconds, our_seconds (`float`): Median times of one item.
        target (`float`, *optional*): The ratio that was asked for.
        note (`str`): What the reader should know beside.
    """

    name: str
    ratio: float
    low: float
    high: float
    baseline_seconds: float
    our_seconds: float
    target: float | None = None
    note: str = ""

    def to_dict(self) -> dict:
        return asdict(self)


def compare(
    name: str,
    baseline: Callable[[], object],
    ours: Callable[[], object] | dict[str, Callable[[], object]],
    *,
    rounds: int = 3,
    target: float | None = None,
    items: tuple[int, int] = (1, 1),
    as_commands_do: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Comparison]:
    """
    Time a baseline and ours, or each of several variants of ours by their notes, in turns, after an untimed call of
    each; `items` is how many of `name` a call of the baseline and of ours makes. With `as_commands_do`, ours
    multiplies float32 matrices as training and the commands do, and the baseline as PyTorch does. With
    `time.process_time` as the clock other processes on the same CPU do not count, nor does what runs on a GPU.
    """
    variants = ours if isinstance(ours, dict) else {"": ours}
    if as_commands_do:
        variants = {note: _with_float32_products(call) for note, call in variants.items()}
    for call in (baseline, *variants.values()):
        call()
    seconds = np.array([[_seconds(call, clock) for call in (baseline, *variants.values())] for _ in range(rounds)])
    seconds[:, 0] /= items[0]
    seconds[:, 1:] /= items[1]
    rows = []
    for note, own in zip(variants, seconds.T[1:], strict=True):
        low, ratio, high = (float(value) for value in np.quantile(seconds[:, 0] / own, [0.25, 0.5, 0.75]))
        medians = float(np.median(seconds[:, 0])), float(np.median(own))
        rows.append(Comparison(name, ratio, low, high, *medians, target, note))
    return rows


def _with_float32_products(call: Callable[[], object]) -> Callable[[], object]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def call_with_float32_products() -> object:
        with float32_products("auto", device):
            return call()

    return call_with_float32_products


def _seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    _wait_for_gpu()
    start = clock()
    call()
    _wait_for_gpu()
    return clock() - start


def _wait_for_gpu() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def comparison_table(comparisons: list[Comparison]) -> str:
    """A Markdown table with one row per comparison: both times, their ratio with its quartiles, and the target."""
    return markdown_table(
        {
            "what": [row.name + (f" ({row.note})" if row.note else "") for row in comparisons],
            "baseline": [_readable(row.baseline_seconds) for row in comparisons],
            "ours": [_readable(row.our_seconds) for row in comparisons],
            "ratio (quartiles)": [f"{row.ratio:.2f} ({row.low:.2f} to {row.high:.2f})" for row in comparisons],
            "asked for": ["" if row.target is None else f"{row.target:.2g}" for row in comparisons],
        }
    )


def _readable(seconds: float) -> str:
    for unit, size in [("s", 1), ("ms", 1e-3)]:
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"
