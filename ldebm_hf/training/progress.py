"""How far a run has come, as its checkpoints keep it."""

from dataclasses import dataclass, field
from typing import Any

import torch

SAVED_NAMES = {"shard_assignments": "part_assignments"}
"""Fields that have another name in checkpoints, so that earlier ones can be resumed."""


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

    def state_dict(self) -> dict[str, Any]:
        """All fields by the names that they have in a checkpoint."""
        return {SAVED_NAMES.get(name, name): value for name, value in vars(self).items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the fields of a checkpoint."""
        for name in vars(self):
            setattr(self, name, state[SAVED_NAMES.get(name, name)])

    def record_validation(self, is_best: bool, score: float, patience: int | None) -> None:
        """Note a validation's score, and whether early stopping ends the run after it."""
        if is_best:
            self.best_metric, self.validations_since_best = score, 0
        else:
            self.validations_since_best += 1
        self.finished = patience is not None and self.validations_since_best >= patience
