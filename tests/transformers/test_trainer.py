"""transformers' `Trainer` and `Seq2SeqTrainer` train and evaluate the model as any other."""

import pytest
import torch
from datasets import Dataset
from tiny_base_models import llama, pretrained_model
from tiny_models import seeded, tiny_model
from transformers import (
    DataCollatorForSeq2Seq,
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Trainer,
    TrainingArguments,
)
from transformers.integrations.neftune import activate_neftune, deactivate_neftune
from transformers.utils import logging as transformers_logging

from ldebm_hf import LDEBMForSequenceClassification, LDEBMModel, build_tokenizer

TEXTS = ["a b c", "d e", "f g h a", "b c d"] * 2


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(["a b c d e f g h"], max_length=8)


def data(tokenizer, *columns) -> Dataset:
    rows = {"input_ids": tokenizer(TEXTS).input_ids, "text": TEXTS}
    if "class_labels" in columns:
        rows["class_labels"] = [0, 1, 2, -100] * 2
    if "labels" in columns:
        rows["labels"] = [ids[1:] for ids in rows["input_ids"]]
    return Dataset.from_dict(rows)


def arguments(folder, kind=TrainingArguments, **settings):
    fixed = {"max_steps": 4, "per_device_train_batch_size": 4, "report_to": [], "use_cpu": True, "logging_steps": 1}
    return kind(output_dir=str(folder), disable_tqdm=True, **{**fixed, **settings})


@pytest.mark.parametrize("columns", [(), ("class_labels",), ("labels",), ("class_labels", "labels")], ids=str)
def test_loss_is_evaluated_with_and_without_labels(columns, tokenizer, tmp_path):
    model = tiny_model(vocab_size=len(tokenizer))
    collator = DataCollatorForSeq2Seq(tokenizer) if "labels" in columns else DataCollatorWithPadding(tokenizer)
    seen = []
    model.register_forward_pre_hook(
        lambda module, arguments, options: seen.append(options.get("class_labels") is not None), with_kwargs=True
    )
    trainer = Trainer(
        model, arguments(tmp_path), train_dataset=data(tokenizer, *columns), eval_dataset=data(tokenizer, *columns),
        data_collator=collator,
    )  # fmt: skip
    assert trainer.evaluate()["eval_loss"] > 0
    assert set(seen) == {"class_labels" in columns}  # the column is neither lost nor asked for
    trainer.train()
    assert all(torch.isfinite(torch.tensor(log["loss"])) for log in trainer.state.log_history if "loss" in log)


def test_best_model_is_kept_and_training_stops_early(tokenizer, tmp_path):
    settings = {"eval_strategy": "steps", "eval_steps": 1, "save_steps": 1, "load_best_model_at_end": True}
    trainer = Trainer(
        tiny_model(vocab_size=len(tokenizer)),
        arguments(tmp_path, max_steps=12, learning_rate=0.5, **settings),
        train_dataset=data(tokenizer),
        eval_dataset=data(tokenizer),
        data_collator=DataCollatorWithPadding(tokenizer),
        callbacks=[EarlyStoppingCallback(1)],
    )
    trainer.train()
    losses = [log["eval_loss"] for log in trainer.state.log_history if "eval_loss" in log]
    assert trainer.state.best_metric == min(losses) and trainer.state.best_model_checkpoint is not None
    assert trainer.state.global_step < 12


@pytest.mark.parametrize("columns", [(), ("labels",), ("class_labels",), ("class_labels", "labels")], ids=str)
def test_texts_are_generated_in_evaluation(columns, tokenizer, tmp_path):
    model, shapes = tiny_model(vocab_size=len(tokenizer)), []
    trainer = Seq2SeqTrainer(
        model,
        arguments(tmp_path, Seq2SeqTrainingArguments, predict_with_generate=True, generation_max_length=6),
        eval_dataset=data(tokenizer, *columns),
        data_collator=DataCollatorForSeq2Seq(tokenizer) if "labels" in columns else DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        compute_metrics=lambda given: shapes.append(given.predictions.shape) or {"rows": len(given.predictions)},
    )
    predicted = trainer.predict(data(tokenizer, *columns))
    assert len(predicted.predictions) == 8
    assert (predicted.predictions[:, 6:] == tokenizer.pad_token_id).all()  # the trainer pads to more columns
    if "labels" in columns:
        assert predicted.metrics["test_loss"] > 0 and shapes == [predicted.predictions.shape]
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    expected = model.generate(**batch, max_length=6).numpy()
    assert (predicted.predictions[:, : expected.shape[1]] == expected).all(), "reconstructions"


def test_label_smoothing_is_refused_in_training(tokenizer, tmp_path):
    trainer = trainer_of(tokenizer, tmp_path, columns=("labels",), label_smoothing_factor=0.1)
    before = {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}
    with pytest.raises(KeyError, match="label_smoothing_factor of transformers' Trainer is not supported"):
        trainer.train()
    assert all(torch.equal(parameter, before[name]) for name, parameter in trainer.model.named_parameters())


def test_label_smoothing_is_what_it_is_for_any_model_in_evaluation(tokenizer, tmp_path):
    model = tiny_model("rnn_lm", vocab_size=len(tokenizer))  # whose logits have no noise
    trainer = trainer_of(tokenizer, tmp_path, model, columns=("labels",), label_smoothing_factor=0.1)
    found = trainer.evaluate()["eval_loss"]
    batch = trainer.data_collator(list(trainer.eval_dataset))
    labels = batch.pop("labels")
    with torch.no_grad():
        logits = trainer.model(**batch).logits
    options = {"label_smoothing": 0.1, "ignore_index": -100}
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), **options)
    assert found == pytest.approx(expected.item(), rel=1e-4)
    without = trainer_of(tokenizer, tmp_path, model, columns=(), label_smoothing_factor=0.1)
    assert without.evaluate()["eval_loss"] > 2 * found, "nats per text: there are no labels to smooth"


def test_smoothed_classifier_warns_that_it_forgets_how_to_write(tokenizer, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(transformers_logging.get_logger("transformers"), "propagate", True)
    monkeypatch.setattr(transformers_logging.get_logger("ldebm_hf"), "propagate", True)
    model = LDEBMForSequenceClassification(tiny_model(vocab_size=len(tokenizer)).config)
    rows = data(tokenizer, "class_labels").remove_columns("text").rename_column("class_labels", "labels")
    collate = DataCollatorWithPadding(tokenizer)
    smoothed = {"label_smoothing_factor": 0.1, "max_steps": 1}
    for settings, warns in (({"max_steps": 1}, False), (smoothed, True)):
        Trainer(model, arguments(tmp_path, **settings), train_dataset=rows, data_collator=collate).train()
        assert ("makes it forget how to write" in caplog.text) == warns


def test_metrics_see_the_columns_that_label_names_names(tokenizer, tmp_path):
    """Without it none: `Trainer` asks the class, which has a loss without labels, before it sees a batch."""
    for names, columns in ((None, 0), (["class_labels"], 1), (["labels", "class_labels"], 2)):
        trainer = trainer_of(tokenizer, tmp_path, columns=("labels", "class_labels"), label_names=names)
        given = []
        trainer.compute_metrics = lambda found, given=given: given.append(found.label_ids) or {}
        assert trainer.evaluate()["eval_loss"] > 0
        symbols = [0, 1, 2, -100] * 2
        if columns == 0:
            assert given == [()]
        elif columns == 1:
            assert given[0].tolist() == symbols
        else:
            assert given[0][0].shape == (8, 5) and given[0][1].tolist() == symbols


# ------------------------------------------------------------------------------------------- settings of the arguments


def trainer_of(tokenizer, folder, model=None, columns=("class_labels",), **settings) -> Trainer:
    collate = DataCollatorForSeq2Seq(tokenizer) if "labels" in columns else DataCollatorWithPadding(tokenizer)
    rows = data(tokenizer, *columns).remove_columns("text")
    return Trainer(
        tiny_model(vocab_size=len(tokenizer)) if model is None else model,
        arguments(folder, **settings),
        train_dataset=rows,
        eval_dataset=rows,
        data_collator=collate,
        processing_class=tokenizer,
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"bf16": True},
        {"train_sampling_strategy": "group_by_length"},
        {"remove_unused_columns": False},
        {"auto_find_batch_size": True},
        {"gradient_accumulation_steps": 2},
        {"torch_compile": True, "torch_compile_backend": "eager"},
        {"dataloader_num_workers": 1},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_arguments_of_any_training_work(settings, tokenizer, tmp_path):
    trainer = trainer_of(tokenizer, tmp_path, max_steps=2, **settings)
    before = {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}
    trainer.train()
    assert trainer.evaluate()["eval_loss"] > 0
    changed = [
        name for name, parameter in trainer.model.named_parameters() if not torch.equal(parameter, before[name])
    ]
    assert len(changed) > 0.9 * len(before)
    assert all(parameter.isfinite().all() for parameter in trainer.model.parameters())


def test_training_goes_on_as_if_it_had_not_been_interrupted(tokenizer, tmp_path):
    settings = {"save_strategy": "steps", "save_steps": 2, "lr_scheduler_type": "constant"}
    whole = trainer_of(tokenizer, tmp_path / "whole", **settings)
    whole.train()
    trainer_of(tokenizer, tmp_path / "parts", max_steps=2, **settings).train()
    resumed = trainer_of(tokenizer, tmp_path / "parts", **settings)
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.global_step == 4
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_checkpoints_of_the_model_alone_are_models(tokenizer, tmp_path):
    trainer = trainer_of(tokenizer, tmp_path, save_only_model=True, save_strategy="steps", save_steps=4)
    trainer.train()
    assert not (tmp_path / "checkpoint-4" / "optimizer.pt").exists()
    loaded = LDEBMModel.from_pretrained(tmp_path / "checkpoint-4")
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    expected = trainer.model.eval()(**batch, generator=seeded()).loss
    assert torch.equal(loaded(**batch, generator=seeded()).loss, expected)
    assert loaded.classify(TEXTS[0])  # the tokenizer is beside the model


def test_metrics_see_what_was_asked_for(tokenizer, tmp_path):
    given = []
    trainer = trainer_of(tokenizer, tmp_path, columns=("labels",), include_for_metrics=["inputs", "loss"])
    trainer.compute_metrics = lambda found: given.append(found) or {"rows": len(found.losses)}
    assert trainer.evaluate()["eval_rows"] == 8
    found = given[0]
    assert found.inputs.shape[0] == 8 and len(found.losses) == 8
    fields = trainer.model(**tokenizer(TEXTS, padding=True, return_tensors="pt")).keys()
    assert len(found.predictions) == len(fields) - 1, "all fields of the output but the loss"


def test_gradient_checkpointing_is_refused_by_name(tokenizer, tmp_path):
    trainer = trainer_of(tokenizer, tmp_path, gradient_checkpointing=True)
    with pytest.raises(ValueError, match="LDEBMModel does not support (activation|gradient) checkpointing"):
        trainer.train()


NOISY = {
    "encoder": lambda: tiny_model("vae", dropout=0.0),
    "decoder": lambda: tiny_model("rnn_lm", dropout=0.0),
    "language model": lambda: pretrained_model(decoder=llama(), preset="rnn_lm")[0],
}


@pytest.mark.parametrize("part", NOISY)
def test_noise_is_added_to_embeddings_in_training_only(part):
    """NEFTune: the noise changes with every pass in training; in evaluation and without it there is none."""
    model = NOISY[part]()
    ids = torch.tensor([[model.config.bos_token_id, 5, 6, 7], [model.config.bos_token_id, 7, 5, 6]])

    def loss() -> float:
        return model(ids, generator=seeded()).reconstruction_loss.item()

    plain, in_training = loss(), model.train() and loss()
    hook = activate_neftune(model, 50.0)
    torch.manual_seed(0)
    first, second = loss(), loss()
    assert len({first, second, in_training}) == 3
    assert model.eval() and loss() == plain
    deactivate_neftune(model, hook)
    assert model.train() and loss() == in_training


def test_trainer_adds_noise_and_takes_it_away(tokenizer, tmp_path):
    weights = []
    for alpha in (None, 5.0):
        torch.manual_seed(0)
        trainer = trainer_of(tokenizer, tmp_path, neftune_noise_alpha=alpha, max_steps=2)
        trainer.train()
        assert not trainer.model.get_input_embeddings()._forward_hooks
        weights.append(trainer.model.encoder.rnn.weight_hh_l0.detach().clone())
    assert not torch.equal(*weights) and weights[1].isfinite().all()
