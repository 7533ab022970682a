"""Predict the labels of raw texts with a trained model; train it first, if there is none yet.

    python examples/classify.py outputs/agnews --text "Oil prices rise again" "The final ends level"
    python examples/classify.py outputs/agnews --input_file my.csv --text_column body --output_file named.csv
    python examples/classify.py outputs/mine --input_file my.csv --text_column body --label_column topic \\
        --output_file named.csv

The third form takes a table in which some rows have a label, trains a model of documents on all of them
(by the recipe documents, or `--config RECIPE`; any other setting of examples/train.py may follow), and
predicts the label of every row. After an interruption the same command continues. The output, .csv, .tsv or .jsonl,
has the columns of the input, and `predicted_label` and `predicted_score`. In .csv and .tsv files, a cell that is no
number and begins with =, +, -, @, a tab or a line end gets an apostrophe (') in front, because a spreadsheet may run
it as a formula; .jsonl files keep every cell as it is.
"""

import argparse
from pathlib import Path

from ldebm_hf import LDEBMPipeline
from ldebm_hf.commands.classification import (
    OUTPUT_FORMATS,
    describe_held_out_scores,
    texts_to_read,
    train_classifier,
    write_table,
)
from ldebm_hf.commands.options import SAME_COMMAND, code_options, make_parser, run_script
from ldebm_hf.commands.recipe_choice import choose_recipe
from ldebm_hf.data.data_files import read_table
from ldebm_hf.data.tables import column_of
from ldebm_hf.files.packaged import RECIPES
from ldebm_hf.training import Settings, load_settings
from ldebm_hf.training.assembly import Assembled


def parse_arguments(arguments: list[str] | None) -> tuple[argparse.Namespace, list[str]]:
    usage = "CHECKPOINT (--text TEXT ... | --input_file FILE --output_file FILE) [options]"
    parser = make_parser(__doc__, usage, code_options(), allow_abbrev=False)
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


def main(arguments: list[str] | None = None) -> None:
    options, training_options = parse_arguments(arguments)
    # 1. The table, read as training reads it.
    settings = assembled = None
    if not is_model(options.checkpoint):
        settings, assembled = settings_of_training(options, training_options)
    columns = {}
    if options.input_file:
        notes: list[str] = []
        data = options if settings is None else settings.data  # a recipe may name the encoding, too
        given = {"encoding": data.encoding, "sheet": data.sheet}
        columns = read_table(options.input_file, options.text_column, notes, **given)
        for note in notes if settings is None else []:  # training says its own
            print(f"note: {note}")

    # 2. A model, trained if need be.
    corpus = None if settings is None else train_classifier(settings, assembled)
    pipe = LDEBMPipeline.from_pretrained(options.checkpoint, trust_remote_code=options.trust_remote_code)
    if corpus is not None and (described := describe_held_out_scores(pipe.model, pipe.tokenizer, corpus)):
        print(described)

    # 3. Labels for the texts.
    if options.text:
        for text, found in zip(options.text, pipe.classify(options.text, top_k=None), strict=True):
            names = ", ".join(f"{symbol['label']} {symbol['score']:.0%}" for symbol in found[:3])
            print(f"{text}\n    -> {names}")
        return
    origin = str(options.input_file)
    values = column_of(columns, options.text_column, "text_column", origin)
    texts, note = texts_to_read(values, options.text_column, origin)
    if note:
        print(f"note: {note}")
    found = pipe.classify(texts, batch_size=options.batch_size, show_progress=True)
    columns |= {f"predicted_{name}": [symbol[name] for symbol in found] for name in ("label", "score")}
    write_table(options.output_file, columns)
    print(f"{len(texts):,} texts with their predicted labels are in {options.output_file}")


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
            "--label_column (without labels: examples/train.py --config topics)"
        )
    table_options = ["--data", str(options.input_file), "--text_column", options.text_column]
    table_options += ["--label_column", options.label_column, "--output_dir", options.checkpoint, "--resume", "latest"]
    if options.trust_remote_code:
        table_options += ["--trust_remote_code", "true"]
    for name in ("encoding", "sheet"):
        if getattr(options, name) is not None:
            table_options += [f"--{name}", getattr(options, name)]
    if options.config is None:
        choice = choose_recipe(RECIPES, [*table_options, *training_options], options.encoder_name_or_path)
        print(choice.reason)
        return choice.settings, choice.assembled
    if options.encoder_name_or_path is not None:
        table_options += ["--encoder_name_or_path", options.encoder_name_or_path]
    return load_settings(["--config", options.config, *table_options, *training_options]), None


def is_model(checkpoint: str) -> bool:
    return Path(checkpoint, "config.json").is_file()


if __name__ == "__main__":
    run_script(main, continues=SAME_COMMAND)
