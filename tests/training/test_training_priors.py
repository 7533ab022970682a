"""Every prior through the same loop: what it has is logged and scored, what it has not is left out."""

import json
from dataclasses import fields

import numpy as np
import pytest
import torch
from tiny_runs import assert_same_weights, tiny_corpus, tiny_points, tiny_trainer, weights

from ldebm_hf import PRESETS, LDEBMModel
from ldebm_hf.training.evaluation import LOSS_TERMS, loss_terms

PRIORS = ("diffusion", "gaussian", "mixture", "discrete", "semi", "adversarial", "none")
RUN = {"max_steps": 8, "save_steps": 3, "save_total_limit": 99}
CORPORA = {"text": tiny_corpus, "point": tiny_points}
CASES = [(prior, modality) for modality in CORPORA for prior in PRIORS if (prior, modality) != ("none", "point")]


def logged(trainer, split: str) -> dict[str, float]:
    """The last values of a split."""
    lines = [json.loads(line) for line in trainer.folder.metrics.read_text().splitlines()]
    return [line["values"] for line in lines if line["split"] == split][-1]


@pytest.mark.parametrize(("prior", "modality"), CASES)
def test_run_of_any_prior_is_scored_saved_and_resumed(tmp_path, prior, modality):
    corpus = CORPORA[modality]()
    whole = tiny_trainer(tmp_path, corpus, {"prior": prior}, **RUN)
    values = whole.train()
    assert np.isfinite(list(values.values())).all()
    assert set(loss_terms(whole.config)) <= values.keys() & logged(whole, "train").keys()
    assert ("prior_distance" in values) == (prior != "none")
    assert ("symbol_accuracy" in values) == (prior not in ("gaussian", "none"))
    assert ("symbol_accuracy" in logged(whole, "train")) == (prior not in ("gaussian", "none"))
    saved = LDEBMModel.from_pretrained(tmp_path)
    assert saved.config.prior == prior and len(saved.generate(num_samples=2)) == 2

    path = whole.folder.checkpoints / "step-00000003"
    resumed = tiny_trainer(tmp_path, corpus, {"prior": prior}, resume=str(path), **RUN)
    resumed.train()
    assert_same_weights(weights(resumed), weights(whole))


@pytest.mark.parametrize(("prior", "modality"), CASES)
def test_every_step_moves_every_parameter(tmp_path, prior, modality):
    """A parameter without a gradient would be an error with several processes."""
    model = {"prior": prior, "kl_weight": 1.0, "mutual_information_weight": 1.0}
    trainer = tiny_trainer(tmp_path, CORPORA[modality](), model, max_steps=1)
    gradients = {}
    trainer.optimizer.zero_grad = lambda: gradients.update(
        {name: parameter.grad for name, parameter in trainer.model.named_parameters()}
    )
    trainer.train()
    assert [name for name, gradient in gradients.items() if gradient is None] == []


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("symbols", [{}, {"num_code_variables": 2, "num_code_categories": 5}])
def test_loss_terms_are_those_of_the_output_that_mean_something(tmp_path, prior, symbols):
    trainer = tiny_trainer(tmp_path, model={"prior": prior, **symbols})
    (batch,) = trainer.train_set.batches([range(8)])
    output = trainer.model(batch["input_ids"], batch["attention_mask"])
    there = {name for name in LOSS_TERMS if getattr(output, name) is not None}
    assert set(loss_terms(trainer.config)) == there - ({"prior_loss", "entropy_loss"} if prior == "none" else set())
    assert set(LOSS_TERMS) <= {field.name for field in fields(output)}


@pytest.mark.parametrize("prior", ["gaussian", "none"])
@pytest.mark.parametrize("labels", ["some", "no"])
def test_without_symbols_nothing_is_clustered_and_labels_change_nothing(tmp_path, monkeypatch, prior, labels):
    monkeypatch.setattr("ldebm_hf.training.symbols.fit_clusters", lambda *_: pytest.fail("clustered"))
    trainer = tiny_trainer(tmp_path / labels, tiny_corpus(labels=labels), {"prior": prior})
    values = trainer.train()
    plain = tiny_trainer(tmp_path / "all", tiny_corpus(), {"prior": prior})
    assert plain.train() == values
    assert_same_weights(weights(plain), weights(trainer))
    assert not {"symbols_used", "matched_accuracy", "classification_loss", "v_measure"} & values.keys()


@pytest.mark.parametrize("prior", ["mixture", "discrete", "semi"])
def test_codes_as_symbols_are_clustered_and_trained_like_any(tmp_path, prior):
    clustering = {"enabled": True, "num_components": 2}
    trainer = tiny_trainer(tmp_path, tiny_corpus(labels="no"), {"prior": prior}, clustering, max_steps=4)
    values = trainer.train()
    assert {"matched_accuracy", "symbols_used"} < values.keys()
    assert logged(trainer, "clustering")["clusters_used"] >= 1
    assert "cluster_agreement" in logged(trainer, "train")


def test_clustering_for_a_prior_without_symbols_is_refused(tmp_path):
    with pytest.raises(ValueError, match="clustering.enabled=true needs a prior with symbols, and .*gaussian"):
        tiny_trainer(tmp_path, tiny_corpus(labels="no"), {"prior": "gaussian"}, {"enabled": True})


@pytest.mark.parametrize(
    ("prior", "groups"), [("diffusion", 2), ("mixture", 2), ("gaussian", 1), ("discrete", 1), ("none", 1)]
)
def test_optimiser_has_a_group_for_the_prior_only_if_it_has_parameters(tmp_path, prior, groups):
    trainer = tiny_trainer(tmp_path, model={"prior": prior})
    assert [group["name"] for group in trainer.optimizer.param_groups] == ["autoencoder", "prior"][:groups]


@pytest.mark.parametrize(
    ("prior", "metric"),
    [("gaussian", "symbol_accuracy"), ("gaussian", "energy_positive"), ("none", "prior_distance")],
)
def test_metric_that_a_prior_does_not_have_is_refused_before_training(tmp_path, prior, metric):
    with pytest.raises(ValueError, match=f"metric_for_best_model must be one of .* got '{metric}'"):
        tiny_trainer(tmp_path, model={"prior": prior}, metric_for_best_model=metric)


@pytest.mark.parametrize("metric", ["prior_distance", "loss"])
def test_metric_that_a_prior_has_selects_the_best(tmp_path, metric):
    trainer = tiny_trainer(tmp_path, model={"prior": "gaussian"}, metric_for_best_model=metric, max_steps=2)
    values = trainer.train()
    assert trainer.progress.best_metric == values[metric]


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_trains_on_texts(tmp_path, preset):
    trainer = tiny_trainer(tmp_path, model={"preset": preset}, max_steps=2)
    before = weights(trainer)
    assert np.isfinite(list(trainer.train().values())).all()
    after = weights(trainer)
    assert any(not torch.equal(before[name], after[name]) for name in before if name.startswith("decoder"))
