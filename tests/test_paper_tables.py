"""Tables as YAML: those of the examples are of runs that exist, and mistakes are told."""

from pathlib import Path

import pytest

from ldebm_hf.paper_tables import LANGUAGE_MODEL, PaperTable, guidance_sweep, other_ways

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
TABLES = sorted((EXAMPLES / "tables").glob("*.yaml"))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_every_row_of_the_examples_has_settings_of_its_own(path, tmp_path):
    plan = PaperTable.load(path)
    assert set(plan.published) <= set(plan.rows)
    keys = []
    for name in [name for row in plan.rows for name in plan.runs_of(row)]:
        run = plan.run(name, 3, EXAMPLES / "recipes", tmp_path, {"data": {"max_train_examples": 7}})
        assert run.settings.training.seed == 3 and run.settings.data.max_train_examples == 7
        assert run.folder == tmp_path / plan.study / name / "3"
        keys.append(run.key)
    assert all(first != second for i, first in enumerate(keys) for second in keys[:i]), "two rows are the same"
    if plan.measure == "control":
        language_model = plan.run(LANGUAGE_MODEL, 0, EXAMPLES / "recipes", tmp_path, {})
        assert language_model.settings.model["preset"] == "rnn_lm"


def test_another_preset_keeps_the_recipes_sizes_and_nothing_else(tmp_path):
    plan = PaperTable("t", "", "yelp", "reading", rows={"ours": {}, "vae": {"model": {"preset": "vae"}}})
    ours, vae = (plan.run(row, 0, EXAMPLES / "recipes", tmp_path, {}).settings.model for row in plan.rows)
    assert ours["kl_weight"] == 0.2 and ours["classification_weight"] == 10
    assert "kl_weight" not in vae and "classification_weight" not in vae
    assert vae["latent_size"] == ours["latent_size"] and vae["preset"] == "vae"


def test_a_run_for_every_number_of_labels_that_a_model_learns(tmp_path):
    plan = PaperTable(
        "t", "", "agnews", "classification", rows={"ours": {}, "vae": {"training": {"labelled_batch_size": 0}}},
        latent_classifiers=["vae"], text_baselines=["hard_em"], label_counts=[200, 500],
    )  # fmt: skip
    assert plan.all_rows == ["ours", "vae", "hard_em"]
    names = [name for row in plan.all_rows for name in plan.runs_of(row)]
    assert names == ["ours/200", "ours/500", "vae", "hard_em"] and plan.runs_of("ours/200") == ["ours/200"]
    data = [plan.run(name, 3, EXAMPLES / "recipes", tmp_path, {}).settings.data for name in names]
    assert [(of_run.label_count, of_run.label_seed) for of_run in data] == [(200, 3), (500, 3), (None, 0), (None, 0)]
    rows = plan.by_row({"ours/200": {"3": {"a": 1.0}}, "ours/500": {"3": {"b": 2.0}}, "vae": {"3": {"a": 3.0}}})
    assert rows == {"ours": {"3": {"a": 1.0, "b": 2.0}}, "vae": {"3": {"a": 3.0}}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("title: t\nrecipe: yelp\nmeasure: guess\nrows: {}", "measure must be one of reading, control.*, got 'guess'"),
        ("title: t\nrecipe: yelp\nmeasure: reading\nrows: {}\ncolour: red", "colour"),
        ("title: t\nmeasure: reading\nrows: {}", "recipe"),
        ("title: t\nrecipe: agnews\nmeasure: classification\nrows: {}", "label_counts must be given"),
    ],
)
def test_mistakes_name_the_file_and_the_entry(tmp_path, content, message):
    file = tmp_path / "broken.yaml"
    file.write_text(content)
    with pytest.raises(ValueError, match=f"broken.yaml.*{message}"):
        PaperTable.load(file)
    with pytest.raises(FileNotFoundError, match="no table"):
        PaperTable.load(tmp_path / "absent.yaml")


def test_guidance_scales_and_ways_of_writing_are_told_apart():
    of_seeds = {"0": {"accuracy": 0.9, "accuracy@0.5": 0.7, "accuracy@16": 0.95, "accuracy@as read": 0.99}}
    of_seeds["1"] = {"accuracy@as read": 0.98}
    assert guidance_sweep(of_seeds) == {"0.5": {"0": {"accuracy": 0.7}}, "16": {"0": {"accuracy": 0.95}}}
    assert other_ways(of_seeds) == {"as read": {"0": {"accuracy": 0.99}, "1": {"accuracy": 0.98}}}
