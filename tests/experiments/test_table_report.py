"""The overview of a table that is made for several data sets."""

import json

from ldebm_hf.experiments.paper_tables import PaperTable
from ldebm_hf.experiments.table_report import write_overview


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
