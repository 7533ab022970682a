"""A run's progress in checkpoints, those of earlier versions included."""

import json

import torch
from tiny_runs import tiny_corpus, tiny_trainer

from ldebm_hf.training.checkpoints import MANIFEST
from ldebm_hf.training.progress import Progress


def test_progress_comes_back_from_its_state():
    progress = Progress(epoch=2, step=7, shard_assignments=torch.arange(3), best_metric=0.5)
    again = Progress()
    again.load_state_dict(progress.state_dict())
    assert (again.epoch, again.step, again.best_metric) == (2, 7, 0.5)
    assert torch.equal(again.shard_assignments, torch.arange(3))


def test_names_in_checkpoints_are_those_of_earlier_versions(tmp_path):
    """A run that an earlier version began can be resumed."""
    assert "part_assignments" in Progress().state_dict()
    trainer = tiny_trainer(tmp_path, tiny_corpus(), max_steps=1)
    trainer.train()
    manifest = json.loads((trainer.checkpoints.last_good / MANIFEST).read_text())
    names = ("training.group_by_length", "training.greater_is_better")
    assert [manifest["fingerprint"][name] for name in names] == [False, None]
