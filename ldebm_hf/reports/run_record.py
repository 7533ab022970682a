"""What a run's folder knows of the model in it, read back from the files that training and scoring leave there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from ..model.configuration_ldebm import LDEBMConfig

FACTS, METRICS, EVALUATION, LIKELIHOOD = "run.json", "metrics.jsonl", "evaluation.json", "likelihood.json"
REPORT, SETTINGS, CURVES = "report.json", "settings.yaml", "curves.png"
SCORES = ("evaluation*.json", "likelihood*.json", "text_clusters*.json")
ABOUT_THE_MODEL = (*SCORES, REPORT, "report.html", "guidance.png")
"""Files that scripts write about a finished model, and that are wrong about another one, as patterns."""
GREATER_IS_BETTER = {
    "mutual_information",
    "symbol_accuracy",
    "matched_accuracy",
    "v_measure",
    "symbol_usage_entropy",
    "symbols_used",
}
"""Of the validation values in `metrics.jsonl`; of the others less is better."""


def scores_file(name: str, data: str) -> str:
    """
    What a file of scores is called beside a model.

    Args:
        name (`str`): `EVALUATION` or `LIKELIHOOD`, whose scores the model card says are of the run's validation split.
        data (`str`): What was scored: `"validation"`, or other data, whose scores get a file of their own.
    """
    file = Path(name)
    return name if data == "validation" else f"{file.stem}.{data}{file.suffix}"


def greater_is_better(name: str, setting: bool | None) -> bool:
    """Whether more of a validation value is better: as the setting says, else as is known of the name."""
    return name in GREATER_IS_BETTER if setting is None else setting


def read_metrics(run: Path, split: str) -> list[dict]:
    """The lines of a split in a run's `metrics.jsonl`."""
    file = run / METRICS
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []
    return [line for line in lines if line["split"] == split]


@dataclass(frozen=True)
class Cost:
    """
    Args:
        wall_seconds (`float`): of training, interruptions left out.
        cpu_seconds (`float`, *optional*): of all threads of the first process.
    """

    wall_seconds: float
    cpu_seconds: float | None


@dataclass
class RunRecord:
    """
    What is left out of a folder is empty here.

    Args:
        folder (`Path`): the run's.
        config ([`LDEBMConfig`]): the model's.
        settings (`dict`): `settings.yaml`, by section and name.
        facts (`dict`): `run.json`, as `ldebm_hf.training.publishing.run_facts` has it.
        evaluation (`dict[str, float]`): what `examples/evaluate.py` found.
        likelihood (`dict`): the summary of what `examples/likelihood.py` found.
        symbols (`list[dict]`): of the report of `examples/explain.py`, by id.
        explained_by (`str`): the texts of that report: a corpus and its split.
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
        Raises:
            ValueError: the folder holds no model of this package.
        """
        folder = Path(folder)
        config = _json(folder / "config.json")
        if config.get("model_type") != LDEBMConfig.model_type:
            found = f"one of model_type {config.get('model_type')!r}" if config else "no config.json"
            raise ValueError(f"folder must hold a model of ldebm_hf, and {str(folder)!r} has {found}")
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
        """A setting by its full name, such as `data.source`."""
        section, _, name = name.partition(".")
        return self.settings.get(section, {}).get(name, default)

    @property
    def has_code(self) -> bool:
        """Whether the folder holds what `trust_remote_code` runs."""
        return (self.folder / "modeling_ldebm.py").is_file()

    @cached_property
    def best(self) -> dict[str, Any] | None:
        """The line of `metrics.jsonl` with the validation that selected the model."""
        lines = read_metrics(self.folder, "validation")
        name = self.setting("training.metric_for_best_model", "reconstruction_loss")
        lines = [line for line in lines if name in line["values"]]
        choose = max if greater_is_better(name, self.setting("training.greater_is_better")) else min
        return choose(lines, key=lambda line: line["values"][name]) if lines else None

    @cached_property
    def num_steps(self) -> int | None:
        """How many optimiser steps the run had."""
        lines = read_metrics(self.folder, "validation")
        return lines[-1]["step"] if lines else None

    @cached_property
    def cost(self) -> Cost | None:
        """By the run's clock if it had one, else by the seconds of its steps alone."""
        if clock := read_metrics(self.folder, "clock"):
            return Cost(clock[-1]["values"]["wall_seconds"], clock[-1]["values"]["cpu_seconds"])
        lines, before, seconds = read_metrics(self.folder, "train"), 0, 0.0
        for line in lines:
            seconds += (line["step"] - before) * line["values"]["seconds_per_step"]
            before = line["step"]
        return Cost(seconds, None) if lines else None


def _json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text("utf-8")) if file.is_file() else {}
