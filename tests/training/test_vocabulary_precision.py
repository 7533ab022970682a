from types import SimpleNamespace

import pytest
import torch
from tiny_runs import tiny_trainer

from ldebm_hf.training import Settings, load_settings
from ldebm_hf.training.batches import model_inputs
from ldebm_hf.training.vocabulary_precision import vocabulary_dtype

PUBLISHED = ["ptb_published", "ptb_as_printed", "yelp_published", "agnews_published", "daily_dialog_published"]


def accelerator(mixed_precision="no"):
    return SimpleNamespace(mixed_precision=mixed_precision)


def settings(precision, **model):
    return Settings.from_dict({"model": model, "training": {"vocabulary_precision": precision}})


def test_products_are_rounded_where_that_is_asked_for():
    assert vocabulary_dtype(settings("bfloat16"), accelerator()) is torch.bfloat16
    assert vocabulary_dtype(settings("float32"), accelerator(mixed_precision="bf16")) is None


@pytest.mark.parametrize("recipe", ["ptb", *PUBLISHED])
def test_recipes_train_in_float32(recipe):
    assert vocabulary_dtype(load_settings(["--config", recipe]), accelerator()) is None


@pytest.mark.parametrize(
    ("model", "got"),
    [
        ({"modality": "document"}, "document and recurrent"),
        ({"modality": "point"}, "point and recurrent"),
        ({"decoder": "pretrained"}, "text and pretrained"),
    ],
)
def test_models_without_these_products_are_refused(model, got):
    with pytest.raises(ValueError, match=f"vocabulary_precision=bfloat16 needs model.modality=text and .*, got {got}"):
        settings("bfloat16", **model)


@pytest.mark.parametrize("mixed_precision", ["bf16", "fp16"])
def test_mixed_precision_is_refused(mixed_precision):
    """It may also come from `accelerate launch`, which the settings do not know."""
    with pytest.raises(ValueError, match=f"bfloat16 needs training.mixed_precision=no, got {mixed_precision}, which"):
        vocabulary_dtype(settings("bfloat16"), accelerator(mixed_precision=mixed_precision))


def test_training_rounds_products_and_evaluation_does_not(tmp_path):
    rounded = tiny_trainer(tmp_path / "rounded", model={"dropout": 0}, vocabulary_precision="bfloat16")
    exact = tiny_trainer(tmp_path / "exact", model={"dropout": 0})
    exact.model.load_state_dict(rounded.model.state_dict())
    batch = model_inputs(exact.train_set.batch(list(range(8)), exact.train_set.labels))

    def losses(training):
        values = []
        for trainer in (rounded, exact):
            torch.manual_seed(0)
            model = trainer.model.train(training)
            values.append(model(**batch).reconstruction_loss)
        return values

    first, second = losses(training=True)
    assert first != second and first.item() == pytest.approx(second.item(), rel=1e-3)
    first, second = losses(training=False)
    assert torch.equal(first, second)


def test_a_run_in_bfloat16_learns_as_one_in_float32(tmp_path):
    """The same texts, noise and symbols: what is rounded is less than a step of the optimiser changes."""
    values = {
        precision: tiny_trainer(tmp_path / precision, vocabulary_precision=precision).train()["reconstruction_loss"]
        for precision in ("float32", "bfloat16")
    }
    assert values["float32"] != values["bfloat16"]
    assert values["bfloat16"] == pytest.approx(values["float32"], rel=0.01)
