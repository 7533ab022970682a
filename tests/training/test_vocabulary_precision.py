from types import SimpleNamespace

import pytest
import torch
from tiny_runs import tiny_trainer

from ldebm_hf.training import Settings, load_settings
from ldebm_hf.training import vocabulary_precision as module
from ldebm_hf.training.batches import model_inputs
from ldebm_hf.training.vocabulary_precision import bfloat16_is_faster, vocabulary_dtype

PUBLISHED = ["ptb_published", "ptb_as_printed", "yelp_published", "agnews_published", "daily_dialog_published"]


def accelerator(device="cpu", mixed_precision="no"):
    return SimpleNamespace(device=torch.device(device), mixed_precision=mixed_precision)


def settings(precision, **model):
    return Settings.from_dict({"model": model, "training": {"vocabulary_precision": precision}})


@pytest.fixture
def fast_bfloat16(monkeypatch):
    monkeypatch.setattr(module, "bfloat16_is_faster", lambda: True)


@pytest.mark.parametrize(
    ("model", "device", "mixed_precision", "expected"),
    [
        ({}, "cpu", "no", torch.bfloat16),
        ({"preset": "vae"}, "cpu", "no", torch.bfloat16),
        ({"preset": "published"}, "cpu", "no", None),
        ({}, "cuda", "no", None),
        ({}, "cpu", "bf16", None),
        ({"modality": "document"}, "cpu", "no", None),
        ({"modality": "point"}, "cpu", "no", None),
        ({"decoder": "pretrained"}, "cpu", "no", None),
    ],
)
def test_auto_is_bfloat16_where_it_helps(fast_bfloat16, model, device, mixed_precision, expected):
    assert vocabulary_dtype(settings("auto", **model), accelerator(device, mixed_precision)) is expected
    assert vocabulary_dtype(settings("float32", **model), accelerator(device, mixed_precision)) is None


def test_auto_is_float32_where_bfloat16_is_no_faster(monkeypatch):
    monkeypatch.setattr(module, "bfloat16_is_faster", lambda: False)
    assert vocabulary_dtype(settings("auto"), accelerator()) is None
    assert vocabulary_dtype(settings("bfloat16"), accelerator()) is torch.bfloat16


@pytest.mark.parametrize(("in_float32", "expected"), [(3.0, True), (1.0, False), (0.1, False)])
def test_bfloat16_is_faster_if_it_takes_less_time(monkeypatch, in_float32, expected):
    seconds = iter([in_float32, 1.0])
    monkeypatch.setattr(module, "least_seconds", lambda call: call() is not None and next(seconds))
    assert bfloat16_is_faster.__wrapped__() is expected


@pytest.mark.parametrize("recipe", PUBLISHED)
@pytest.mark.parametrize("precision", [[], ["--vocabulary_precision", "auto"]])
def test_published_recipes_train_in_float32(fast_bfloat16, recipe, precision):
    assert vocabulary_dtype(load_settings(["--config", recipe, *precision]), accelerator()) is None


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
