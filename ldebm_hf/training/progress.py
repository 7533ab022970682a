"""How far a run has come, as its checkpoints keep it."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

VALUES, TENSORS = "progress.json", "progress.safetensors"
IN_CLUSTERS = "clusters."
"""What the names of the clusters' fields begin with in these files."""


def _no_assignments() -> torch.Tensor:
    return torch.empty(0, dtype=torch.long)


@dataclass
class Progress:
    """
    Args:
        epoch (`int`): number of epochs that are complete.
        step_in_epoch (`int`): number of optimiser steps done in the current epoch.
        step (`int`): number of optimiser steps done in all.
        assignments (`torch.LongTensor` of shape `(n,)`): the cluster of each training example in the current epoch, or
            of each example in the sample of a stream; empty if there are no clusters.
        shard_assignments (`torch.LongTensor`): the cluster of each example in the current shard of the epoch; empty if
            there are no clusters.
        clusters (`dict`): the fields of the epoch's `Clusters`; empty if there are none.
        best_metric (`float`, *optional*): the score of the model in `best/`, the best so far that could be saved.
        best_step (`int`, *optional*): the step of that model.
        lost_metric (`float`, *optional*), lost_step (`int`, *optional*): the best score of a model that could not be
            saved or kept, as long as no saved one is as good, and its step.
        validations_since_best (`int`): number of validations since then.
        finished (`bool`): whether early stopping has ended the run.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    assignments: torch.Tensor = field(default_factory=_no_assignments)
    shard_assignments: torch.Tensor = field(default_factory=_no_assignments)
    clusters: dict[str, torch.Tensor | bool] = field(default_factory=dict)
    best_metric: float | None = None
    best_step: int | None = None
    lost_metric: float | None = None
    lost_step: int | None = None
    validations_since_best: int = 0
    finished: bool = False

    def save(self, folder: Path) -> None:
        """Write numbers to `progress.json` and tensors to `progress.safetensors` in a folder."""
        values = {**vars(self), **{f"{IN_CLUSTERS}{name}": value for name, value in self.clusters.items()}}
        del values["clusters"]
        tensors = {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}
        rest = {name: value for name, value in values.items() if name not in tensors}
        # Copies, because safetensors refuses tensors that share memory, as those of some clusters do.
        save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, folder / TENSORS)
        (folder / VALUES).write_text(json.dumps(rest, indent=1) + "\n", encoding="utf-8")

    def load(self, folder: Path) -> None:
        """
        Take over what [`save`] has written.

        Raises:
            ValueError: The files hold something else.
        """
        rest = json.loads((folder / VALUES).read_text(encoding="utf-8"))
        if not isinstance(rest, dict):
            raise ValueError(f"{folder / VALUES} must hold an object, got {rest!r:.80}")
        values = {"clusters": {}}
        for name, value in {**rest, **load_file(folder / TENSORS)}.items():
            place = values["clusters"] if name.startswith(IN_CLUSTERS) else values
            place[name.removeprefix(IN_CLUSTERS)] = value
        for name, default in vars(Progress()).items():
            value = values.get(name)
            is_right = type(value) is type(default) or (default is None and isinstance(value, float | int | None))
            if not is_right:
                raise ValueError(f"{folder / VALUES} and {TENSORS} must hold a valid {name}, got {value!r:.80}")
            setattr(self, name, value)

    def is_best(self, score: float, greater_is_better: bool) -> bool:
        """Whether a validation's score is better than that of the model in `best/`."""
        return self.best_metric is None or _is_better(score, self.best_metric, greater_is_better)

    def record_validation(
        self, score: float, *, was_saved: bool, greater_is_better: bool, patience: int | None
    ) -> None:
        """Note a validation's score, and whether early stopping ends the run after it.

        Args:
            score (`float`): the score of the model now.
            was_saved (`bool`): whether the model was saved as the best so far.
            greater_is_better (`bool`): whether higher scores are better.
            patience (`int`, *optional*): after this many validations without a new best model the run ends.
        """
        if was_saved:
            self.best_metric, self.best_step, self.validations_since_best = score, self.step, 0
            if self.lost_metric is not None and not _is_better(self.lost_metric, score, greater_is_better):
                self.lost_metric = self.lost_step = None
        else:
            if self.is_best(score, greater_is_better):
                self._record_loss(score, self.step, greater_is_better)
            self.validations_since_best += 1
        self.finished = patience is not None and self.validations_since_best >= patience

    def forget_best(self, greater_is_better: bool) -> None:
        """Note that the model in `best/` is lost: the next one that is validated takes its place."""
        self._record_loss(self.best_metric, self.best_step, greater_is_better)
        self.best_metric = self.best_step = None

    def _record_loss(self, score: float, step: int, greater_is_better: bool) -> None:
        if self.lost_metric is None or _is_better(score, self.lost_metric, greater_is_better):
            self.lost_metric, self.lost_step = score, step


def _is_better(score: float, other: float, greater_is_better: bool) -> bool:
    return score > other if greater_is_better else score < other
