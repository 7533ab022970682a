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
        best_metric (`float`, *optional*): the best validation score so far.
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

    def record_validation(self, is_best: bool, score: float, patience: int | None) -> None:
        """Note a validation's score, and whether early stopping ends the run after it."""
        if is_best:
            self.best_metric, self.validations_since_best = score, 0
        else:
            self.validations_since_best += 1
        self.finished = patience is not None and self.validations_since_best >= patience
