"""Classification of a table of texts: a model trained on its labels, and the table with the predicted ones."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedTokenizerBase

from ..data import NO_LABEL, Corpus
from ..data.cleaning import printable
from ..data.tables import require_text
from ..files.atomic import write_text
from ..scores.held_out_texts import naming_scores, read_texts

if TYPE_CHECKING:
    from ..model.modeling_ldebm import LDEBMModel
    from ..training.assembly import Assembled
    from ..training.settings import Settings

FEW_STEPS = 100
"""Fewer training steps than these are worth a note."""
DELIMITERS = {".csv": ",", ".tsv": "\t"}
OUTPUT_FORMATS = (*DELIMITERS, ".jsonl")
FORMULA = re.compile("[=+\\-@\t\r\n]")
"""How a cell begins that a spreadsheet may run as a formula."""
NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)*|[.,]\d+)([eE][+-]?\d+)?\s*%?")
"""Cells that are numbers, which begin like a formula if they have a sign."""
SURROGATE = re.compile("[\ud800-\udfff]")
FEW_ROWS = 5


def train_classifier(settings: Settings, assembled: Assembled | None = None) -> Corpus:
    """
    Train a model on texts of which some have labels, and say what it learns from.

    Args:
        settings (`Settings`): All settings of the run, with its output folder.
        assembled (*optional*): What `assemble(settings)` returned, if that was done already.

    Returns:
        `Corpus`: What the model was trained and selected on.
    """
    from ..training import Trainer, assemble  # for which `--help` need not wait

    model, tokenizer, corpus = assemble(settings) if assembled is None else assembled
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


def texts_to_read(values: Sequence[Any], column: str, origin: str) -> tuple[list[str], str]:
    """
    The texts of a column as training reads them: without control characters and broken Unicode.

    Args:
        values (`Sequence`): The cells of the column; `None` is an empty text.
        column (`str`), origin (`str`): The names of the column and of its file, for messages.

    Returns:
        `list[str]` of the texts, and a sentence that names the rows in which something was left out; empty if there
        are none.

    Raises:
        ValueError: A cell is not a text.
    """
    cells = [require_text(value, column, origin) or "" for value in values]
    texts = [printable(cell) for cell in cells]
    rows = [row for row, (cell, text) in enumerate(zip(cells, texts, strict=True), start=1) if cell != text]
    if not rows:
        return texts, ""
    named = ", ".join(map(str, rows[:FEW_ROWS])) + (f" and {len(rows) - FEW_ROWS} more" if rows[FEW_ROWS:] else "")
    return texts, f"{origin}: control characters or broken Unicode are not read in row {named} (the first is row 1)"


def write_table(path: Path, columns: dict[str, list[Any]]) -> None:
    """
    Write columns of equal length into a file, .csv, .tsv or .jsonl, which appears whole or not at all.

    In .csv and .tsv files, a cell that a spreadsheet may run as a formula gets an apostrophe in front, and what cannot
    be written as UTF-8 is written as U+FFFD. In .jsonl files all values stay as they are.
    """
    rows = list(zip(*columns.values(), strict=True))
    if path.suffix == ".jsonl":
        write_text(path, "".join(_json_line(dict(zip(columns, row, strict=True))) + "\n" for row in rows))
        return
    write_text(path, "".join(_line(row, DELIMITERS[path.suffix]) for row in [list(columns), *rows]))


def _line(row: Sequence[Any], delimiter: str) -> str:
    """The cells of a row as a line of a table."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n")  # so that cells with \r are quoted too
    writer.writerow([_spreadsheet_cell(value) for value in row])
    return buffer.getvalue().removesuffix("\r\n") + "\n"


def _json_line(record: dict[str, Any]) -> str:
    line = json.dumps(record, ensure_ascii=False, default=str)
    return json.dumps(record, default=str) if SURROGATE.search(line) else line


def _spreadsheet_cell(value: Any) -> Any:
    """A value as a spreadsheet can show it without running it."""
    if not isinstance(value, str):
        return value
    text = SURROGATE.sub("\ufffd", value)
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text
