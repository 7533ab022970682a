"""Classification of a table of texts: a model trained on its labels, and the table with the predicted ones."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from ..data import NO_LABEL, Corpus
from ..files.atomic import write_text
from ..model.modeling_ldebm import LDEBMModel
from ..scores.held_out_texts import naming_scores, read_texts
from ..training import Settings, Trainer, assemble

FEW_STEPS = 100
"""Fewer training steps than these are worth a note."""
DELIMITERS = {".csv": ",", ".tsv": "\t"}
OUTPUT_FORMATS = (*DELIMITERS, ".jsonl")


def train_classifier(settings: Settings) -> Corpus:
    """
    Train a model on texts of which some have labels, and say what it learns from.

    Args:
        settings (`Settings`): All settings of the run, with its output folder.

    Returns:
        `Corpus`: What the model was trained and selected on.
    """
    model, tokenizer, corpus = assemble(settings)
    trainer = Trainer(model, tokenizer, corpus, settings)
    for note in corpus.notes:
        trainer.say(f"note: {note}")
    trainer.say(f"{corpus.train.num_labelled:,} of {len(corpus.train):,} training texts have a label")
    if trainer.total_steps < FEW_STEPS:
        trainer.say(f"note: {trainer.total_steps} steps are few, more --num_train_epochs give better scores")
    trainer.train()
    return corpus


def describe_held_out_scores(model: LDEBMModel, tokenizer: PreTrainedTokenizerBase, corpus: Corpus) -> str:
    """Say how well a model predicts the labels of validation texts; empty if none has a label."""
    labelled = [i for i, label in enumerate(corpus.validation.labels) if label != NO_LABEL]
    held_out = corpus.validation.select(labelled)
    if not len(held_out):
        return ""
    probabilities = read_texts(model, tokenizer, held_out.texts, reconstruct=False).probabilities
    scores = naming_scores(probabilities, model.config.id2label, corpus, held_out)
    if not scores:
        return ""
    return (
        f"{len(held_out):,} held-out texts with a label, by which the model was selected: "
        f"{scores['label_accuracy']:.1%} right, probabilities off by {scores['calibration_error']:.1%} (ECE)"
    )


def write_table(path: Path, columns: dict[str, list[Any]]) -> None:
    """Write columns of equal length into a file, .csv, .tsv or .jsonl, which appears whole or not at all."""
    rows = list(zip(*columns.values(), strict=True))
    if path.suffix == ".jsonl":
        lines = [json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False, default=str) for row in rows]
        write_text(path, "".join(line + "\n" for line in lines))
        return
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=DELIMITERS[path.suffix], lineterminator="\n")
    writer.writerows([list(columns), *rows])
    write_text(path, buffer.getvalue())
