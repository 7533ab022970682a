"""Where a run is, as its checkpoints keep it."""

from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass
class Progress:
    """
    Args:
        epoch (`int`), step_in_epoch (`int`): how many epochs, and steps of the next one, are done.
        step (`int`): optimiser steps done.
        assignments (`torch.LongTensor` of shape `(n,)`): each training text's cluster in the running epoch (of a
            stream: each sampled text's); empty if there are no clusters.
        part_assignments (`torch.LongTensor`): the cluster of each text of the running part of the epoch; likewise.
        clusters (`dict`): the fields of the epoch's `Clusters`; empty if there are none.
        best_metric (`float`, *optional*): the best validation value so far.
        validations_since_best (`int`): how many validations were not better than that.
        finished (`bool`): early stopping has ended the run.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    assignments: torch.Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    part_assignments: torch.Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    clusters: dict[str, torch.Tensor | bool] = field(default_factory=dict)
    best_metric: float | None = None
    validations_since_best: int = 0
    finished: bool = False

    def state_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    def record_validation(self, is_best: bool, metric: float, patience: int | None) -> None:
        """Count a validation towards early stopping."""
        if is_best:
            self.best_metric, self.validations_since_best = metric, 0
        else:
            self.validations_since_best += 1
        self.finished = patience is not None and self.validations_since_best >= patience
