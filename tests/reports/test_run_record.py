"""The record of a run: the validation that selected the model, and the cost of the run."""

import json

import pytest

from ldebm_hf import LDEBMConfig
from ldebm_hf.reports.run_record import EVALUATION, RunRecord, greater_is_better, read_metrics, scores_file


def write_lines(folder, *lines: tuple[int, str, dict]) -> None:
    rows = [{"step": step, "epoch": step / 10, "split": split, "values": values} for step, split, values in lines]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def folder(tmp_path):
    LDEBMConfig(id2label={0: "a", 1: "b"}).save_pretrained(tmp_path)
    return tmp_path


def test_folder_of_a_model_alone(folder):
    record = RunRecord.read(folder)
    assert record.config.id2label == {0: "a", 1: "b"} and not record.has_code
    assert record.best is None and record.cost is None and record.num_steps is None
    assert record.setting("data.source") is None and record.setting("data.source", "else") == "else"


def test_best_validation_is_the_one_that_selected_the_model(folder):
    values = [{"reconstruction_loss": 3.0, "v_measure": 0.1}, {"reconstruction_loss": 2.0, "v_measure": 0.3},
              {"reconstruction_loss": 2.5, "v_measure": 0.2}]  # fmt: skip
    write_lines(folder, *((10 * i, "validation", value) for i, value in enumerate(values, 1)), (31, "train", {}))
    record = RunRecord.read(folder)
    assert record.best["step"] == 20 and record.num_steps == 30
    (folder / "settings.yaml").write_text("training: {metric_for_best_model: v_measure}")
    assert RunRecord.read(folder).best["values"] == values[1]
    (folder / "settings.yaml").write_text("training: {metric_for_best_model: v_measure, greater_is_better: false}")
    assert RunRecord.read(folder).best["step"] == 10
    assert [line["step"] for line in read_metrics(folder, "train")] == [31]


def test_what_is_better():
    assert greater_is_better("v_measure", None) and not greater_is_better("loss", None)
    assert greater_is_better("loss", True) and not greater_is_better("v_measure", False)


def test_cost_is_the_clocks_or_that_of_the_steps(folder):
    steps = [(10, "train", {"seconds_per_step": 0.5}), (14, "train", {"seconds_per_step": 2.0})]
    write_lines(folder, *steps)
    cost = RunRecord.read(folder).cost
    assert cost.wall_seconds == 10 * 0.5 + 4 * 2 and cost.cpu_seconds is None
    clock = [(step, "clock", {"cpu_seconds": 3.0 * step, "wall_seconds": 2.0 * step}) for step in (10, 14)]
    write_lines(folder, *steps, *clock)
    cost = RunRecord.read(folder).cost
    assert (cost.wall_seconds, cost.cpu_seconds) == (28.0, 42.0)


def test_scores_of_other_data_are_not_the_records(folder):
    for data, bleu in (("test", 1.0), ("validation-changed", 2.0)):
        (folder / scores_file(EVALUATION, data)).write_text(json.dumps({"bleu": bleu}))
    assert (folder / "evaluation.test.json").exists() and RunRecord.read(folder).evaluation == {}
    (folder / scores_file(EVALUATION, "validation")).write_text('{"bleu": 3.0}')
    assert RunRecord.read(folder).evaluation == {"bleu": 3.0}


def test_symbols_of_another_model_are_left_out(folder):
    (folder / "report.json").write_text(json.dumps({"symbols": [{"id": 0}, {"id": 1}]}))
    assert len(RunRecord.read(folder).symbols) == 2
    (folder / "report.json").write_text(json.dumps({"symbols": [{"id": 0}]}))
    assert RunRecord.read(folder).symbols == []


def test_no_model(tmp_path):
    with pytest.raises(ValueError, match="has no config.json"):
        RunRecord.read(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="has a model with model_type 'bert'"):
        RunRecord.read(tmp_path)


def test_lines_that_no_run_has_written_are_left_out(folder, caplog):
    write_lines(folder, (10, "validation", {"reconstruction_loss": 2.0}))
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(b'[]\n{"step": 20, "split": "validation", "values": 3}\n\xff\n{"step": 30, "spl')
    assert [line["step"] for line in read_metrics(folder, "validation")] == [10]
    assert "4 of 5 lines are not as a run writes them" in caplog.text
    assert RunRecord.read(folder).best["step"] == 10
