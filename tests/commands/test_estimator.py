"""`LDEBM`: from texts in Python to a fitted model, with scikit-learn's habits; tiny models of tiny corpora."""

import copy
import json
import pickle
import random
import re
import warnings
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
import tqdm
from sklearn.base import clone, is_classifier, is_clusterer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer, log_loss
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline

import ldebm_hf
from ldebm_hf import LDEBM, LDEBMPipeline
from ldebm_hf.commands.estimator_data import read_labels, read_texts
from ldebm_hf.commands.fitted_sizes import (
    batch_size_for,
    choose_recipe,
    num_epochs_for,
    num_symbols_for,
)
from ldebm_hf.training import Trainer, evaluation, loop

TINY = {
    "encoder": None, "verbose": False, "embedding_size": 16, "encoder_hidden_size": 16, "decoder_hidden_size": 16,
    "latent_size": 4, "energy_hidden_size": 16, "energy_num_blocks": 1, "langevin_steps": 2, "max_steps": 6,
}  # fmt: skip
LEARNS = {"max_steps": 60, "learning_rate": 0.02, "prior_learning_rate": 0.02, "classification_weight": 20}
TOPICS = {"food": "bread soup fresh salt oven dish", "rain": "cold wet grey windy storm cloud"}


def rows(number: int = 60, seed: int = 0) -> tuple[list[str], list[str]]:
    """Texts, and the topic of each."""
    rng = random.Random(seed)
    labels = rng.choices(list(TOPICS), k=number)
    return [" ".join(rng.choices(TOPICS[label].split(), k=rng.randint(3, 7))) for label in labels], labels


TEXTS, LABELS = rows()


@pytest.fixture(scope="module", autouse=True)
def small_validations():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "NUM_PRIOR_SAMPLES", 16)
        patch.setattr(loop, "plot_validation_curves", lambda *_: False)
        yield


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory) -> LDEBM:
    folder = tmp_path_factory.mktemp("unlabelled") / "run"
    return LDEBM(num_symbols=2, output_dir=folder, features="words", **TINY | LEARNS).fit(TEXTS)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory) -> LDEBM:
    return LDEBM(output_dir=tmp_path_factory.mktemp("labelled") / "run", **TINY | LEARNS).fit(TEXTS, LABELS)


@pytest.fixture(scope="module")
def hardly_trained() -> LDEBM:
    return LDEBM(num_symbols=3, **TINY).fit(TEXTS)


def weights(model: LDEBM) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in model.pipeline_.model.state_dict().items()}


def assert_same(one: LDEBM, other: LDEBM) -> None:
    assert weights(one).keys() == weights(other).keys()
    assert all(np.array_equal(value, weights(other)[name]) for name, value in weights(one).items())


# ------------------------------------------------------------------------------------------------------ what it learns


def test_texts_alone_give_symbols_with_names_and_a_report(unlabelled):
    names = unlabelled.classes_.tolist()
    assert len(names) == 2
    assert {word for name in names for word in name.split(", ")} <= set(" ".join(TOPICS.values()).split())
    assert set(unlabelled.predict(TEXTS)) <= set(names)
    probabilities = unlabelled.predict_proba(TEXTS)
    assert probabilities.shape == (60, 2) and probabilities.sum(1) == pytest.approx(1, abs=1e-5)
    assert unlabelled.transform(TEXTS).shape == (60, 4)
    assert (unlabelled.folder_ / "report.html").is_file() and "60 texts" in unlabelled.describe()
    assert unlabelled.score(TEXTS) < 0 < 0.5 < unlabelled.score(TEXTS, LABELS) <= 1
    assert unlabelled.score(TEXTS) == unlabelled.score(TEXTS)


def test_labels_become_the_symbols(labelled):
    assert labelled.classes_.tolist() == ["food", "rain"]
    assert labelled.score(TEXTS, LABELS) > 0.9
    assert labelled.classify("cold wet storm")[0]["label"] == "rain"
    assert len(labelled.write("food", 2, generator=0)) == 2
    assert [symbol.name for symbol in labelled.explain(TEXTS, num_samples=1).symbols] == ["food", "rain"]
    held_out, expected = rows(40, seed=1)
    assert labelled.score(held_out, [*expected[:20], *[None] * 20]) > 0.8, "texts without a label do not count"


def test_labels_come_back_as_they_were_given(tmp_path):
    numbers = [{"food": 7, "rain": 9}[label] for label in LABELS]
    model = LDEBM(output_dir=tmp_path / "run", **TINY).fit(np.array(TEXTS), np.array(numbers))
    assert model.classes_.tolist() == [7, 9] and model.predict(TEXTS).dtype.kind == "i"
    assert LDEBM.load(tmp_path / "run").classes_.tolist() == [7, 9]


def test_some_labels_are_enough_and_the_others_are_taught_by_words(tmp_path):
    some = [label if number % 3 else None for number, label in enumerate(LABELS)]
    model = LDEBM(output_dir=tmp_path / "run", **TINY).fit(pd.Series(TEXTS), pd.Series(some))
    assert model.classes_.tolist() == ["food", "rain"]
    settings = (tmp_path / "run" / "settings.yaml").read_text("utf-8")
    assert "features: word_classes" in settings and "resume: null" in settings


def test_it_says_what_it_chose(tmp_path, capsys):
    LDEBM(**TINY | {"verbose": True, "max_steps": 1}).fit(TEXTS)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "60 texts, none with a label: recipe texts (no pretrained encoder), 2 symbols"
    assert re.match(r"texts of up to 16 tokens, batches of 8, 1 steps, in .*ldebm_", printed[1])


def test_without_verbose_nothing_is_printed(capfd):
    LDEBM(**TINY | {"max_steps": 1}).fit(TEXTS)
    assert capfd.readouterr() == ("", "")


def test_sizes_follow_from_the_number_of_texts():
    assert [num_symbols_for(n) for n in (10, 1000, 3000, 10**6)] == [2, 8, 14, 50]
    assert [batch_size_for(n) for n in (10, 300, 1000, 3000, 10**6)] == [8, 8, 16, 64, 64]
    assert [num_epochs_for(n, batch_size_for(n)) for n in (10, 1000, 3000, 10**6)] == [100, 32, 43, 3]


def test_the_recipe_follows_from_labels_and_encoder(monkeypatch):
    assert choose_recipe(None, 10, 0) == ("texts", {}) == choose_recipe(None, 10, 10)
    assert choose_recipe(None, 10, 3) == ("texts", {"clustering": {"features": "word_classes"}})
    named = {"model": {"encoder_name_or_path": "an/encoder"}}
    assert choose_recipe("an/encoder", 10, 0) == ("texts_pretrained", named)
    assert choose_recipe("an/encoder", 10, 3) == ("texts_pretrained_few_labels", named)
    for found, recipe in ((None, "texts"), ("config.json", "texts_pretrained")):
        monkeypatch.setattr("ldebm_hf.commands.fitted_sizes.try_to_load_from_cache", lambda *_, found=found: found)
        assert choose_recipe("auto", 10, 0)[0] == recipe


# ------------------------------------------------------------------------------------------- seeds, stopping, resuming


def test_the_seed_decides_the_weights(hardly_trained):
    same, other = (LDEBM(num_symbols=3, seed=seed, **TINY).fit(TEXTS) for seed in (0, 1))
    assert_same(hardly_trained, same)
    assert not np.array_equal(other.transform(TEXTS), same.transform(TEXTS))


def test_a_fit_that_was_stopped_goes_on_to_the_same_weights(hardly_trained, tmp_path, monkeypatch):
    model = LDEBM(num_symbols=3, output_dir=tmp_path / "run", save_steps=2, **TINY)
    step = Trainer._train_step

    def stop(trainer, batches):
        if trainer.progress.step == 4:
            raise KeyboardInterrupt
        return step(trainer, batches)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "_train_step", stop)
        model.fit(TEXTS)
    with pytest.raises(ValueError, match="holds a fit of other texts or labels: give another output_dir"):
        model.fit(TEXTS[:-1])
    with pytest.raises(ValueError, match="latent_size was 4 and is now 5"):
        clone(model).set_params(latent_size=5).fit(TEXTS)
    assert_same(model.fit(TEXTS), hardly_trained)
    assert model.classes_.tolist() == hardly_trained.classes_.tolist()
    assert_same(model.fit(TEXTS), hardly_trained)  # which was finished
    anew = clone(model).set_params(overwrite_output_dir=True).fit(TEXTS[:-1])
    assert len(anew.explain(num_samples=1).texts) == 59


# ----------------------------------------------------------------------------------------------- scikit-learn's habits


def test_clones_and_parameters(unlabelled):
    model = LDEBM(num_symbols=4, latent_size=8, output_dir="somewhere")
    same = clone(model)
    assert same.get_params() == model.get_params() and same.get_params()["latent_size"] == 8
    assert same.set_params(num_symbols=5, langevin_steps=3).get_params()["langevin_steps"] == 3
    assert model.get_params()["num_symbols"] == 4 and "langevin_steps" not in model.get_params()
    assert "latent_size=8" in repr(model) and model._repr_html_()
    with pytest.raises(ValueError, match="unknown setting 'latent_sise': did you mean latent_size"):
        model.set_params(latent_sise=3)
    with pytest.raises(NotFittedError, match="not fitted yet: call fit"):
        model.predict(["a text"])
    assert clone(unlabelled).get_params() == unlabelled.get_params()


def test_a_grid_search_over_the_number_of_symbols_with_and_without_labels():
    model = LDEBM(**TINY | {"max_steps": 1, "per_device_train_batch_size": 32})
    for labels, refit in ((LABELS, True), (None, False)):
        search = GridSearchCV(model, {"num_symbols": [2, 3]}, cv=2, error_score="raise", refit=refit)
        search.fit(TEXTS, labels)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        assert search.best_params_["num_symbols"] in (2, 3)
        assert not refit or search.predict(TEXTS).shape == (60,)


def test_it_is_a_step_of_a_pipeline():
    pipe = make_pipeline(LDEBM(**TINY | {"max_steps": 1}), LogisticRegression()).fit(TEXTS, LABELS)
    assert pipe.predict(TEXTS).shape == (60,)


def test_temporary_folders_end_with_the_estimator():
    model = LDEBM(**TINY | {"max_steps": 1}).fit(TEXTS)
    folder = model.folder_
    assert folder.is_dir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        again = pickle.loads(pickle.dumps(model))
        del model
    assert not folder.exists() and again.predict(TEXTS).shape == (60,)


# ----------------------------------------------------------------------------------------------------- saving, loading


def test_saved_and_loaded_models_answer_alike(unlabelled, labelled, tmp_path):
    for model in (unlabelled, labelled):
        folder = model.save(tmp_path / model.folder_.parent.name)
        assert not (folder / "texts.jsonl").exists() and (folder / "README.md").is_file()
        for loaded in (LDEBM.load(folder), LDEBM.load(model.folder_)):
            assert loaded.predict(TEXTS).tolist() == model.predict(TEXTS).tolist()
            assert np.array_equal(loaded.transform(TEXTS), model.transform(TEXTS))
            assert loaded.get_params()["latent_size"] == 4
        pipe = LDEBMPipeline.from_pretrained(folder)
        assert pipe.write(0, 1, generator=0) == model.write(0, 1, generator=0)
        with pytest.raises(ValueError, match="texts must be given: those of the fit are not with the model"):
            LDEBM.load(folder).explain()
    with pytest.raises(FileNotFoundError, match="no folder '/nowhere/run'"):
        LDEBM.load("/nowhere/run")


def test_symbols_are_renamed_for_good(tmp_path):
    model = LDEBM(num_symbols=2, output_dir=tmp_path / "run", **TINY | {"max_steps": 1}).fit(TEXTS)
    model.rename({0: "kitchen"})
    assert model.classes_[0] == "kitchen" == LDEBM.load(tmp_path / "run").classes_[0]
    assert model.report(tmp_path / "mine.html") == tmp_path / "mine.html"
    assert "kitchen" in (tmp_path / "mine.html").read_text("utf-8")


def test_what_is_pushed_is_the_folder(unlabelled, monkeypatch):
    pushed = []
    monkeypatch.setattr("ldebm_hf.commands.estimator.push", lambda *given, **options: pushed.append((*given, options)))
    unlabelled.push_to_hub("me/requests", private=False)
    assert pushed == [(unlabelled.folder_, "me/requests", {"private": False})]


# ---------------------------------------------------------------------------------------------------- what it is given


def test_texts_and_labels_in_any_form():
    table = pd.DataFrame({"body": TEXTS, "topic": LABELS})
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=list(TOPICS))})
    of_hub = datasets.Dataset.from_dict({"text": TEXTS, "label": LABELS}, features=features)
    arrays = np.array(TEXTS), np.array(TEXTS, dtype=object)
    for given in (TEXTS, tuple(TEXTS), *arrays, table["body"], of_hub["text"], of_hub):
        assert read_texts(given) == TEXTS and type(read_texts(given)[0]) is str
    assert read_texts(table, "body") == TEXTS
    assert read_labels("topic", table, 60) == LABELS == read_labels("label", of_hub, 60)
    assert read_labels([1, None, float("nan"), pd.NA, np.int64(3), 2.0], None, 6) == [1, None, None, None, 3, 2]


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        ([], None, "texts must be strings, at least one, got none"),
        ("one text", None, "texts must be a list of them, got a single str"),
        (["a", None], None, r"entry 1 \(the first is 0\) is None \(NoneType\): leave out what has no text"),
        (["a", float("nan")], None, r"entry 1 \(the first is 0\) is nan \(float\)"),
        (pd.Series(["a", pd.NA], dtype=object), None, r"entry 1 .* is <NA>"),
        (["a", b"b"], None, r"entry 1 .* is b'b' \(bytes\)"),
        (np.array([["a", "b"]]), None, r"texts must have one dimension, got an array of shape \(1, 2\)"),
        (pd.DataFrame({"body": ["a"]}), None, "texts are in no column 'text', text_column=: the columns are body"),
        ({"a": 1}, None, "texts must be a list, an array or a column, got dict"),
        (["a", "b"], ["x"], "labels must be one for each of the 2 texts, got 1"),
        (["a", "b"], ["x", ["y"]], r"labels must be strings or integers, .* entry 1 .* is \['y'\] \(list\)"),
        (["a", "b"], [0.5, 1], r"labels must be strings or integers, .* entry 0 .* is 0.5"),
        (["a", "b"], "topic", "labels='topic' names a column, and the texts are no table or data set with columns"),
    ],
)
def test_mistakes_are_named_before_anything_is_written(tmp_path, texts, labels, message):
    with pytest.raises(ValueError, match=message):
        LDEBM(output_dir=tmp_path / "run", **TINY).fit(texts, labels)
    assert not (tmp_path / "run").exists()


def test_settings_are_checked_by_name():
    with pytest.raises(ValueError, match="unknown setting 'latentsize': did you mean latent_size"):
        LDEBM(latentsize=3).fit(TEXTS)
    with pytest.raises(ValueError, match="several sections have a setting 'algorithm'|unknown setting|source follows"):
        LDEBM(source="my.csv").fit(TEXTS)
    with pytest.raises(ValueError, match="model.dropout=3|dropout must be"):
        LDEBM(**TINY, dropout=3).fit(TEXTS)


def test_it_is_a_name_of_the_package():
    assert ldebm_hf.LDEBM is LDEBM and "LDEBM" in ldebm_hf.__all__
    with pytest.raises(AttributeError, match="has no attribute 'LDEBMM'"):
        _ = ldebm_hf.LDEBMM
    arguments = json.loads(json.dumps(LDEBM(output_dir=Path("a")).get_params(), default=str))
    assert LDEBM(**arguments).output_dir == "a"


# ------------------------------------------------------------------------------------------- what a file cannot change


def estimator_file(folder: Path) -> dict:
    return json.loads((folder / "estimator.json").read_text("utf-8"))


@pytest.fixture
def of_numbers(tmp_path) -> LDEBM:
    numbers = np.array([list(TOPICS).index(label) for label in LABELS])
    return LDEBM(output_dir=tmp_path / "numbers", **TINY | {"max_steps": 1}).fit(TEXTS, numbers)


def test_a_folder_cannot_say_that_its_code_is_trusted_or_where_files_go(labelled, tmp_path, monkeypatch):
    folder = labelled.save(tmp_path / "saved")
    content = estimator_file(folder)
    assert not {"trust_remote_code", "output_dir"} & content["params"].keys()
    for name in ("trust_remote_code", "training__trust_remote_code", "training.trust_remote_code"):
        content["params"] |= {name: True, "output_dir": "elsewhere"}
    (folder / "estimator.json").write_text(json.dumps(content))
    trusted, load = [], LDEBMPipeline.from_pretrained

    def watched(*given, trust_remote_code):
        trusted.append(trust_remote_code)
        return load(*given)

    monkeypatch.setattr(LDEBMPipeline, "from_pretrained", watched)
    loaded = LDEBM.load(folder)
    assert loaded.output_dir is None and not any("trust" in name for name in loaded.get_params())
    LDEBM.load(folder, trust_remote_code=True)
    assert trusted == [False, True]
    assert not LDEBM(trust_remote_code="false")._setting("training.trust_remote_code")


@pytest.mark.parametrize(
    "content",
    [
        "{}", "", "[]", "no JSON", '{"params": [], "labels": []}', '{"params": {}, "labels": [["food", "food"]]}',
        '{"params": {"latent_sise": 3}, "labels": []}', '{"params": {"self": 3}, "labels": []}',
        '{"params": {}, "labels": [], "suggested": {}}', '{"params": {}, "labels": [], "run": 3}',
    ],
)  # fmt: skip
def test_an_estimator_file_that_is_not_as_it_should_be_is_named(labelled, tmp_path, content):
    folder = labelled.save(tmp_path / "saved")
    (folder / "estimator.json").write_text(content)
    with pytest.raises(ValueError, match=r"saved.estimator\.json is not as LDEBM writes it"):
        LDEBM.load(folder)


def test_arguments_keep_their_kinds_in_the_file(tmp_path):
    given = TINY | {"max_steps": np.int64(1), "learning_rate": np.float32(0.25), "output_dir": tmp_path / "run"}
    model = LDEBM(num_symbols=np.int64(2), **given).fit(TEXTS)
    params = estimator_file(model.folder_)["params"]
    assert params["num_symbols"] == 2 and params["max_steps"] == 1 and params["learning_rate"] == 0.25
    assert LDEBM.load(model.folder_).num_symbols == 2
    with pytest.raises(ValueError, match="max_steps must be a text, number, .* or a list or dictionary of"):
        LDEBM(**TINY | {"max_steps": object()}).fit(TEXTS)


# ---------------------------------------------------------------------------------- fits that fail, and fits once more


@pytest.mark.parametrize("place", ["estimator.plan_fit", "fit_folder.train"])
def test_a_fit_that_fails_leaves_the_fitted_model(place, monkeypatch):
    model = LDEBM(**TINY | {"max_steps": 1}).fit(TEXTS, LABELS)
    before, folder = model.predict_proba(TEXTS), model.folder_

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(f"ldebm_hf.commands.{place}", stop)
        model.fit(TEXTS[:40])
    assert model.folder_ == folder and folder.is_dir() and len(model.explain(num_samples=1).texts) == 60
    assert np.array_equal(model.predict_proba(TEXTS), before) and model.classes_.tolist() == ["food", "rain"]
    model.fit(TEXTS)
    assert not folder.exists() and model.folder_.is_dir()


def test_texts_of_a_folder_stay_if_planning_fails(of_numbers, monkeypatch):
    before = (of_numbers.folder_ / "texts.jsonl").read_text("utf-8")
    monkeypatch.setattr("ldebm_hf.commands.estimator.plan_fit", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        clone(of_numbers).set_params(overwrite_output_dir=True).fit(TEXTS[:30])
    assert (of_numbers.folder_ / "texts.jsonl").read_text("utf-8") == before


def test_names_of_the_user_stay_in_a_fit_once_more(tmp_path, monkeypatch):
    constant = {"lr_scheduler_type": "constant", "kl_schedule": "constant"}  # with which a fit can be prolonged
    model = LDEBM(num_symbols=2, output_dir=tmp_path / "run", **TINY, **constant).fit(TEXTS)
    model.rename({0: "kitchen"})
    assert clone(model).fit(TEXTS).classes_.tolist() == model.classes_.tolist(), "a fit that has ended is only loaded"
    longer = clone(model).set_params(max_steps=8).fit(TEXTS)
    assert longer.classes_[0] == "kitchen" and not longer.classes_[1].startswith("LABEL_")
    monkeypatch.setattr("ldebm_hf.commands.fit_folder.train", lambda *_: 1 / 0)
    assert clone(longer).fit(TEXTS).classes_[0] == "kitchen"
    with pytest.raises(ZeroDivisionError):
        clone(longer).set_params(max_steps=9).fit(TEXTS)


# ---------------------------------------------------------------------------------------------------- names and labels


def test_scores_follow_names(of_numbers, tmp_path):
    numbers = [list(TOPICS).index(label) for label in LABELS]
    before = of_numbers.score(TEXTS, numbers)
    assert before > 0
    of_numbers.rename({0: "negative", 1: "positive"})
    names = [["negative", "positive"][number] for number in numbers]
    assert of_numbers.classes_.tolist() == ["negative", "positive"]
    assert of_numbers.score(TEXTS, numbers) == before == of_numbers.score(TEXTS, names)
    for loaded in (LDEBM.load(of_numbers.folder_), LDEBM.load(of_numbers.save(tmp_path / "saved"))):
        assert loaded.score(TEXTS, numbers) == before == loaded.score(TEXTS, names)
        assert loaded.rename({0: "0", 1: "1"}).classes_.tolist() == [0, 1]


def test_a_labelled_training_without_an_estimator_scores_accuracy(labelled, unlabelled, tmp_path):
    for model, is_labelled in ((labelled, True), (unlabelled, False)):
        folder = model.save(tmp_path / str(is_labelled))
        (folder / "estimator.json").unlink()
        loaded = LDEBM.load(folder)
        assert bool(loaded._labels) == is_labelled
        assert loaded.score(TEXTS, LABELS) == pytest.approx(model.score(TEXTS, LABELS))


def test_a_name_that_cannot_be_written_is_not_given(of_numbers, monkeypatch):
    monkeypatch.setattr("ldebm_hf.commands.estimator.save_symbols", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        of_numbers.rename({0: "negative"})
    assert of_numbers.pipeline_.model.config.id2label == {0: "0", 1: "1"} and of_numbers.classes_.tolist() == [0, 1]


def test_copies_do_not_name_a_folder_that_goes_away(of_numbers, hardly_trained):
    for copied in (pickle.loads(pickle.dumps(hardly_trained)), copy.deepcopy(hardly_trained)):
        assert copied.folder_ is None and copied.rename({0: "kitchen"}).classes_[0] == "kitchen"
    assert copy.deepcopy(of_numbers).folder_ == of_numbers.folder_
    assert hardly_trained.classes_[0] != "kitchen"


def test_labels_that_training_takes_as_missing_are_missing():
    missing = ["", "  ", "-100", -100, -100.0, None]
    assert read_labels(["food", "?", *missing], None, 8) == ["food", "?", *[None] * 6]
    assert read_labels(["food", "?", ""], None, 3, ["?"]) == ["food", None, None]


@pytest.mark.parametrize("name", [
    "data", "source", "data__source", "data.source", "label_column", "data__label_column", "data__data_dir",
    "training__output_dir", "resume", "training__resume",
])  # fmt: skip
def test_settings_that_follow_are_refused_by_any_of_their_names(name):
    with pytest.raises(ValueError, match=r"(data|training)\.\w+ follows from what LDEBM and fit are given"):
        LDEBM(**TINY, **{name: "x"}).fit(TEXTS)


def test_other_names_of_settings_mean_the_same(tmp_path):
    model = LDEBM(output_dir=tmp_path / "run", data__text_column="body", **TINY | {"max_steps": 1})
    model.fit(pd.DataFrame({"body": TEXTS}))
    again = clone(model).set_params(training__overwrite_output_dir=True)
    assert len(again.fit(TEXTS[:30]).explain(num_samples=1).texts) == 30
    with pytest.raises(ValueError, match="training.max_steps is given twice, the second time as training__max_steps"):
        clone(model).set_params(training__max_steps=2).fit(TEXTS)


def test_names_and_report_are_of_all_texts(hardly_trained, tmp_path):
    page = hardly_trained.report(tmp_path / "mine.html")
    report = json.loads(page.with_suffix(".json").read_text("utf-8"))
    assert sum(symbol["num_texts"] for symbol in report["symbols"]) == 60
    assert str(hardly_trained.folder_) not in page.read_text("utf-8")


def test_columns_of_a_table_may_be_numbers():
    table = pd.DataFrame([["a text", "x"], ["another", "y"]])
    assert read_texts(table, "0") == ["a text", "another"] and read_labels("1", table, 2) == ["x", "y"]


def test_an_encoder_without_weights_is_not_in_the_cache(monkeypatch):
    for files, recipe in (({"config.json"}, "texts"), ({"config.json", "model.safetensors"}, "texts_pretrained")):
        found = lambda _, name, files=files: name if name in files else None  # noqa: E731
        monkeypatch.setattr("ldebm_hf.commands.fitted_sizes.try_to_load_from_cache", found)
        assert choose_recipe("auto", 10, 0)[0] == recipe


# ------------------------------------------------------------------------------------------- merged symbols, and order


def three_topics() -> tuple[list[str], list[str]]:
    """Texts of three topics, of which "ice" is told from "rain" by one word alone."""
    labels = ["ice" if label == "rain" and number % 3 == 0 else label for number, label in enumerate(LABELS)]
    pairs = zip(TEXTS, labels, strict=True)
    return [f"{text} frost frost" if label == "ice" else text for text, label in pairs], labels


def test_merged_symbols_add_up_in_the_folder_too_and_their_labels_all_count(tmp_path):
    texts, labels = three_topics()
    model = LDEBM(output_dir=tmp_path / "run", **TINY | LEARNS).fit(texts, labels)
    assert model.classes_.tolist() == ["food", "ice", "rain"]
    before, file = model.predict_proba(texts), (tmp_path / "run" / "estimator.json").read_bytes()
    assert model.merge([["rain", "ice"]]) is model
    assert model.classes_.tolist() == ["food", "rain"] and model.symbols_.tolist() == [0, 1]
    saved = LDEBM.load(model.save(tmp_path / "saved"))
    for merged in (model, LDEBM.load(tmp_path / "run"), saved, pickle.loads(pickle.dumps(model))):
        expected = np.stack([before[:, 0], before[:, 1] + before[:, 2]], 1)
        np.testing.assert_allclose(merged.predict_proba(texts), expected, atol=1e-6)
        right = merged.predict(texts) == np.where(np.array(labels) == "food", "food", "rain")
        assert merged.score(texts, labels) == right.mean() > 0.9, "labels of both parts are right"
        assert len(merged.write("rain", 2, generator=0)) == 2
    assert (tmp_path / "run" / "estimator.json").read_bytes() == file
    (tmp_path / "saved" / "estimator.json").unlink()
    assert LDEBM.load(tmp_path / "saved").score(texts, labels) > 0.5, "without the file only names are known"
    assert clone(model).fit(texts, labels).classes_.tolist() == ["food", "rain"], "a fit that has ended is only loaded"
    with pytest.raises(ValueError, match="holds a model whose symbols were merged"):
        clone(model).set_params(dropout=0.3, max_steps=70).fit(texts, labels)


def test_symbols_that_cannot_be_saved_are_not_merged(monkeypatch):
    monkeypatch.setattr("ldebm_hf.commands.estimator.save_symbols", lambda *_: 1 / 0)
    three = LDEBM(num_symbols=3, **TINY | {"max_steps": 1}).fit(TEXTS)
    before = three.predict_proba(TEXTS)
    with pytest.raises(ZeroDivisionError):
        three.merge([[0, 2]])
    assert len(three.classes_) == 3 and np.array_equal(three.predict_proba(TEXTS), before)
    assert three.pipeline_.model.config.symbol_groups is None


def test_columns_are_in_the_order_of_sorted_labels_as_scorers_take_them():
    numbers = np.array([{"food": "10", "rain": "9"}[label] for label in LABELS])  # as texts "10" comes before "9"
    model = LDEBM(**TINY | LEARNS).fit(TEXTS, numbers)
    assert model.pipeline_.model.config.id2label == {0: "9", 1: "10"}
    assert model.classes_.tolist() == ["10", "9"] and model.symbols_.tolist() == [1, 0]
    assert model.score(TEXTS, numbers) == np.mean(model.predict(TEXTS) == numbers) > 0.9
    loss = log_loss(numbers, model.predict_proba(TEXTS))
    assert get_scorer("neg_log_loss")(model, TEXTS, numbers) == pytest.approx(-loss) and loss < 0.5
    assert get_scorer("roc_auc")(model, TEXTS, numbers) > 0.9
    model.rename({0: "a", 1: "b"})
    assert model.classes_.tolist() == ["a", "b"] and model.symbols_.tolist() == [0, 1]


# ------------------------------------------------------------------------------------------------------- scikit-learn


def test_it_is_a_classifier_unless_it_was_fitted_without_labels(labelled, hardly_trained):
    assert is_classifier(LDEBM()) and is_classifier(labelled) and not is_clusterer(labelled)
    assert is_clusterer(hardly_trained) and not is_classifier(hardly_trained)
    assert is_classifier(make_pipeline(LDEBM())) and is_classifier(clone(hardly_trained))


def test_folds_are_stratified_and_scorers_of_classifiers_work():
    labels = ["rain"] * 30 + ["food"] * 30  # without stratification each fold has labels that the other lacks
    texts = sorted(TEXTS, key=lambda text: text.split()[0] in TOPICS["food"].split())[:60]
    model = LDEBM(**TINY | {"max_steps": 4})
    scorings = ("accuracy", "roc_auc", "f1_macro", "neg_log_loss")
    scores = cross_validate(model, texts, labels, cv=2, scoring=scorings, error_score="raise")
    assert all(np.isfinite(scores[f"test_{scoring}"]).all() for scoring in scorings)
    assert cross_val_predict(model, texts, labels, cv=2, method="predict_proba").shape == (60, 2)
    assert np.isfinite(cross_val_score(model, texts, cv=2)).all(), "without labels"


def test_a_grid_search_in_processes_keeps_its_fits_apart(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    model, grid, scores = LDEBM(**TINY | {"max_steps": 2}), {"latent_size": [4]}, []
    for jobs in (1, 2):
        search = GridSearchCV(model, grid, cv=2, n_jobs=jobs, refit=False).fit(pd.Series(TEXTS), pd.Series(LABELS))
        scores.append([search.cv_results_[f"split{fold}_test_score"].item() for fold in range(2)])
    assert scores[0] == scores[1]


# --------------------------------------------------------------------------------------------------- folders, reports


def test_a_fit_whose_planning_fails_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("ldebm_hf.commands.estimator.plan_fit", lambda *_: 1 / 0)
    (tmp_path / "mine").mkdir()
    for folder in (tmp_path / "new" / "run", tmp_path / "mine"):
        with pytest.raises(ZeroDivisionError):
            LDEBM(output_dir=folder, **TINY).fit(TEXTS)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"], "a folder that was there stays"


def test_a_report_of_drawn_texts_says_so(unlabelled, tmp_path):
    file = unlabelled.report(tmp_path / "few.html", max_texts=20, split="train", num_samples=0)
    details = json.loads(file.with_suffix(".json").read_text("utf-8"))["details"]
    assert details["texts"] == "texts, train (20 drawn from 54)" and "20 drawn from 54" in file.read_text("utf-8")
    file = unlabelled.report(tmp_path / "all.html", num_samples=0)
    assert json.loads(file.with_suffix(".json").read_text("utf-8"))["details"]["texts"] == "texts, all"


def test_without_verbose_no_bar_is_shown_in_a_notebook_either(monkeypatch):
    shown = []

    class Bar(tqdm.std.tqdm):  # in a notebook bars are widgets, which no stream gets
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            if not self.disable:
                shown.append(self.desc)

    for module in ("loop", "symbols", "features"):
        monkeypatch.setattr(f"ldebm_hf.training.{module}.tqdm", Bar)
    LDEBM(**TINY | {"max_steps": 1, "features": "mean"}).fit(TEXTS)
    assert shown == []
    LDEBM(**TINY | {"max_steps": 1, "features": "mean", "verbose": True}).fit(TEXTS)
    assert {name.split(" ")[0] for name in shown} == {"clustering", "epoch"}
