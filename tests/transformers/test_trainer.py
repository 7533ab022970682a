"""transformers' `Trainer` and `Seq2SeqTrainer` train and evaluate the model as any other."""

import pytest
import torch
from datasets import Dataset
from tiny_models import tiny_model
from transformers import (
    DataCollatorForSeq2Seq,
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Trainer,
    TrainingArguments,
)

from ldebm_hf import build_tokenizer

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


@pytest.mark.parametrize("columns", [(), ("labels",)], ids=str)
def test_texts_are_generated_in_evaluation(columns, tokenizer, tmp_path):
    model, shapes = tiny_model(vocab_size=len(tokenizer)), []
    trainer = Seq2SeqTrainer(
        model,
        arguments(tmp_path, Seq2SeqTrainingArguments, predict_with_generate=True, generation_max_length=6),
        eval_dataset=data(tokenizer, *columns),
        data_collator=DataCollatorForSeq2Seq(tokenizer) if columns else DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        compute_metrics=lambda given: shapes.append(given.predictions.shape) or {"rows": len(given.predictions)},
    )
    predicted = trainer.predict(data(tokenizer, *columns))
    assert len(predicted.predictions) == 8
    assert (predicted.predictions[:, 6:] == tokenizer.pad_token_id).all()  # the trainer pads to more columns
    if columns:
        assert predicted.metrics["test_loss"] > 0 and shapes == [predicted.predictions.shape]


def test_label_smoothing_is_refused(tokenizer, tmp_path):
    trainer = Trainer(
        tiny_model(vocab_size=len(tokenizer)),
        arguments(tmp_path, label_smoothing_factor=0.1),
        train_dataset=data(tokenizer, "labels"),
        data_collator=DataCollatorForSeq2Seq(tokenizer),
    )
    with pytest.raises(KeyError, match="Label smoothing of transformers' Trainer is not supported"):
        trainer.train()
