"""What a run logs: the loss terms of every step, which are checked for divergence, and `metrics.jsonl`."""

import json
import logging
import math
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from accelerate import Accelerator

from ..files.atomic import write_text
from ..reports.run_record import metrics_lines
from .errors import DivergenceError
from .settings import Settings

logger = logging.getLogger(__name__)

MAX_ENERGY = 1e6
"""Mean energies beyond this count as divergence."""


class StepRecorder:
    """Collects the loss terms of each step on the device and reads those of several steps at once.

    Reading a number from a GPU means waiting for it, so this is done every few steps only. A divergence is therefore
    noticed late, but it is reported with the step at which it happened.

    Args:
        accelerator (`Accelerator`): averages the terms over processes.
    """

    def __init__(self, accelerator: Accelerator):
        self.accelerator = accelerator
        self.steps: list[int] = []
        self.rows: list[torch.Tensor] = []
        self.names: list[str] = []
        self.restart_clock()

    def restart_clock(self) -> None:
        """Start to measure the time of the next steps now."""
        self.clock = time.perf_counter()

    def add(self, step: int, terms: dict[str, torch.Tensor]) -> None:
        """Keep the scalars of one step. Their names must be the same at every step."""
        self.names = list(terms)
        self.steps.append(step)
        self.rows.append(torch.stack([term.detach().float() for term in terms.values()]))

    def read(self, last_checkpoint: Path | None) -> dict[str, float]:
        """The means over processes and over the steps since the last call, and `seconds_per_step`.

        There must have been a step since the last call.

        Raises:
            DivergenceError: on every process, if a term is not finite or an energy exceeds `MAX_ENERGY` on any.
        """
        table = self.accelerator.reduce(torch.stack(self.rows), reduction="mean").double().cpu()
        steps, self.steps, self.rows = self.steps, [], []
        for step, row in zip(steps, table.tolist(), strict=True):
            values = dict(zip(self.names, row, strict=True))
            for name in causes_first(values):
                if not math.isfinite(values[name]) or (name.startswith("energy_") and abs(values[name]) > MAX_ENERGY):
                    raise DivergenceError(name, step, values[name], last_checkpoint)
        seconds = (time.perf_counter() - self.clock) / len(steps)
        self.restart_clock()
        return {**dict(zip(self.names, table.mean(0).tolist(), strict=True)), "seconds_per_step": seconds}


def causes_first(names: Iterable[str]) -> list[str]:
    """Names of values in an order in which what is computed from others comes after them: energies, the terms of the
    loss, the loss itself, and the norms of its gradients."""

    def place(name: str) -> int:
        if name.startswith("energy_"):
            return 0
        if name == "loss":
            return 2
        return 3 if name.endswith("_grad_norm") else 1

    return sorted(names, key=place)


class MetricsLog:
    """Writes values to `metrics.jsonl` and to the trackers of Accelerate.

    Each line of the file is an object with `step`, `epoch`, `split` and `values`.

    Args:
        path (`Path`): the file.
        accelerator (`Accelerator`): has the trackers.
    """

    def __init__(self, path: Path, accelerator: Accelerator):
        self.path, self.accelerator = path, accelerator

    def start(self, step: int, settings: Settings) -> None:
        """Start the trackers. Remove damaged lines, and those after `step`, which an interrupted run has left."""
        values = {f"{section}.{k}": v for section, entries in settings.to_dict().items() for k, v in entries.items()}
        simple = {name: v if isinstance(v, (bool, int, float, str)) else str(v) for name, v in values.items()}
        self.accelerator.init_trackers("ldebm", config=simple)
        if self.accelerator.is_main_process and self.path.exists():
            kept = [line for line in metrics_lines(self.path) if line["step"] <= step]
            write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))

    def write(self, step: int, epoch: float, split: str, values: dict[str, float]) -> None:
        """Log the values of a step. If the file cannot be written, there is a warning and the run goes on."""
        self.accelerator.log({f"{split}/{name}": value for name, value in values.items()}, step=step)
        if not self.accelerator.is_main_process:
            return
        line = json.dumps({"step": step, "epoch": round(epoch, 4), "split": split, "values": values})
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            logger.warning("could not write to %s: %s", self.path, error)
