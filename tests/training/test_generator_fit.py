"""The fit of a generator at the end of training: of the best model, to labelled examples, and as often as needed."""

import json

import pytest
import torch
from tiny_runs import assert_same_weights, tiny_corpus, tiny_points, tiny_trainer

from ldebm_hf import LDEBMModel
from ldebm_hf.training import generator_fit
from ldebm_hf.training.best_model import BestModel
from ldebm_hf.training.generator_fit import labelled_latents

CGAN = {"preset": "cgan"}
RUN = {"max_steps": 8, "save_steps": 3}


def published(folder) -> dict[str, torch.Tensor]:
    return LDEBMModel.from_pretrained(folder).state_dict()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that has ended."""
    trainer = tiny_trainer(tmp_path_factory.mktemp("whole"), model=CGAN, **RUN)
    trainer.train()
    return trainer


def test_published_model_is_the_best_one_with_a_generator(finished):
    model = LDEBMModel.from_pretrained(finished.folder.path)
    assert model.config.latent_generator is not None
    assert_same_weights(published(finished.folder.best), model.state_dict())
    assert len(model.generate(class_labels=["rain", "game"], max_new_tokens=4, generator=0)) == 2
    lines = [json.loads(line) for line in finished.folder.metrics.read_text().splitlines()]
    fits = [line["values"] for line in lines if line["split"] == "prior_fit"]
    assert len(fits) == 1 and fits[0]["prior_distance"] > -0.1
    assert lines[-1]["split"] == "clock", "its time is counted"


@pytest.mark.parametrize("at", ["the fit", "saving", "publishing"])
def test_a_run_that_was_killed_at_its_end_is_as_one_that_was_not(tmp_path, monkeypatch, finished, at):
    def killed(*_, **__):
        raise KeyboardInterrupt

    place = {
        "the fit": (LDEBMModel, "fit_adversarial_prior"),
        "saving": (generator_fit, "energy_distance"),
        "publishing": (BestModel, "publish"),
    }[at]
    with monkeypatch.context() as patch:
        patch.setattr(*place, killed)
        with pytest.raises(KeyboardInterrupt):
            tiny_trainer(tmp_path, model=CGAN, **RUN).train()
    tiny_trainer(tmp_path, model=CGAN, resume="latest", **RUN).train()
    assert_same_weights(published(tmp_path), published(finished.folder.path))


def test_a_finished_run_is_not_fitted_again_and_a_longer_one_is(tmp_path, monkeypatch):
    tiny_trainer(tmp_path, model=CGAN, **RUN).train()
    before = published(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(LDEBMModel, "fit_adversarial_prior", lambda *_, **__: pytest.fail("fitted again"))
        tiny_trainer(tmp_path, model=CGAN, resume="latest", **RUN).train()
    assert_same_weights(published(tmp_path), before)
    longer = tiny_trainer(tmp_path, model=CGAN, resume="latest", **{**RUN, "max_steps": 16})
    longer.train()
    assert longer.progress.best_step == 16
    assert LDEBMModel.from_pretrained(tmp_path).config.latent_generator is not None


def test_going_back_to_an_earlier_checkpoint_does_not_lose_the_generator(tmp_path):
    trainer = tiny_trainer(tmp_path, model=CGAN, **RUN, save_total_limit=99)
    trainer.train()
    before = published(tmp_path)
    checkpoint = str(trainer.folder.checkpoints / "step-00000003")
    tiny_trainer(tmp_path, model=CGAN, **RUN, save_total_limit=99, resume=checkpoint).train()
    assert_same_weights(published(tmp_path), before)


def test_latents_are_draws_of_the_labelled_examples_alone(tmp_path):
    trainer = tiny_trainer(tmp_path, tiny_corpus(labels="some"), CGAN)
    examples, model = trainer.train_set, trainer.model.eval()
    latents, labels = labelled_latents(model, examples, 4, seed=3)
    known = examples.labels >= 0
    assert len(latents) == len(labels) == known.sum() == 10
    assert sorted(labels.tolist()) == sorted(examples.labels[known].tolist())
    assert torch.equal(latents, labelled_latents(model, examples, 4, seed=3)[0])
    assert not torch.equal(latents, labelled_latents(model, examples, 4, seed=4)[0])
    with torch.no_grad():  # a posterior without noise is where its draw is
        model.encoder.heads.log_variance.weight.zero_()
        model.encoder.heads.log_variance.bias.fill_(-60.0)
    drawn, labels = labelled_latents(model, examples, 4, seed=3)
    (batch,) = examples.batches([known.nonzero()[0]])
    means = model.encode(batch["input_ids"], batch["attention_mask"]).posterior_mean
    for latent, label in zip(drawn, labels, strict=True):
        distance = (means - latent).norm(dim=-1)
        assert distance.min() < 1e-5 and batch["class_labels"][distance.argmin()] == label


def test_points_are_written_for_a_class(tmp_path):
    trainer = tiny_trainer(tmp_path, tiny_points(), CGAN, **RUN)
    trainer.train()
    points = LDEBMModel.from_pretrained(tmp_path).generate(class_labels="a", num_samples=3)
    assert points.shape == (3, 2) and points.isfinite().all()


def test_without_labels_training_is_refused(tmp_path):
    with pytest.raises(ValueError, match="model.prior=adversarial is fitted to classes, and no training example has"):
        tiny_trainer(tmp_path, tiny_corpus(labels="no"), CGAN)
