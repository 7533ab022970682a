"""The runs of an experiment: models that differ in a few settings, each trained and scored in a folder of its own.

A finished run has `scores.json` in its folder, with its scores and the settings that gave them. A finished run is
never repeated, and an interrupted one continues from its last checkpoint.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from tqdm.auto import tqdm

from ..files.atomic import write_text
from ..files.json_objects import read_object
from ..training import DivergenceError, Settings
from .circumstances import circumstances

Changes = dict[str, dict[str, Any]]
"""`{section: {setting: value}}`"""
Scores = dict[str, float]
Failures = dict[tuple[str, int], str]
"""Why runs failed, by their row's name and their seed."""

PLACE_SETTINGS = {
    "training.output_dir", "training.resume", "training.overwrite_output_dir", "data.data_dir", "data.features_dir",
}  # fmt: skip
"""Settings that say where files are and do not change what a run computes."""
SCORES_FILE = "scores.json"


def read_recipe(path: str | Path) -> Changes:
    """Read the settings of a recipe, a YAML file."""
    return yaml.safe_load(Path(path).read_text("utf-8"))


def merge_changes(*parts: Changes) -> Changes:
    """Merge settings; where two parts have the same one, the later part wins."""
    merged: Changes = {}
    for part in parts:
        for section, entries in part.items():
            merged[section] = merged.get(section, {}) | entries
    return merged


def parse_changes(texts: Iterable[str]) -> Changes:
    """Parse settings written as `section.name=value`, as `--set` takes them.

    Raises:
        ValueError: If a text has another form.
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
class ExperimentRun:
    """
    One run of an experiment.

    Args:
        model (`str`): The name of the table row that the run belongs to.
        seed (`int`): Its seed.
        folder (`Path`): The folder it writes to.
        settings (`Settings`): All of its settings. They resume from the last checkpoint in `folder`, if there is one.
        scored_with (`dict[str, str]`, *optional*): What the scores depend on besides the settings, such as the split.
            If it differs from that of the finished run in `folder`, the trained model is scored again.
    """

    model: str
    seed: int
    folder: Path
    settings: Settings
    scored_with: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_changes(cls, model: str, seed: int, folder: Path, changes: Changes) -> "ExperimentRun":
        """Make a run from its settings, without those of its place and its seed. Raises what `Settings` raises."""
        own = {"output_dir": str(folder), "overwrite_output_dir": False, "seed": seed, "resume": "latest"}
        return cls(model, seed, folder, Settings.from_dict(merge_changes(changes, {"training": own})))

    @property
    def key(self) -> dict[str, Any]:
        """The settings that tell this run from every other one, by full name (`section.name`)."""
        sections = json.loads(json.dumps(self.settings.to_dict()))
        flat = {f"{section}.{name}": value for section, part in sections.items() for name, value in part.items()}
        return {name: value for name, value in flat.items() if name not in PLACE_SETTINGS}

    def finished_scores(self) -> Scores | None:
        """Return the scores of the finished run in `folder`; `None` if it is not finished or must be scored again.

        Raises:
            ValueError: If the folder holds a finished run with other settings, or scores that cannot be read.
        """
        file = self.folder / SCORES_FILE
        if not file.exists():
            return None
        finished, key = read_object(file) or {}, self.key
        if not isinstance(finished.get("settings"), dict) or "scores" not in finished:
            raise ValueError(f"{file} cannot be read: remove it, and the run is scored again")
        earlier = {name: value for name, value in finished["settings"].items() if name not in PLACE_SETTINGS}
        different = [name for name in earlier.keys() & key.keys() if earlier[name] != key[name]]
        # Settings of data and training that only one of the two has were added or removed between two versions; those
        # of the model are only the ones that the run gives, so that one more or less is another model.
        different += [name for name in earlier.keys() ^ key.keys() if name.startswith("model.")]
        if different:
            raise ValueError(
                f"{self.folder} holds a run with another {', '.join(sorted(different))}: remove it, or choose another "
                "--output_dir"
            )
        return finished["scores"] if finished.get("scored_with", {}) == self.scored_with else None

    def finish(self, train_and_score: Callable[["ExperimentRun"], Scores]) -> Scores:
        """Train and score the run unless it is finished, and return its scores."""
        scores = self.finished_scores()
        if scores is None:
            made = circumstances()  # before training: the checkout may be another one when it ends
            scores = train_and_score(self)
            self.folder.mkdir(parents=True, exist_ok=True)
            content = {
                "scores": scores,
                "settings": self.key,
                "scored_with": self.scored_with,
                "made": made,
            }
            write_text(self.folder / SCORES_FILE, json.dumps(content, indent=1))
        return scores


def finish_one_by_one(
    runs: Sequence[ExperimentRun], train_and_score: Callable[[ExperimentRun], Scores], title: str
) -> Failures:
    """Finish runs one after the other in this process; a run that fails does not stop the others."""
    failures: Failures = {}
    for number, run in enumerate(runs, start=1):
        tqdm.write(f"[{number}/{len(runs)}] {title}, {run.model}, seed {run.seed}")
        try:
            run.finish(train_and_score)
        except (DivergenceError, ValueError, OSError, RuntimeError) as error:
            failures[run.model, run.seed] = str(error)
            tqdm.write(f"  failed: {error}")
    return failures


def collect_scores(runs: Iterable[ExperimentRun]) -> dict[str, dict[str, Scores]]:
    """Read the scores of those runs that are finished, by the row's name and the seed."""
    scores: dict[str, dict[str, Scores]] = {}
    for run in runs:
        of_run = run.finished_scores()
        if of_run is not None:
            scores.setdefault(run.model, {})[str(run.seed)] = of_run
    return scores
