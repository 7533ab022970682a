"""Tables as YAML: those of the examples are of runs that exist, and mistakes are told."""

from pathlib import Path

import pytest
from transformers import BertConfig

from ldebm_hf import build_tokenizer
from ldebm_hf.experiments.paper_tables import LANGUAGE_MODEL, PaperTable, curve_points, guidance_sweep, other_ways
from ldebm_hf.files.packaged import RECIPES, TABLES
from ldebm_hf.scores.lstm_language_model import LanguageModelSettings

TABLE_FILES = sorted(TABLES.glob("*.yaml"))


@pytest.mark.parametrize("path", TABLE_FILES, ids=lambda path: path.stem)
def test_every_row_of_the_examples_has_settings_of_its_own(path, tmp_path):
    tiny = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    tiny.save_pretrained(tmp_path / "encoder")
    for plan in PaperTable.load(path).of_data_sets():
        if plan.encoder is not None:
            plan.encoder = str(tmp_path / "encoder")
        check_rows(plan, tmp_path)


def check_rows(plan: PaperTable, tmp_path: Path) -> None:
    assert set(plan.published) <= set(plan.rows)
    keys, tokenizer = [], build_tokenizer(["a text"])
    for name in [name for row in plan.rows for name in plan.runs_of(row)]:
        run = plan.run(name, 3, RECIPES, tmp_path, {"data": {"max_train_examples": 7}})
        assert run.settings.training.seed == 3 and run.settings.data.max_train_examples == 7
        assert run.folder == tmp_path / plan.runs_folder / name / "3"
        config = run.settings.model_config(tokenizer, ["yes", "no"])
        assert config.latent_size > 1, "settings that go together"
        assert config.encoder_name_or_path == (plan.encoder if plan.needs_encoder(name.partition("/")[0]) else None)
        keys.append(run.key)
    assert all(first != second for i, first in enumerate(keys) for second in keys[:i]), "two rows are the same"
    if plan.measure == "control":
        language_model = plan.run(LANGUAGE_MODEL, 0, RECIPES, tmp_path, {})
        assert language_model.settings.model["preset"] == "rnn_lm"


def test_another_preset_keeps_the_recipes_sizes_and_nothing_else(tmp_path):
    plan = PaperTable("t", "", "yelp", "reading", rows={"ours": {}, "vae": {"model": {"preset": "vae"}}})
    ours, vae = (plan.run(row, 0, RECIPES, tmp_path, {}).settings.model for row in plan.rows)
    assert ours["kl_weight"] == 0.2 and ours["classification_weight"] == 10
    assert "kl_weight" not in vae and "classification_weight" not in vae
    assert vae["latent_size"] == ours["latent_size"] and vae["preset"] == "vae"


def test_points_of_a_curve_are_finished_rows_by_the_value_of_their_setting(tmp_path):
    rows = {"ours": {}, "strong": {"model": {"kl_weight": 1.0}}, "vae": {"model": {"preset": "vae"}}, "weak": {}}
    curves = {"ours": ["ours", "strong"], "others": ["weak"]}
    plan = PaperTable("t", "", "demo", "generation", rows=rows, curves=curves, curve_setting="kl_weight")
    runs = [plan.run(row, 0, RECIPES, tmp_path, {}) for row in rows]
    scores = {row: {"0": {"bleu": float(number)}} for number, row in enumerate(["ours", "strong", "vae"])}
    assert curve_points(plan, runs, scores) == {"ours": {"0.2": scores["ours"], "1": scores["strong"]}}
    plan.curves = {}
    assert curve_points(plan, runs, scores) == {}


def test_language_model_of_samples_is_as_published_but_for_what_a_file_says(tmp_path):
    file = tmp_path / "table.yaml"
    head = "title: t\nrecipe: ptb\nmeasure: generation\nrows: {}\nnum_samples: 9\n"
    file.write_text(head + "sample_language_model: {num_epochs: 2}")
    settings = PaperTable.load(file).generation
    assert (settings.num_samples, settings.language_model) == (9, LanguageModelSettings(num_epochs=2))
    file.write_text(head)
    assert PaperTable.load(file).generation.language_model == LanguageModelSettings()


def test_a_run_for_every_number_of_labels_that_a_model_learns(tmp_path):
    plan = PaperTable(
        "t", "", "agnews", "classification", rows={"ours": {}, "vae": {"training": {"labelled_batch_size": 0}}},
        latent_classifiers=["vae"], text_baselines=["hard_em"], label_counts=[200, 500],
    )  # fmt: skip
    assert plan.all_rows == ["ours", "vae", "hard_em"]
    names = [name for row in plan.all_rows for name in plan.runs_of(row)]
    assert names == ["ours/200", "ours/500", "vae", "hard_em"] and plan.runs_of("ours/200") == ["ours/200"]
    data = [plan.run(name, 3, RECIPES, tmp_path, {}).settings.data for name in names]
    assert [(of_run.label_count, of_run.label_seed) for of_run in data] == [(200, 3), (500, 3), (None, 0), (None, 0)]
    of_baseline = plan.run("hard_em", 3, RECIPES, tmp_path, {"data": {"data_dir": "d"}}).settings
    assert of_baseline.data.source == "agnews" and of_baseline.data.data_dir == "d"
    assert set(of_baseline.model) == {"preset"}, "models may change, its scores stay"
    rows = plan.by_row({"ours/200": {"3": {"a": 1.0}}, "ours/500": {"3": {"b": 2.0}}, "vae": {"3": {"a": 3.0}}})
    assert rows == {"ours": {"3": {"a": 1.0, "b": 2.0}}, "vae": {"3": {"a": 3.0}}}


def table_of_two(**more) -> PaperTable:
    data_sets = {
        "news": {"data": {"source": "agnews"}, "model": {"num_symbols": 4}},
        "reviews": {"data": {"source": "yelp", "max_train_examples": 9}},
    }
    values = {"rows": {"ours": {}}, "settings": {"data": {"max_train_examples": 7}}, "data_sets": data_sets} | more
    return PaperTable("both", "Title", "texts", "reading", runs_folder="both", **values)


def test_a_table_of_several_data_sets_is_a_table_of_each(tmp_path):
    news, reviews = table_of_two().of_data_sets(data_dir="data")
    assert (news.name, news.runs_folder, news.title) == ("both/news", "both/news", "Title: news")
    runs = [plan.run("ours", 0, RECIPES, tmp_path, {}) for plan in (news, reviews)]
    assert [run.folder for run in runs] == [tmp_path / "both" / name / "ours" / "0" for name in ("news", "reviews")]
    data = [run.settings.data for run in runs]
    assert [(of_run.source, of_run.data_dir) for of_run in data] == [("agnews", "data/agnews"), ("yelp", "data/yelp")]
    assert [of_run.max_train_examples for of_run in data] == [7, 9], "a data set's own settings come first"
    assert runs[0].settings.model["num_symbols"] == 4 and "num_symbols" not in runs[1].settings.model
    (chosen,) = table_of_two().of_data_sets(["reviews"])
    assert chosen == reviews.__class__(**vars(reviews) | {"settings": chosen.settings})
    assert "data_dir" not in chosen.settings["data"]
    with pytest.raises(ValueError, match=r"unknown data set films \(--data_sets\): both has news, reviews"):
        table_of_two().of_data_sets(["films", "news"])


def test_a_table_of_one_data_set_is_its_own(tmp_path):
    plan = PaperTable("t", "", "yelp", "reading", rows={"ours": {}})
    assert plan.of_data_sets() == [plan]
    (with_folder,) = plan.of_data_sets(data_dir="data/here")
    assert with_folder.run("ours", 0, RECIPES, tmp_path, {}).settings.data.data_dir == "data/here"
    with pytest.raises(ValueError, match="t has none to choose from"):
        plan.of_data_sets(["yelp"])


def test_clusters_of_features_depend_on_texts_and_their_number_alone(tmp_path):
    table = table_of_two(text_clusters=["kmeans_lsa", "kmeans_features"], encoder="an/encoder")
    news, _ = table.of_data_sets()
    assert [news.needs_encoder(row) for row in news.all_rows] == [False, False, True]
    changes = {"training": {"num_train_epochs": 3}, "model": {"latent_size": 5}}
    rows = ("ours", "kmeans_features")
    model, features = (news.run(row, 0, RECIPES, tmp_path, changes) for row in rows)
    assert model.settings.training.num_train_epochs == 3 and model.settings.model["latent_size"] == 5
    assert features.settings.model == {"preset": "consistent", "num_symbols": 4}
    assert features.settings.data == model.settings.data
    assert features.key == news.run("kmeans_features", 0, RECIPES, tmp_path, {}).key


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("title: t\nrecipe: yelp\nmeasure: guess\nrows: {}", "measure must be one of reading, control.*, got 'guess'"),
        ("title: t\nrecipe: yelp\nmeasure: reading\nrows: {}\ncolour: red", "colour"),
        ("title: t\nmeasure: reading\nrows: {}", "recipe"),
        ("title: t\nrecipe: ptb\nmeasure: generation\nrows: {}\nsample_language_model: {width: 2}", "width"),
        (
            "title: t\nrecipe: ptb\nmeasure: generation\nrows: {}\nsample_language_model: {num_layers: 0}",
            "num_layers must be an int of at least 1",
        ),
        ("title: t\nrecipe: ptb\nmeasure: reading\nrows: {}\ncurve_setting: kl_weight\ncurves: {a: [b]}", "no row b"),
        ("title: t\nrecipe: ptb\nmeasure: reading\nrows: {b: {}}\noptional_rows: [c]", "must be of rows, got c"),
        ("title: t\nrecipe: ptb\nmeasure: reading\nrows: {b: {}}\ncurves: {a: [b]}", "curve_setting and curves"),
        ("title: t\nrecipe: agnews\nmeasure: classification\nrows: {}", "label_counts must be given"),
        (
            "title: t\nrecipe: ptb\nmeasure: reading\nrows: {a: {model: {encoder: pretrained}}}\n"
            "text_clusters: [kmeans_lsa, bertopic]",
            "encoder must be given for the rows a, bertopic",
        ),
        ("title: t\nrecipe: ptb\nmeasure: reading\nrows: {}\noverview: {films: bleu}", "of data_sets, got films"),
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
