"""The overview of a table that is made for several data sets, and what the report adds to the scores of runs."""

import json

import numpy as np
import pytest

from ldebm_hf.experiments.experiment_runs import ExperimentRun
from ldebm_hf.experiments.paper_tables import PaperTable
from ldebm_hf.experiments.reading_experiment import HELD_OUT_SYMBOLS, read_symbols, save_symbols
from ldebm_hf.experiments.table_report import add_seed_agreement, write_overview


def test_an_overview_has_one_score_of_each_data_set_and_what_is_missing_stays_empty(tmp_path):
    plan = PaperTable("both", "Title", "texts", "reading", rows={"ours": {}, "theirs": {}}, runs_folder="both",
                      data_sets={"news": {}, "reviews": {}, "films": {}},
                      overview={"news": "topic_v_measure", "reviews": "tone_v_measure", "films": "bleu"})  # fmt: skip
    assert write_overview(plan, tmp_path) == "" and not (tmp_path / "both").exists()
    tables = {
        "news": {
            "theirs": {"0": {"topic_v_measure": 0.5, "topic_v_measure_chance": 0.01, "other": 1.0}},
            "ours": {
                "0": {"topic_v_measure": 0.2, "topic_v_measure_chance": 0.01},
                "1": {"topic_v_measure": 0.4, "topic_v_measure_chance": 0.03},
            },
        },
        "reviews": {"theirs": {"0": {"tone_v_measure": 0.125}}},
    }
    for name, rows in tables.items():
        (tmp_path / "both" / name).mkdir(parents=True)
        (tmp_path / "both" / name / "table.json").write_text(json.dumps(rows))
    text = write_overview(plan, tmp_path)
    assert text == (tmp_path / "both" / "overview.md").read_text()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line]
    assert cells[0] == ["model", "news, topic_v_measure", "reviews, tone_v_measure"]
    assert cells[2:] == [["ours", "0.3 ± 0.14 (0.02)", ""], ["theirs", "0.5 (0.01)", "0.125"]]


def test_seeds_of_a_row_are_compared_on_the_same_texts(tmp_path):
    texts, first = ["a", "b", "c", "d"], np.array([0, 0, 1, 1])
    runs = [ExperimentRun.from_changes(row, seed, tmp_path / row / str(seed), {})
            for row in ("ours", "theirs", "alone") for seed in (0, 1)]  # fmt: skip
    scores = {run.model: {"0": {}, "1": {}} for run in runs}
    save_symbols(runs[0].folder, {"": first, "kmeans_": first}, texts)
    save_symbols(runs[1].folder, {"": 5 - first, "kmeans_": np.array([0, 1, 0, 1])}, texts)
    save_symbols(runs[2].folder, {"": first}, texts)
    save_symbols(runs[3].folder, {"": first}, texts[::-1])
    save_symbols(runs[4].folder, {"": first}, texts)
    (runs[5].folder / HELD_OUT_SYMBOLS).parent.mkdir(parents=True)
    (runs[5].folder / HELD_OUT_SYMBOLS).write_text("[")
    add_seed_agreement(scores, runs)
    # Divisions across each other: no pair is together in both, and 2 · 2 / 6 by chance.
    across = pytest.approx((0 - 2 / 3) / (2 - 2 / 3))
    assert scores["ours"] == dict.fromkeys(("0", "1"), {"seed_agreement": 1, "kmeans_seed_agreement": across})
    assert scores["theirs"] == scores["alone"] == {"0": {}, "1": {}}
    assert read_symbols(runs[5].folder) == ("", {}) == read_symbols(tmp_path)


def test_symbols_of_runs_without_scores_are_not_compared(tmp_path):
    """Such as those of a run that was killed before its scores were saved, or of an earlier run."""
    runs = [ExperimentRun.from_changes(row, seed, tmp_path / row / str(seed), {})
            for row in ("ours", "theirs") for seed in (0, 1)]  # fmt: skip
    for run in runs:
        save_symbols(run.folder, {"": np.array([0, 1])}, ["a", "b"])
    scores = {"ours": {"0": {}}}
    add_seed_agreement(scores, runs)
    assert scores == {"ours": {"0": {}}}
