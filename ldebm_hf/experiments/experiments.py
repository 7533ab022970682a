"""Studies: runs that differ in a few settings, trained where they are missing, several at a time, and tabulated.

A run ends with `scores.json` in its folder: its scores, and the settings they belong to. A finished run is never
repeated, and an interrupted one goes on from its last checkpoint.
"""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tqdm.auto import tqdm

from ..files.atomic import write_text
from ..reports.run_record import read_metrics
from ..reports.tables import markdown_table
from ..training import DivergenceError, Settings, Trainer

Changes = dict[str, dict[str, Any]]
"""`{section: {setting: value}}`"""
Scores = dict[str, float]

OF_PLACE = {"training.output_dir", "training.resume", "training.overwrite_output_dir", "data.data_dir"}
SCORES_FILE, LOG_FILE = "scores.json", "run.log"


def read_recipe(path: str | Path) -> Changes:
    """The settings of a recipe."""
    return yaml.safe_load(Path(path).read_text("utf-8"))


def merge(*parts: Changes) -> Changes:
    """All settings of the parts; a later part decides over an earlier one."""
    merged: Changes = {}
    for part in parts:
        for section, entries in part.items():
            merged[section] = merged.get(section, {}) | entries
    return merged


def parse_changes(texts: Iterable[str]) -> Changes:
    """Settings written as `section.name=value`.

    Raises:
        ValueError: a text of another form.
    """
    changes: Changes = {}
    for text in texts:
        name, equals, value = text.partition("=")
        section, dot, setting = name.partition(".")
        if not equals or not dot:
            raise ValueError(f"--set takes section.name=value, got {text!r}")
        changes.setdefault(section, {})[setting] = value
    return changes


@dataclass(frozen=True)
class StudyRun:
    """One run of a study.

    Args:
        model (`str`): the name of the row that the run belongs to; seed (`int`): its seed.
        folder (`Path`): where it writes.
        settings (`Settings`): all of its settings; they go on from the last checkpoint in `folder`, if there is one.
        scored_with (`dict`, *optional*): what else its scores depend on, strings by name. If that changes, the trained
            model is scored again.
    """

    model: str
    seed: int
    folder: Path
    settings: Settings
    scored_with: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, model: str, seed: int, folder: Path, changes: Changes) -> "StudyRun":
        """A run of these settings, apart from its place and seed. Errors as `Settings` has them."""
        of_run = {"output_dir": str(folder), "overwrite_output_dir": False, "seed": seed, "resume": "latest"}
        return cls(model, seed, folder, Settings.from_dict(merge(changes, {"training": of_run})))

    @property
    def key(self) -> dict[str, Any]:
        """The settings that make it this run and no other, by full name."""
        sections = json.loads(json.dumps(self.settings.to_dict()))
        flat = {f"{section}.{name}": value for section, part in sections.items() for name, value in part.items()}
        return {name: value for name, value in flat.items() if name not in OF_PLACE}

    def finished_scores(self) -> Scores | None:
        """The scores of the finished run in the folder, `None` if there are none or others would be found now.

        Raises:
            ValueError: the folder holds a finished run of other settings.
        """
        file = self.folder / SCORES_FILE
        if not file.exists():
            return None
        finished, key = json.loads(file.read_text("utf-8")), self.key
        earlier = {name: value for name, value in finished["settings"].items() if name not in OF_PLACE}
        different = [name for name in earlier.keys() & key.keys() if earlier[name] != key[name]]
        different += [name for name in earlier.keys() ^ key.keys() if name.startswith("model.")]
        if different:
            raise ValueError(
                f"{self.folder} holds a run with another {', '.join(sorted(different))}: remove it, or give another "
                "--output_dir"
            )
        return finished["scores"] if finished.get("scored_with", {}) == self.scored_with else None

    def finish(self, train_and_score: Callable[["StudyRun"], Scores]) -> Scores:
        """The scores, after training and scoring if that is not done."""
        scores = self.finished_scores()
        if scores is None:
            scores = train_and_score(self)
            self.folder.mkdir(parents=True, exist_ok=True)
            content = {"scores": scores, "settings": self.key, "scored_with": self.scored_with}
            write_text(self.folder / SCORES_FILE, json.dumps(content, indent=1))
        return scores


class TimedTrainer(Trainer):
    """A trainer that knows how long training has taken, interruptions left out.

    Lines of `metrics.jsonl` with the split `clock` say so: seconds of the CPU and of the wall until a checkpoint.
    """

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.seconds = np.zeros(2)
        self.started: np.ndarray | None = None

    @property
    def times(self) -> Scores:
        """`cpu_seconds` and `wall_seconds` of training until now."""
        return dict(zip(("cpu_seconds", "wall_seconds"), self.seconds.tolist(), strict=True))

    def _start(self) -> None:
        super()._start()
        clocks = read_metrics(self.folder.path, "clock")
        if clocks:
            self.seconds = np.array([clocks[-1]["values"][name] for name in self.times])

    def _train_epoch(self) -> None:
        self.started = now()
        super()._train_epoch()
        self.seconds, self.started = self.seconds + now() - self.started, None

    def _save_checkpoint(self) -> None:
        cpu, wall = self.seconds + (0 if self.started is None else now() - self.started)
        values = {"cpu_seconds": float(cpu), "wall_seconds": float(wall)}
        # Before the checkpoint: where that is not written, a resumed run drops the line.
        self.metrics.write(self.progress.step, self.progress.step / self.steps_per_epoch, "clock", values)
        super()._save_checkpoint()


def now() -> np.ndarray:
    """Seconds of this process's CPU time and of the wall's."""
    return np.array([time.process_time(), time.perf_counter()])


def finish_here(runs: Sequence[StudyRun], train_and_score: Callable[[StudyRun], Scores], title: str) -> dict:
    """Finish runs one after the other; what went wrong, by model and seed."""
    failures = {}
    for number, run in enumerate(runs, start=1):
        tqdm.write(f"[{number}/{len(runs)}] {title}, {run.model}, seed {run.seed}")
        try:
            run.finish(train_and_score)
        except (DivergenceError, ValueError, OSError, RuntimeError) as error:
            failures[run.model, run.seed] = str(error)
            tqdm.write(f"  failed: {error}")
    return failures


def finish_in_processes(
    runs: Sequence[StudyRun], command: Callable[[StudyRun], list[str]], jobs: int, title: str
) -> dict[tuple[str, int], str]:
    """As `finish_here`, `jobs` at a time, each in a process of one thread whose output is in its `run.log`.

    Args:
        command: the command line that finishes a run.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    failures: dict[tuple[str, int], str] = {}
    processes: set[subprocess.Popen] = set()
    stopped = threading.Event()
    bar = tqdm(total=len(runs), desc=title, unit="run")

    def work(run: StudyRun) -> None:
        if stopped.is_set():
            return
        run.folder.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        with (run.folder / LOG_FILE).open("w", encoding="utf-8") as log:
            process = subprocess.Popen(command(run), stdout=log, stderr=subprocess.STDOUT, env=environment)
            processes.add(process)
            code = process.wait()
            processes.remove(process)
        if stopped.is_set():
            return
        outcome = f"done in {time.perf_counter() - started:.0f} s"
        if code:
            outcome = failures[run.model, run.seed] = f"exit code {code}, see {run.folder / LOG_FILE}"
        bar.update()
        tqdm.write(f"{run.model}, seed {run.seed}: {outcome}")

    pool = ThreadPoolExecutor(jobs)
    try:
        for future in [pool.submit(work, run) for run in runs]:
            future.result()
    finally:
        stopped.set()
        for process in list(processes):
            process.terminate()
        pool.shutdown()
        bar.close()
    return failures


def finished(runs: Iterable[StudyRun]) -> dict[str, dict[str, Scores]]:
    """The scores of the runs that are finished, by model and seed."""
    scores: dict[str, dict[str, Scores]] = {}
    for run in runs:
        of_run = run.finished_scores()
        if of_run is not None:
            scores.setdefault(run.model, {})[str(run.seed)] = of_run
    return scores


def table(rows: dict[str, dict[str, Scores]], columns: dict[str, Callable[[dict[str, list[float]]], str]]) -> str:
    """A Markdown table.

    Args:
        rows: scores by the row's name and the seed.
        columns: by the column's name, what it shows of a row's scores, which are lists with a value per seed.
    """
    cells: dict[str, list[str]] = {"model": list(rows), **{column: [] for column in columns}}
    for runs in rows.values():
        names = dict.fromkeys(score for run in runs.values() for score in run)
        scores = {score: [run[score] for run in runs.values() if score in run] for score in names}
        for column, cell in columns.items():
            cells[column].append(cell(scores))
    return markdown_table(cells)


def spread(values: list[float] | None, unit: float = 1) -> str:
    """Mean ± standard deviation over seeds, multiplied by `unit`; empty if there are none."""
    if not values:
        return ""
    scaled = unit * np.array(values)
    return f"{scaled.mean():.3g}" + (f" ± {scaled.std(ddof=1):.2g}" if len(scaled) > 1 else "")


def in_brackets(values: list[float] | None) -> str:
    """The mean over seeds, for a chance level behind its score; empty if there are none."""
    return f" ({np.mean(values):.2g})" if values else ""
