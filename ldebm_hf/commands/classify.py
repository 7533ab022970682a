"""Predict the labels of raw texts with a trained model; train it first, if there is none yet.

    ldebm classify outputs/agnews --text "Oil prices rise again" "The final ends level"
    ldebm classify outputs/agnews --input_file my.csv --text_column body --output_file named.csv
    ldebm classify outputs/mine --input_file my.csv --text_column body --label_column topic \\
        --output_file named.csv

The third form takes a table in which some rows have a label, trains a model of documents on all of them
(by the recipe documents, or `--config RECIPE`; any other setting of a training may follow), and
predicts the label of every row. After an interruption the same command continues. The output, .csv, .tsv or .jsonl,
has the columns of the input, and `predicted_label` and `predicted_score`. In .csv and .tsv files, a cell that is no
number and begins with =, +, -, @, a tab or a line end gets an apostrophe (') in front, because a spreadsheet may run
it as a formula; .jsonl files keep every cell as it is.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data import Corpus
from ..data.data_files import read_table
from ..data.tables import column_of
from ..files.packaged import RECIPES
from ..training.command_line import load_settings
from .classification import OUTPUT_FORMATS, describe_held_out_scores, texts_to_read, train_classifier, write_table
from .loading import load_pipeline
from .options import (
    SAME_COMMAND,
    code_options,
    json_options,
    make_parser,
    nothing_but_json,
    print_json,
    run_script,
)

if TYPE_CHECKING:
    from ..model.pipeline_ldebm import LDEBMPipeline
    from ..training.assembly import Assembled
    from ..training.settings import Settings

CONTINUES = SAME_COMMAND
Options = tuple[argparse.Namespace, list[str]]
"""The options of this command, and those of a training."""


def main(arguments: list[str] | None = None) -> None:
    classify(*read_options(build_parser(prog="ldebm classify"), arguments))



def build_parser(description: str | None = __doc__, prog: str | None = None) -> argparse.ArgumentParser:
    """The parser of this command."""
    usage = "CHECKPOINT (--text TEXT ... | --input_file FILE --output_file FILE) [options]"
    parser = make_parser(description, usage, json_options(), code_options(), prog=prog, allow_abbrev=False)
    add = parser.add_argument
    add("checkpoint", help="folder of the model, or the folder to train one in")
    add("--text", nargs="+", help="texts to classify")
    add("--input_file", type=Path, metavar="FILE", help="table of texts: .csv, .tsv, .jsonl, .parquet, or .txt")
    add("--text_column", default="text", metavar="NAME", help="column of the texts (default text)")
    add("--label_column", metavar="NAME", help="column of the labels to train on, empty where unknown")
    add("--output_file", type=Path, metavar="FILE", help="the table with predictions: .csv, .tsv or .jsonl")
    add("--encoding", help="encoding of the table, e.g. cp1252 (default: recognised)")
    add("--sheet", metavar="NAME", help="sheet of an Excel file (default: the first)")
    add("--config", metavar="RECIPE", help="recipe to train by (default: the better one of two)")
    add("--encoder_name_or_path", metavar="NAME", help="pretrained encoder to train with: folder or Hub id")
    add("--batch_size", type=int, default=256, metavar="N", help="number of texts read at a time (default 256)")
    return parser


def read_options(parser: argparse.ArgumentParser, arguments: list[str] | None) -> Options:
    """The options of a command line; those that do not go together end the program."""
    options, training_options = parser.parse_known_args(arguments)
    if (options.text is None) == (options.input_file is None):
        parser.error("give either --text or --input_file")
    if (options.input_file is None) != (options.output_file is None):
        parser.error("--input_file and --output_file go together")
    if options.output_file and options.output_file.suffix not in OUTPUT_FORMATS:
        parser.error(f"--output_file must end in .csv, .tsv or .jsonl, got {options.output_file}")
    if options.output_file and not options.output_file.parent.is_dir():
        parser.error(f"--output_file must be in a folder that exists, got {options.output_file}")
    given = ["--label_column"] if options.label_column else []
    given += ["--config"] if options.config else []
    given += ["--encoder_name_or_path"] if options.encoder_name_or_path else []
    if is_model(options.checkpoint) and (unused := [*given, *training_options]):
        parser.error(f"{options.checkpoint} holds a trained model and has no use for {' '.join(unused)}")
    return options, training_options


def classify(options: argparse.Namespace, training_options: list[str]) -> None:
    """Do what the options of [`build_parser`] ask for; `training_options` are settings of a model to train."""
    with nothing_but_json(options):
        # 1. The table, read as training reads it.
        settings = assembled = None
        if not is_model(options.checkpoint):
            settings, assembled = settings_of_training(options, training_options)
        columns = {} if options.input_file is None else columns_of_table(options, settings)

        # 2. A model, trained if need be.
        corpus = None if settings is None else train_classifier(settings, assembled)
        pipe = load_pipeline(options.checkpoint, options.trust_remote_code)
        held_out = describe_held_out(pipe, corpus)

        # 3. Labels for the texts.
        if options.text:
            result = print_labels(pipe, options.text)
        else:
            result = write_labels(pipe, columns, options) | ({"held_out": held_out} if held_out else {})
    if options.json:
        print_json(result)


def columns_of_table(options: argparse.Namespace, settings: Settings | None) -> dict[str, list[Any]]:
    """The columns of the table of texts, by name."""
    notes: list[str] = []
    data = options if settings is None else settings.data  # a recipe may name the encoding, too
    given = {"encoding": data.encoding, "sheet": data.sheet}
    columns = read_table(options.input_file, options.text_column, notes, **given)
    for note in notes if settings is None else []:  # training says its own
        print(f"note: {note}")
    return columns


def describe_held_out(pipe: LDEBMPipeline, corpus: Corpus | None) -> str:
    """Say how good a model is that was trained on a corpus just now; empty for others."""
    described = "" if corpus is None else describe_held_out_scores(pipe.model, pipe.tokenizer, corpus)
    if described:
        print(described)
    return described


def print_labels(pipe: LDEBMPipeline, texts: list[str]) -> list[dict[str, Any]]:
    """Print the likeliest labels of texts; all of them are returned."""
    found = pipe.classify(texts, top_k=None)
    for text, labels in zip(texts, found, strict=True):
        names = ", ".join(f"{symbol['label']} {symbol['score']:.0%}" for symbol in labels[:3])
        print(f"{text}\n    -> {names}")
    return [{"text": text, "labels": labels} for text, labels in zip(texts, found, strict=True)]


def write_labels(
    pipe: LDEBMPipeline, columns: dict[str, list[Any]], options: argparse.Namespace
) -> dict[str, Any]:
    """Write the table with the predicted labels; returns how many texts have which."""
    origin = str(options.input_file)
    values = column_of(columns, options.text_column, "text_column", origin)
    texts, note = texts_to_read(values, options.text_column, origin)
    if note:
        print(f"note: {note}")
    found = pipe.classify(texts, batch_size=options.batch_size, show_progress=True)
    columns = columns | {f"predicted_{name}": [symbol[name] for symbol in found] for name in ("label", "score")}
    write_table(options.output_file, columns)
    print(f"{len(texts):,} texts with their predicted labels are in {options.output_file}")
    counts = Counter(symbol["label"] for symbol in found)
    return {"texts": len(texts), "output_file": str(options.output_file), "labels": dict(counts.most_common())}


def settings_of_training(
    options: argparse.Namespace, training_options: list[str]
) -> tuple[Settings, Assembled | None]:
    """
    The settings of a model that is trained on the table, in the folder of the checkpoint; and what is assembled from
    them, if that was done to choose them.
    """
    if options.input_file is None or options.label_column is None:
        raise FileNotFoundError(
            f"no model in {options.checkpoint!r} (checkpoint); to train one there give --input_file and "
            "--label_column (without labels: ldebm train --config topics)"
        )
    table_options = ["--data", str(options.input_file), "--text_column", options.text_column]
    table_options += ["--label_column", options.label_column, "--output_dir", options.checkpoint, "--resume", "latest"]
    if options.trust_remote_code:
        table_options += ["--trust_remote_code", "true"]
    for name in ("encoding", "sheet"):
        if getattr(options, name) is not None:
            table_options += [f"--{name}", getattr(options, name)]
    if options.config is None:
        from .recipe_choice import choose_recipe  # which imports the training

        choice = choose_recipe(RECIPES, [*table_options, *training_options], options.encoder_name_or_path)
        print(choice.reason)
        return choice.settings, choice.assembled
    if options.encoder_name_or_path is not None:
        table_options += ["--encoder_name_or_path", options.encoder_name_or_path]
    return load_settings(["--config", options.config, *table_options, *training_options]), None


def is_model(checkpoint: str) -> bool:
    return Path(checkpoint, "config.json").is_file()


if __name__ == "__main__":
    run_script(main, CONTINUES)
