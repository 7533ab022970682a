"""A run's progress in checkpoints."""

import json

import numpy as np
import pytest
import torch

from ldebm_hf.pseudo_labels.geometric_clustering import Clusters
from ldebm_hf.training.progress import TENSORS, VALUES, Progress


def test_progress_comes_back_to_the_bit(tmp_path):
    corners = Clusters.corners(3)  # two of whose arrays share their memory
    saved = Progress(
        epoch=2,
        step=7,
        assignments=torch.arange(9)[::2],
        shard_assignments=torch.tensor([2**60]),
        clusters=corners.state_dict(),
        best_metric=0.1 + 0.2,
        validations_since_best=3,
        finished=True,
    )
    saved.save(tmp_path)
    again = Progress(step_in_epoch=5)
    again.load(tmp_path)
    for name, value in vars(saved).items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(getattr(again, name), value) and getattr(again, name).dtype == value.dtype
        elif name != "clusters":
            assert getattr(again, name) == value, name
    clusters = Clusters.from_state_dict(again.clusters)
    assert clusters.normalize is False
    for name in ("projection", "offset", "centroids"):
        np.testing.assert_array_equal(getattr(clusters, name), getattr(corners, name))


def test_progress_of_a_run_that_has_just_begun(tmp_path):
    Progress().save(tmp_path)
    again = Progress(best_metric=1.0, clusters={"normalize": True}, assignments=torch.ones(2))
    again.load(tmp_path)
    assert again.best_metric is None and again.clusters == {} and again.assignments.tolist() == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda values: [values], "must hold an object"),
        (lambda values: values | {"step": "7"}, "must hold a valid step, got '7'"),
        (lambda values: {name: value for name, value in values.items() if name != "epoch"}, "valid epoch, got None"),
        (lambda values: values | {"best_metric": [1]}, r"valid best_metric, got \[1\]"),
        (lambda values: values | {"assignments": [1]}, None),  # the tensor of this name counts
    ],
)
def test_progress_that_is_something_else_is_named(tmp_path, change, problem):
    Progress().save(tmp_path)
    values = json.loads((tmp_path / VALUES).read_text())
    (tmp_path / VALUES).write_text(json.dumps(change(values)))
    if problem is None:
        Progress().load(tmp_path)
        return
    with pytest.raises(ValueError, match=f"{VALUES}.* {problem}"):
        Progress().load(tmp_path)


def test_files_of_the_progress_are_json_and_safetensors(tmp_path):
    Progress(step=3).save(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {VALUES, TENSORS}
    assert json.loads((tmp_path / VALUES).read_text())["step"] == 3


@pytest.mark.parametrize("greater_is_better", [True, False])
def test_only_a_better_score_replaces_the_best(greater_is_better):
    """A tie does not, so that the earlier of two equally good models stays."""
    better = 1.0 if greater_is_better else -1.0
    progress = Progress(step=7)
    assert progress.is_best(0.5, greater_is_better), "there is none yet"
    progress.record_validation(0.5, was_saved=True, greater_is_better=greater_is_better, patience=2)
    assert (progress.best_metric, progress.best_step, progress.finished) == (0.5, 7, False)
    progress.step = 9
    assert not progress.is_best(0.5, greater_is_better)
    assert progress.is_best(0.5 + better, greater_is_better) and not progress.is_best(0.5 - better, greater_is_better)
    for finished in (False, True):
        progress.record_validation(0.5, was_saved=False, greater_is_better=greater_is_better, patience=2)
        assert progress.finished is finished
    assert (progress.best_step, progress.lost_step) == (7, None), "a tie is no better model that was lost"


@pytest.mark.parametrize("greater_is_better", [True, False])
def test_best_of_the_lost_models_is_remembered_until_one_as_good_is_saved(greater_is_better):
    sign = 1 if greater_is_better else -1
    progress = Progress(best_metric=0.0, best_step=1)

    def validate(step: int, score: float, was_saved: bool) -> int | None:
        progress.step = step
        progress.record_validation(
            sign * score, was_saved=was_saved, greater_is_better=greater_is_better, patience=None
        )
        return progress.lost_step

    assert [validate(2, 3.0, False), validate(3, 3.0, False), validate(4, 2.0, False)] == [2, 2, 2]
    assert validate(5, 2.0, True) == 2, "saved, but not as good"
    assert validate(6, 3.0, True) is None and progress.lost_metric is None
    assert (progress.best_step, progress.finished) == (6, False)
