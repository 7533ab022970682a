"""The file `estimator.json` beside a model: the arguments of the estimator, and what its symbols stand for."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..files.atomic import write_text
from ..files.json_objects import read_object
from .run_record import ESTIMATOR

OF_THE_USER = ("output_dir", "trust_remote_code")
"""Arguments that are neither written nor read: where files go, and whether code runs, is said by whoever loads."""


@dataclass(frozen=True)
class EstimatorFile:
    """
    Args:
        params (`dict`): Arguments of the estimator.
        labels (`dict[int, str | int]`): By output of the energy network, which is the symbol unless symbols were
            merged, the label of the texts that it was fitted to, as it was given.
        suggested (`dict[int, str]`): By symbol, the name that was made of its words.
        run (`str`, *optional*): Digest of the settings of the fit that has ended in this folder.
    """

    params: dict[str, Any] = field(default_factory=dict)
    labels: dict[int, Any] = field(default_factory=dict)
    suggested: dict[int, str] = field(default_factory=dict)
    run: str | None = None

    @classmethod
    def read(cls, file: Path) -> EstimatorFile:
        """
        Read a file.

        Raises:
            ValueError: It is not as [`write`] writes it; the message names it.
        """
        found = read_object(file) or {}
        params, run = found.get("params"), found.get("run")
        labels, suggested = _pairs(found.get("labels"), str | float | int), _pairs(found.get("suggested", []), str)
        if not isinstance(params, dict) or labels is None or suggested is None or not isinstance(run, str | None):
            raise ValueError(f"{file} is not as LDEBM writes it: params must be an object, and labels and suggested "
                             "lists of pairs of a symbol's number with its label or name")  # fmt: skip
        return cls({name: params[name] for name in params if not _is_of_the_user(name)}, labels, suggested, run)

    def write(self, file: Path) -> None:
        """
        Write the file, without what only whoever loads it may say.

        Raises:
            ValueError: An argument can be no JSON.
        """
        content = {
            "params": {name: value for name, value in self.params.items() if not _is_of_the_user(name)},
            "labels": [list(pair) for pair in self.labels.items()],
            "suggested": [list(pair) for pair in self.suggested.items()],
            "run": self.run,
        }
        write_text(file, json.dumps(content, indent=1, default=_plain) + "\n")

    def public(self) -> EstimatorFile:
        """What others may see: the labels, and no arguments, which can name folders."""
        return EstimatorFile(labels=self.labels)


def check_params(params: dict[str, Any]) -> None:
    """
    Find out before a training whether its arguments can be written after it.

    Raises:
        ValueError: An argument is neither text, number, truth value, path, nor a list or dictionary of these.
    """
    for name, value in params.items():
        try:
            json.dumps(value, default=_plain)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{name} must be a text, number, truth value or path, or a list or dictionary of these, got "
                f"{value!r:.80} ({type(value).__name__})"
            ) from error


def estimator_file_of(folder: Path) -> EstimatorFile | None:
    """The file of a folder; `None` if there is none."""
    file = folder / ESTIMATOR
    return EstimatorFile.read(file) if file.is_file() else None


def _is_of_the_user(name: str) -> bool:
    return name.replace("__", ".").rpartition(".")[2] in OF_THE_USER


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's, arrays as lists, paths as text."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} can be no JSON")


def _pairs(value: Any, kind: Any) -> dict[int, Any] | None:
    """The pairs of a list by their first; `None` if it is something else."""
    if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        return None
    if not all(type(symbol) is int and isinstance(other, kind) for symbol, other in value):
        return None
    return dict(value)
