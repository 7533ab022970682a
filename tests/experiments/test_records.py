import json
import subprocess

import pytest

from ldebm_hf.experiments.circumstances import circumstances, commit_of_checkout
from ldebm_hf.experiments.experiment_runs import ExperimentRun
from ldebm_hf.experiments.records import write_record
from ldebm_hf.training import Settings


@pytest.fixture
def runs(tmp_path):
    finished = []
    for seed in (0, 1):
        settings = Settings.from_dict({"data": {"source": "synthetic"}, "training": {"seed": seed}})
        scored_with = {"split": "validation", "judge": "/models/judge"}
        run = ExperimentRun("ldebm", seed, tmp_path / str(seed), settings, scored_with)
        run.finish(lambda run: {"accuracy": 0.5 + run.seed})
        finished.append(run)
    return finished


def test_a_record_has_the_scores_and_how_each_run_was_made(runs, tmp_path):
    scores = {"yelp": {"ldebm": {str(run.seed): run.finished_scores() for run in runs}}}
    write_record(tmp_path / "new" / "record.json", "A table", scores, {"yelp": runs})
    record = json.loads((tmp_path / "new" / "record.json").read_text())
    assert record["title"] == "A table"
    assert record["scores"] == {"yelp": {"ldebm": {"0": {"accuracy": 0.5}, "1": {"accuracy": 1.5}}}}
    assert record["settings"]["data.source"] == "synthetic" and "training.seed" not in record["settings"]
    assert [run["settings"] for run in record["runs"]] == [{"training.seed": 0}, {"training.seed": 1}]
    assert [run["seed"] for run in record["runs"]] == [0, 1]
    assert all((run["data_set"], run["row"]) == ("yelp", "ldebm") for run in record["runs"])
    made = record["runs"][0]["made"]
    assert made.keys() == circumstances().keys() and made["threads"] >= 1
    assert record["runs"][0]["scored_with"] == {"split": "validation", "judge": "judge"}  # no folders of this machine


def test_a_run_keeps_what_it_was_started_with(monkeypatch, tmp_path):
    run = ExperimentRun("ldebm", 0, tmp_path, Settings.from_dict({"data": {"source": "synthetic"}}))
    monkeypatch.setattr("sys.argv", ["ldebm", "before"])

    def train(run):
        monkeypatch.setattr("sys.argv", ["ldebm", "after"])
        return {"accuracy": 1.0}

    run.finish(train)
    assert json.loads((tmp_path / "scores.json").read_text())["made"]["command"] == "ldebm before"


def test_the_command_names_no_folders_of_the_machine(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/home/me/bin/ldebm", "reproduce", "table3", "--data_dir", "/home/me/data"])
    assert circumstances()["command"] == "ldebm reproduce table3 --data_dir data"


def test_the_commit_is_marked_if_files_have_changed_since(tmp_path):
    assert commit_of_checkout(tmp_path) is None

    def git(*arguments):
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        command = ["git", "-C", tmp_path, *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True)

    git("init", "-q")
    assert commit_of_checkout(tmp_path) is None  # nothing is committed yet
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-qm", "first")
    git("tag", "v1")
    commit = git("rev-parse", "--short=7", "HEAD").stdout.strip()
    assert commit_of_checkout(tmp_path) == commit
    (tmp_path / "file").write_text("two")
    assert commit_of_checkout(tmp_path) == f"{commit}-dirty"


def test_settings_that_some_run_lacks_are_not_shared(runs, tmp_path):
    file = runs[1].folder / "scores.json"
    content = json.loads(file.read_text())
    del content["settings"]["data.source"], content["made"]  # as earlier versions wrote it
    file.write_text(json.dumps(content))
    write_record(tmp_path / "record.json", "A table", {}, {"yelp": runs})
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["runs"][0]["settings"]["data.source"] == "synthetic"
    assert "data.source" not in record["settings"] and record["runs"][1]["made"] is None
