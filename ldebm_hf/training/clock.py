"""How long training has taken, over all sessions of a run."""

import time
from numbers import Real

import numpy as np


class RunClock:
    """Counts the seconds of CPU and wall time that a run has trained, as a context manager around training.

    Interruptions are not counted: a resumed run goes on from the time at its checkpoint. CPU time is that of all
    threads of this process. Validation is not counted if it lies outside of the context.
    """

    def __init__(self):
        self.seconds = np.zeros(2)
        self.started: np.ndarray | None = None

    @property
    def times(self) -> dict[str, float]:
        """`cpu_seconds` and `wall_seconds` until now."""
        running = 0 if self.started is None else now() - self.started
        cpu_seconds, wall_seconds = (self.seconds + running).tolist()
        return {"cpu_seconds": cpu_seconds, "wall_seconds": wall_seconds}

    def resume(self, times: dict[str, float]) -> None:
        """Go on from the `times` of an earlier session. A time that is no number counts as 0."""
        found = [times.get(name) for name in ("cpu_seconds", "wall_seconds")]
        self.seconds = np.array([float(value) if isinstance(value, Real) else 0.0 for value in found])

    def __enter__(self) -> "RunClock":
        self.started = now()
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds = self.seconds + now() - self.started
        self.started = None


def now() -> np.ndarray:
    """Seconds of this process's CPU time and of the wall clock, `(2,)`."""
    return np.array([time.process_time(), time.perf_counter()])
