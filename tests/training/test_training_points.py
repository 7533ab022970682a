"""Points through the same loop as texts: trained, scored, clustered, saved and resumed."""

import json

import numpy as np
import pytest
import torch
from tiny_runs import assert_same_weights, tiny_points, tiny_trainer, weights
from transformers import AutoModel

from ldebm_hf import LDEBMModel
from ldebm_hf.data import NO_LABEL, PointSplit
from ldebm_hf.training import Settings, evaluation
from ldebm_hf.training.fitted_settings import PUBLISHED_POINT_STD
from ldebm_hf.training.symbols import posterior_means, symbols_of

TWO_COMPONENTS = {"num_components": 2, "normalize": False}
RUN = {
    "clustering": TWO_COMPONENTS,
    "num_train_epochs": 3,
    "save_steps": 2,
    "logging_steps": 3,
    "save_total_limit": 99,
}


def test_run_learns_and_leaves_a_model_that_generates_points(tmp_path):
    corpus = tiny_points(num_train=400, num_validation=100)
    trainer = tiny_trainer(tmp_path, corpus, num_train_epochs=8, max_grad_norm=None)
    values = trainer.train()
    lines = [json.loads(line) for line in trainer.folder.metrics.read_text().splitlines()]
    first = next(line["values"] for line in lines if line["split"] == "validation")
    assert values["reconstruction_loss"] < first["reconstruction_loss"] - 1
    assert {"prior_distance", "sample_distance", "symbol_accuracy"} < values.keys()
    assert not (tmp_path / "tokenizer.json").exists() and (tmp_path / "settings.yaml").exists()
    model = AutoModel.from_pretrained(tmp_path)
    assert isinstance(model, LDEBMModel) and model.config.id2label == {0: "a", 1: "b", 2: "c"}
    points = model.generate(num_samples=200, generator=torch.Generator().manual_seed(0))
    assert points.shape == (200, 2)
    # The data have mean (133, 33) and a standard deviation of 47; samples of an untrained model have one of 2 or less.
    assert np.linalg.norm(points.numpy().mean(0) - corpus.train.points.mean(0)) < 40 and points.std() > 20


# Within the first epoch, at its end, in the last one; test_resume.py has every place with texts.
@pytest.mark.parametrize(("labels", "steps"), [("all", (4,)), ("some", (5,)), ("no", (4, 14))])
def test_run_of_points_is_resumed_with_the_very_same_weights(tmp_path, labels, steps):
    corpus = tiny_points(labels=labels)
    whole = tiny_trainer(tmp_path, corpus, **RUN)
    whole.train()
    end = weights(whole)
    for step in steps:
        resumed = tiny_trainer(tmp_path, corpus, resume=str(whole.folder.checkpoints / f"step-{step:08d}"), **RUN)
        resumed.train()
        assert_same_weights(weights(resumed), end)


def test_other_points_are_not_resumed(tmp_path):
    tiny_trainer(tmp_path, tiny_points(), max_steps=2).train()
    moved = tiny_points()
    moved.train.points[7, 0] += 1e-3
    model = {"point_center": [133.0, 33.0], "point_scale": 5.0}
    with pytest.raises(ValueError, match="the training examples was .* and is now"):
        tiny_trainer(tmp_path, moved, max_steps=2, resume="latest").train()
    tiny_trainer(tmp_path / "given", tiny_points(), model, max_steps=2).train()
    with pytest.raises(ValueError, match="point_scale was 5.0 and is now 6.0"):
        model["point_scale"] = 6.0
        tiny_trainer(tmp_path / "given", tiny_points(), model, max_steps=2, resume="latest").train()


def test_unlabelled_points_get_clusters_of_posterior_means_in_corpus_order(tmp_path):
    trainer = tiny_trainer(
        tmp_path, tiny_points(labels="no"), clustering=TWO_COMPONENTS, num_train_epochs=4, per_device_eval_batch_size=7
    )
    trainer.train()
    means = posterior_means(trainer.model, trainer.train_set, 7, trainer.accelerator)
    expected = trainer.model.encode(points=torch.from_numpy(trainer.train_set.points)).posterior_mean.detach()
    np.testing.assert_allclose(means, expected, atol=1e-5)
    trainer.symbols.start_epoch()
    symbols = symbols_of(trainer.train_set.labels, trainer.progress.assignments)
    truth = tiny_points().train.labels
    assert len(np.unique(symbols)) == 3 and len(np.unique(symbols * 3 + truth)) == 3, "one cluster per corner"


def test_too_many_components_for_the_latent_are_refused(tmp_path):
    with pytest.raises(ValueError, match="clustering.num_components=3 must not be more than latent_size=2"):
        tiny_trainer(tmp_path, tiny_points(labels="no"), clustering={"features": "whitened"})


def test_sample_distance_is_that_of_generated_points_to_the_validation_points(tmp_path, monkeypatch):
    trainer = tiny_trainer(tmp_path, tiny_points(num_validation=9))
    drawn = torch.from_numpy(np.random.default_rng(0).normal(size=(32, 2)).astype(np.float32))
    asked = []

    def generate(**keywords):
        asked.append(keywords)
        return drawn

    monkeypatch.setattr(trainer.model, "generate", generate)
    values = trainer.evaluator(trainer.model, trainer.accelerator)
    assert asked == [{"num_samples": 32, "do_sample": True}]
    data = torch.from_numpy(tiny_points(num_validation=9).validation.points)
    assert values["sample_distance"] == pytest.approx(evaluation.energy_distance(drawn, data), rel=1e-6)


def test_sample_distance_may_select_the_best_model(tmp_path):
    trainer = tiny_trainer(tmp_path, tiny_points(), metric_for_best_model="sample_distance")
    values = trainer.train()
    assert trainer.progress.best_metric <= values["sample_distance"]


def test_scores_are_the_same_at_every_evaluation(tmp_path):
    trainer = tiny_trainer(tmp_path, tiny_points())
    first = trainer.evaluator(trainer.model, trainer.accelerator)
    torch.rand(3)
    assert trainer.evaluator(trainer.model, trainer.accelerator) == first


# ---- settings


@pytest.mark.parametrize("factor", [1.0, 1e-3])
def test_points_in_any_units_get_the_published_spread(factor):
    rng = np.random.default_rng(0)
    points = factor * (rng.normal(size=(1000, 2)) * [3, 1] + [50, -7])
    config = Settings(model={"modality": "point"}).model_config(points=points.astype(np.float32))
    assert config.point_center == pytest.approx(points.mean(0), rel=1e-4)
    scaled = (points - config.point_center) / config.point_scale
    assert np.sqrt(scaled.var(0).mean()) == pytest.approx(PUBLISHED_POINT_STD, rel=1e-4)
    assert scaled[:, 0].std() == pytest.approx(3 * scaled[:, 1].std(), rel=0.1), "one scale for both coordinates"


def test_centre_and_scale_of_the_recipe_come_first():
    points = np.arange(8, dtype=np.float32).reshape(4, 2)
    settings = Settings.from_dict({"model": {"modality": "point", "point_center": "1,2", "point_scale": "3"}})
    config = settings.model_config(points=points)
    assert (config.point_center, config.point_scale) == ([1, 2], 3)
    settings = Settings.from_dict({"model": {"modality": "point", "point_scale": "3"}})
    assert (settings.model_config(points=points).point_center, config.point_scale) == ([3, 4], 3)


def test_points_that_are_all_the_same_are_refused():
    with pytest.raises(ValueError, match="the training points must not all be the same"):
        Settings(model={"modality": "point"}).model_config(points=np.ones((5, 2)))


@pytest.mark.parametrize(
    ("name", "value"),
    [("data.streaming", True), ("data.min_words", 3), ("clustering.features", "words"),
     ("clustering.features", "word_classes")],  # fmt: skip
)
def test_what_is_for_texts_is_refused(name, value):
    section, short = name.split(".")
    with pytest.raises(ValueError, match=f"{name}=.* needs model.modality=text or document, got point"):
        Settings.from_dict({"model": {"modality": "point"}, section: {short: value}})


def test_modality_decides_what_is_loaded(tmp_path):
    (tmp_path / "mine.csv").write_text("name,u,v\n" + "".join(f"word{i},{i},{i / 2}\n" for i in range(20)))
    data = {"source": str(tmp_path / "mine.csv")}
    of_points = {"model": {"modality": "point"}, "data": data | {"point_columns": "u,v"}}
    points = Settings.from_dict(of_points).load_corpus().train
    assert isinstance(points, PointSplit) and len(points) == 18 and set(points.labels) == {NO_LABEL}
    np.testing.assert_array_equal(points.points[:, 0], 2 * points.points[:, 1])
    of_texts = {"data": data | {"text_column": "name"}}
    assert Settings.from_dict(of_texts).load_corpus().train.texts[0].startswith("word")
    with pytest.raises(ValueError, match="source 'gaussians' consists of points"):
        Settings.from_dict({"data": {"source": "gaussians"}}).load_corpus()


def test_built_in_points_follow_their_settings():
    data = {"source": "pinwheel", "num_points": 50, "label_fraction": 0}
    corpus = Settings.from_dict({"model": {"modality": "point"}, "data": data}).load_corpus()
    assert len(corpus.train) == 50 and corpus.train.num_labelled == 0 and corpus.validation.num_labelled > 0
