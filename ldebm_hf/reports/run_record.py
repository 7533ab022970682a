"""The files in a run's folder, and the record of the run that is read from them."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from ..model.configuration_ldebm import LDEBMConfig

logger = logging.getLogger(__name__)

FACTS, METRICS, EVALUATION, LIKELIHOOD = "run.json", "metrics.jsonl", "evaluation.json", "likelihood.json"
REPORT, SETTINGS, CURVES = "report.json", "settings.yaml", "curves.png"
ESTIMATOR = "estimator.json"
SCORES = ("evaluation*.json", "likelihood*.json", "text_clusters*.json")
ABOUT_THE_MODEL = (*SCORES, REPORT, "report.html", "guidance.png")
"""Patterns of the files that scripts write about a finished model; they become invalid if it is trained again."""
GREATER_IS_BETTER = {
    "mutual_information",
    "symbol_accuracy",
    "matched_accuracy",
    "v_measure",
    "symbol_usage_entropy",
    "symbols_used",
}
"""Validation values in `metrics.jsonl` for which higher is better; for all others lower is better."""


def scores_file(name: str, data: str) -> str:
    """
    The name of a file of scores in a model's folder.

    The model card shows the scores of the run's validation split; scores of other data get a file of their own.

    Args:
        name (`str`): `EVALUATION` or `LIKELIHOOD`.
        data (`str`): What was scored: `"validation"`, or a name for other data.
    """
    file = Path(name)
    return name if data == "validation" else f"{file.stem}.{data}{file.suffix}"


def greater_is_better(name: str, setting: bool | None) -> bool:
    """Whether a higher validation value is better: as the setting says, or by default as known for the name."""
    return name in GREATER_IS_BETTER if setting is None else setting


def read_metrics(run: Path, split: str) -> list[dict]:
    """The lines of a run's `metrics.jsonl` that belong to a split. Lines that no run has written are left out."""
    return [line for line in metrics_lines(run / METRICS) if line["split"] == split]


def metrics_lines(file: Path) -> list[dict]:
    """The lines of a file of metrics, with `step`, `epoch`, `split` and `values`. Others are counted in a warning."""
    content = file.read_bytes().splitlines() if file.is_file() else []
    lines = [line for line in map(_metrics_line, content) if line is not None]
    if others := len(content) - len(lines):
        logger.warning("%s: %s of %s lines are not as a run writes them", file, others, len(content))
    return lines


def _metrics_line(line: bytes) -> dict | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    kinds = {"step": int, "epoch": int | float, "split": str, "values": dict}
    is_right = isinstance(found, dict) and all(isinstance(found.get(name), kind) for name, kind in kinds.items())
    return found if is_right else None


@dataclass(frozen=True)
class Cost:
    """
    The cost of a training run.

    Args:
        wall_seconds (`float`): Wall-clock time of training, without interruptions.
        cpu_seconds (`float`, *optional*): CPU time of all threads of the first process.
    """

    wall_seconds: float
    cpu_seconds: float | None


@dataclass
class RunRecord:
    """
    What the folder of a run contains. A file that does not exist makes an empty value.

    Args:
        folder (`Path`): The folder of the run.
        config ([`LDEBMConfig`]): The model's configuration.
        settings (`dict`): `settings.yaml`, by section and name.
        facts (`dict`): `run.json`, as `ldebm_hf.training.publishing.run_facts` makes it.
        evaluation (`dict[str, float]`): The scores of `examples/evaluate.py`.
        likelihood (`dict`): The summary of `examples/likelihood.py`.
        symbols (`list[dict]`): The symbols in the report of `examples/explain.py`, by id.
        explained_by (`str`): The texts of that report: a corpus and its split.
    """

    folder: Path
    config: LDEBMConfig
    settings: dict[str, dict[str, Any]]
    facts: dict[str, Any]
    evaluation: dict[str, float]
    likelihood: dict[str, Any]
    symbols: list[dict[str, Any]]
    explained_by: str

    @classmethod
    def read(cls, folder: str | Path) -> RunRecord:
        """
        Read the record of a run.

        Raises:
            ValueError: The folder does not contain a model of this package.
        """
        folder = Path(folder)
        config = _json(folder / "config.json")
        if config.get("model_type") != LDEBMConfig.model_type:
            found = f"a model with model_type {config.get('model_type')!r}" if config else "no config.json"
            raise ValueError(f"folder must contain a model of ldebm_hf, but {str(folder)!r} has {found}")
        settings = folder / SETTINGS
        report = _json(folder / REPORT)
        symbols = report.get("symbols", [])
        return cls(
            folder,
            LDEBMConfig.from_dict(config),
            yaml.safe_load(settings.read_text("utf-8")) if settings.is_file() else {},
            _json(folder / FACTS),
            _json(folder / EVALUATION),
            _json(folder / LIKELIHOOD).get("summary", {}),
            symbols if len(symbols) == len(config.get("id2label", {})) else [],
            report.get("details", {}).get("texts", ""),
        )

    def setting(self, name: str, default: Any = None) -> Any:
        """The value of a setting by its full name, such as `data.source`."""
        section, _, name = name.partition(".")
        return self.settings.get(section, {}).get(name, default)

    @property
    def has_code(self) -> bool:
        """Whether the folder contains the code that `trust_remote_code` runs."""
        auto_map = getattr(self.config, "auto_map", None) or {}
        return "AutoModel" in auto_map and (self.folder / "modeling_ldebm.py").is_file()

    @cached_property
    def best(self) -> dict[str, Any] | None:
        """The line of `metrics.jsonl` with the validation by which the model was selected."""
        lines = read_metrics(self.folder, "validation")
        name = self.setting("training.metric_for_best_model", "reconstruction_loss")
        lines = [line for line in lines if name in line["values"]]
        choose = max if greater_is_better(name, self.setting("training.greater_is_better")) else min
        return choose(lines, key=lambda line: line["values"][name]) if lines else None

    @cached_property
    def num_steps(self) -> int | None:
        """The number of optimiser steps of the run."""
        lines = read_metrics(self.folder, "validation")
        return lines[-1]["step"] if lines else None

    @cached_property
    def cost(self) -> Cost | None:
        """The cost by the run's clock, or by the duration of its steps if there is no clock."""
        if clock := read_metrics(self.folder, "clock"):
            return Cost(clock[-1]["values"]["wall_seconds"], clock[-1]["values"]["cpu_seconds"])
        lines, before, seconds = read_metrics(self.folder, "train"), 0, 0.0
        for line in lines:
            seconds += (line["step"] - before) * line["values"]["seconds_per_step"]
            before = line["step"]
        return Cost(seconds, None) if lines else None


def _json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text("utf-8")) if file.is_file() else {}
