"""What experiments of any modality share; tests of examples/synthetic.py try it on real runs."""

import json
from dataclasses import replace

import pytest

from ldebm_hf.experiments.experiment_runs import (
    ExperimentRun,
    collect_scores,
    finish_one_by_one,
    merge_changes,
    parse_changes,
)

CHANGES = {"model": {"preset": "vae"}, "training": {"learning_rate": 0.5}}


def test_later_changes_decide_and_earlier_ones_stay_as_they_are():
    first = {"model": {"a": 1, "b": 2}}
    assert merge_changes(first, {"model": {"b": 3}, "data": {"c": 4}}) == {"model": {"a": 1, "b": 3}, "data": {"c": 4}}
    assert first == {"model": {"a": 1, "b": 2}}


def test_changes_are_read_from_text():
    assert parse_changes(["model.kl_weight=0.5", "training.seed=1", "model.id2label={0: a=b}"]) == {
        "model": {"kl_weight": "0.5", "id2label": "{0: a=b}"},
        "training": {"seed": "1"},
    }
    for text in ("kl_weight=1", "model.kl_weight"):
        with pytest.raises(ValueError, match="section.name=value"):
            parse_changes([text])


def test_runs_are_finished_once_and_only_under_their_own_settings(tmp_path):
    calls = []

    def train_and_score(run):
        calls.append(run.seed)
        run.folder.mkdir(parents=True)
        return {"score": run.seed + 0.5}

    runs = [ExperimentRun.from_changes("vae", seed, tmp_path / str(seed), CHANGES) for seed in (0, 1)]
    assert collect_scores(runs) == {}
    for _ in range(2):
        assert finish_one_by_one(runs, train_and_score, "test") == {}
    assert calls == [0, 1]
    assert collect_scores(runs) == {"vae": {"0": {"score": 0.5}, "1": {"score": 1.5}}}
    elsewhere = merge_changes(CHANGES, {"data": {"data_dir": "moved"}})  # the same data from another place
    assert ExperimentRun.from_changes("vae", 0, tmp_path / "0", elsewhere).finished_scores() == {"score": 0.5}
    other = ExperimentRun.from_changes("vae", 0, tmp_path / "0", merge_changes(CHANGES, {"model": {"kl_weight": 3.0}}))
    failures = finish_one_by_one([other], train_and_score, "test")
    assert "holds a run with another model.kl_weight" in failures["vae", 0] and calls == [0, 1]


def test_what_is_scored_otherwise_is_scored_again(tmp_path):
    run = ExperimentRun.from_changes("vae", 0, tmp_path, CHANGES)
    for vectors in ("mine", "mine", "yours"):
        replace(run, scored_with={"vectors": vectors}).finish(lambda run, vectors=vectors: {vectors: 1.0})
    assert replace(run, scored_with={"vectors": "yours"}).finished_scores() == {"yours": 1.0}
    assert run.finished_scores() is None


def test_a_failure_is_told_and_the_other_runs_go_on(tmp_path):
    def train_and_score(run):
        if run.seed == 0:
            raise RuntimeError("out of luck")
        run.folder.mkdir(parents=True)
        return {}

    runs = [ExperimentRun.from_changes("vae", seed, tmp_path / str(seed), CHANGES) for seed in (0, 1)]
    assert finish_one_by_one(runs, train_and_score, "test") == {("vae", 0): "out of luck"}
    assert (tmp_path / "1" / "scores.json").exists() and not (tmp_path / "0").exists()


def test_settings_of_a_run_are_kept_with_its_scores(tmp_path):
    run = ExperimentRun.from_changes("vae", 7, tmp_path, CHANGES)
    run.finish(lambda _: {"score": 1.0})
    kept = json.loads((tmp_path / "scores.json").read_text())["settings"]
    assert kept["training.seed"] == 7 and kept["training.learning_rate"] == 0.5 and "training.output_dir" not in kept
    assert run.settings.training.resume == "latest"


def test_a_finished_run_of_an_earlier_version_is_recognised(tmp_path):
    """Its settings lack one that is newer, and have one that is gone; of the model's, both would be another model."""
    run = ExperimentRun.from_changes("vae", 0, tmp_path, CHANGES)
    settings = {name: value for name, value in run.key.items() if name != "training.ddp_timeout"}
    settings |= {"training.output_dir": "elsewhere", "data.setting_of_before": 1}
    (tmp_path / "scores.json").write_text(json.dumps({"scores": {"score": 2.0}, "settings": settings}))
    assert run.finished_scores() == {"score": 2.0}
    settings["model.kl_weight"] = 0.5
    (tmp_path / "scores.json").write_text(json.dumps({"scores": {"score": 2.0}, "settings": settings}))
    with pytest.raises(ValueError, match="holds a run with another model.kl_weight: remove it"):
        run.finished_scores()


@pytest.mark.parametrize("content", ["[]", '{"scores": {}, "settings": [1]}', '{"scores"'])
def test_scores_that_cannot_be_read_are_named(tmp_path, content):
    run = ExperimentRun.from_changes("vae", 0, tmp_path, CHANGES)
    run.finish(lambda run: {"score": 1.0})
    [file] = tmp_path.iterdir()
    file.write_text(content)
    with pytest.raises(ValueError, match=f"{file} cannot be read: remove it, and the run is scored again"):
        run.finished_scores()
