"""Records of tables as JSON: the scores, and how, when and with what each run was made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..files.atomic import write_text
from .circumstances import name_of_path
from .experiment_runs import SCORES_FILE, ExperimentRun
from .score_tables import Rows


def write_record(
    file: Path, title: str, scores: Mapping[str, Rows], runs: Mapping[str, Sequence[ExperimentRun]]
) -> None:
    """
    Write the record of a table: what its scores are, and how its runs were made.

    Settings that all runs share are written once, and those of single runs as far as they differ.

    Args:
        file (`Path`): The file to write.
        title (`str`): What the table is about.
        scores (`Mapping[str, Rows]`): For each data set its rows, and of each row the scores by seed.
        runs (`Mapping[str, Sequence[ExperimentRun]]`): For each data set its finished runs.
    """
    finished = []
    for name, of_data_set in runs.items():
        for run in of_data_set:
            finished.append((name, run, json.loads((run.folder / SCORES_FILE).read_text("utf-8"))))
    shared = dict(finished[0][2]["settings"]) if finished else {}
    for _, _, content in finished:
        for name in [name for name, value in shared.items() if content["settings"].get(name, ...) != value]:
            del shared[name]
    described = []
    for name, run, content in finished:
        own = {
            setting: name_of_path(value) for setting, value in content["settings"].items() if setting not in shared
        }
        described.append({
            "data_set": name,
            "row": run.model,
            "seed": run.seed,
            "made": content.get("made"),
            "scored_with": {what: name_of_path(value) for what, value in content["scored_with"].items()},
            "settings": own,
        })  # fmt: skip
    shared = {name: name_of_path(value) for name, value in shared.items()}
    record = {"title": title, "scores": scores, "settings": shared, "runs": described}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(record, indent=1) + "\n")
