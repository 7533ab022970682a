"""What a run reports: per-step terms with a watch on divergence, and the log of metrics."""

import json
import logging
import math
import time
from pathlib import Path

import torch
from accelerate import Accelerator

from ..files.atomic import write_text
from .settings import Settings

logger = logging.getLogger(__name__)


class DivergenceError(RuntimeError):
    """Training left the finite numbers, or the energies their bounds.

    Args:
        term (`str`): the quantity that failed; `step` (`int`): the optimiser step it belongs to; `value` (`float`).
        checkpoint (`Path`, *optional*): the last checkpoint, written before that step.
    """

    def __init__(self, term: str, step: int, value: float, checkpoint: Path | None):
        self.term, self.step, self.value, self.checkpoint = term, step, value, checkpoint
        place = f"the last good checkpoint is {checkpoint}" if checkpoint else "no checkpoint had been written yet"
        super().__init__(
            f"training diverged at step {step}: {term} is {value:g}; {place}. "
            "Lower learning rates, gradient clips or the weight of that term may help."
        )


class StepRecorder:
    """Keeps the terms of each step on the device, and reads them all at once.

    Reading one number stops the device until it has caught up, so the terms are looked at every few steps only: a
    divergence is noticed late, but reported with the step at which it happened.
    """

    def __init__(self, accelerator: Accelerator, max_energy: float):
        self.accelerator, self.max_energy = accelerator, max_energy
        self.steps: list[int] = []
        self.rows: list[torch.Tensor] = []
        self.names: list[str] = []
        self.restart_clock()

    def restart_clock(self) -> None:
        """Let the time since the last reading not count towards the steps to come."""
        self.clock = time.perf_counter()

    def add(self, step: int, terms: dict[str, torch.Tensor]) -> None:
        """Remember scalars of one step, the same names at every step."""
        self.names = list(terms)
        self.steps.append(step)
        self.rows.append(torch.stack([term.detach().float() for term in terms.values()]))

    def read(self, last_checkpoint: Path | None) -> dict[str, float]:
        """Means over processes and over the steps since the last reading (at least one), and `seconds_per_step`.

        Raises:
            DivergenceError: on every process, if any process saw a non-finite term or too large an energy.
        """
        table = self.accelerator.reduce(torch.stack(self.rows), reduction="mean").double().cpu()
        steps, self.steps, self.rows = self.steps, [], []
        for step, row in zip(steps, table.tolist(), strict=True):
            for name, value in zip(self.names, row, strict=True):
                if not math.isfinite(value) or (name.startswith("energy_") and abs(value) > self.max_energy):
                    raise DivergenceError(name, step, value, last_checkpoint)
        seconds = (time.perf_counter() - self.clock) / len(steps)
        self.restart_clock()
        return {**dict(zip(self.names, table.mean(0).tolist(), strict=True)), "seconds_per_step": seconds}


class MetricsLog:
    """`metrics.jsonl`, one object per line with step, epoch, split and values; and any trackers of Accelerate."""

    def __init__(self, path: Path, accelerator: Accelerator):
        self.path, self.accelerator = path, accelerator

    def start(self, step: int, settings: Settings) -> None:
        """Start the trackers, and drop from the file the lines after `step` that an interrupted run wrote."""
        values = {f"{section}.{k}": v for section, entries in settings.to_dict().items() for k, v in entries.items()}
        simple = {name: v if isinstance(v, (bool, int, float, str)) else str(v) for name, v in values.items()}
        self.accelerator.init_trackers("ldebm", config=simple)
        if self.accelerator.is_main_process and self.path.exists():
            lines = self.path.read_text(encoding="utf-8").splitlines()
            write_text(self.path, "".join(line + "\n" for line in lines if _step_of(line) <= step))

    def write(self, step: int, epoch: float, split: str, values: dict[str, float]) -> None:
        """Log values of a step; a file that cannot be written is a warning, not the end of the run."""
        self.accelerator.log({f"{split}/{name}": value for name, value in values.items()}, step=step)
        if not self.accelerator.is_main_process:
            return
        line = json.dumps({"step": step, "epoch": round(epoch, 4), "split": split, "values": values})
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            logger.warning("could not write to %s: %s", self.path, error)


def _step_of(line: str) -> float:
    """The step of a line; infinite for one that a crash cut short."""
    try:
        return json.loads(line)["step"]
    except json.JSONDecodeError:
        return math.inf
