"""Explain what a model's symbols stand for: a table here, and a report to look at (report.html, report.json).

    ldebm explain outputs/demo                                        # on the corpus it was trained on
    ldebm explain outputs/mine --data my.csv                          # likewise, if that is a file
    ldebm explain outputs/demo --names 3="refund request" 5=weather   # or --names names.json, saved by the report
    ldebm explain outputs/demo --merge 0 3 --merge 5 weather          # one symbol of each group
    ldebm explain outputs/news --auto_names                           # names made of each symbol's words
    ldebm explain someone/model --data my.csv --text_column body --attribute_columns topic,author

For each symbol the report has its share of the texts, its most distinctive words, the texts that the model is surest
about, texts that it writes for the symbol, and a suggested name. A model of documents writes words, which are scored
beside the topics of LDA. Labels and attributes of the texts are shown too; nothing is learned from them. Names that
are given and symbols that are merged go into the checkpoint's config.json, and from then on
`generate(class_labels="refund request")` takes them.
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..model.modalities import MODALITIES
from .options import (
    GUIDANCE_HELP,
    RESAMPLING_HELP,
    add_checkpoint,
    code_options,
    data_options,
    json_options,
    list_of,
    make_parser,
    nothing_but_json,
    positive_integer,
    print_json,
    run_script,
    seed_options,
)

if TYPE_CHECKING:
    from ..experiments.checkpoint_explanation import CheckpointExplanation, ExplanationSettings

CONTINUES = None


def main(arguments: list[str] | None = None) -> None:
    explain(read_options(build_parser(prog="ldebm explain"), arguments))


def build_parser(description: str | None = __doc__, prog: str | None = None) -> argparse.ArgumentParser:
    """The parser of this command."""
    shared = data_options(), seed_options(), json_options(), code_options()
    parser = make_parser(description, "CHECKPOINT [options]", *shared, prog=prog)
    add_checkpoint(parser)
    add = parser.add_argument
    add(
        "--data",
        help="source of the texts, as in training (default: what the model was trained on; if that is a "
        "file, it is read only if it is named here)",
    )
    add("--validation_file", metavar="FILE", help="the file of validation texts, likewise")
    add("--attribute_columns", type=list_of(str), metavar="A,B", help="columns of further classes")
    add("--split", choices=("train", "validation", "all"), help="texts to read (default: train, of other data all)")
    add(
        "--max_texts",
        type=positive_integer,
        default=20000,
        metavar="N",
        help="read N texts drawn at random if there are more (default 20000)",
    )
    add("--num_words", type=int, default=10, metavar="N", help="number of words shown per symbol (default 10)")
    add("--num_texts", type=int, default=5, metavar="N", help="number of closest texts shown per symbol (default 5)")
    add(
        "--num_samples",
        type=int,
        metavar="N",
        help="number of texts to write per symbol (default 5; models of documents write 10 words)",
    )
    add("--guidance_scale", type=float, metavar="SCALE", help=GUIDANCE_HELP)
    add("--min_label_probability", type=float, metavar="P", help=RESAMPLING_HELP)
    add(
        "--no_texts",
        action="store_true",
        help="leave the texts of the data out of the report, so that it can be shared",
    )
    add("--words", choices=("log_odds", "ctfidf"), default="log_odds", help="how words are scored (default log_odds)")
    add(
        "--projection",
        choices=("pca", "umap"),
        default="pca",
        help="projection for the map (default pca; umap needs umap-learn)",
    )
    add(
        "--names",
        nargs="+",
        metavar="SYMBOL=NAME",
        help="new names of symbols, or the JSON file that the report saves, which may also merge symbols",
    )
    add(
        "--merge",
        nargs="+",
        action="append",
        metavar="SYMBOL",
        help="make one symbol of these, given by id or name; give it once for each group (ids and --names are those "
        "before)",
    )
    add("--auto_names", action="store_true", help="give symbols without a name the suggested one")
    add(
        "--output",
        metavar="FILE",
        help="the report (default: report.html in the checkpoint; for a checkpoint on the Hub, here)",
    )
    add("--batch_size", type=int, default=256, metavar="N", help="number of texts read at a time (default 256)")
    return parser


def read_options(parser: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """The options of a command line; those that do not go together end the program."""
    options = parser.parse_args(arguments)
    if (options.names or options.merge or options.auto_names) and not Path(options.checkpoint).is_dir():
        parser.error("--names, --merge and --auto_names write into the checkpoint, which must be a folder")
    if alone := next((group for group in options.merge or [] if len(group) < 2), None):
        parser.error(f"--merge needs two or more symbols, got {alone[0]!r} alone")
    if options.output and not options.output.endswith(".html"):
        parser.error(f"--output must end in .html, got {options.output!r}")
    return options


def explain(options: argparse.Namespace) -> None:
    """Do what the options of [`build_parser`] ask for."""
    from ..experiments.checkpoint_explanation import explain_checkpoint  # for which `--help` need not wait

    with nothing_but_json(options):
        explained = explain_checkpoint(options.checkpoint, settings_of_report(options))
        print(explained.describe())
        print_next(explained, options)
    if options.json:
        print_json(summary_of(explained))


def settings_of_report(options: argparse.Namespace) -> ExplanationSettings:
    """Which texts to read, and what to show."""
    from ..experiments.checkpoint_explanation import ExplanationSettings

    return ExplanationSettings(**{field.name: getattr(options, field.name) for field in fields(ExplanationSettings)})


def summary_of(explained: CheckpointExplanation) -> dict[str, Any]:
    """The table of the symbols for other programs; `report.json` has more."""
    names = ("id", "name", "suggested_name", "num_texts", "share", "confidence", "generated")
    symbols = [
        {name: getattr(symbol, name) for name in names} | {"words": [item.word for item in symbol.words]}
        for symbol in explained.explanation.symbols
    ]
    return {"symbols": symbols, "files": [str(file) for file in explained.files]}


def print_next(explained: CheckpointExplanation, options: argparse.Namespace) -> None:
    """Print where the report is, and what to try next."""
    print(f"\nWrote {explained.files[0]} and {explained.files[1]}. Next:")
    if not (options.names or options.merge or options.auto_names) and Path(options.checkpoint).is_dir():
        print(f"  ldebm explain {options.checkpoint} --names 0='a name of yours'   # or --auto_names")
    print(f"  ldebm {next_command(options.checkpoint, explained)}")


def next_command(checkpoint: str, explained: CheckpointExplanation) -> str:
    """What uses the symbols of the model."""
    if MODALITIES[explained.explanation.modality].is_bag_of_words:
        return f'classify {checkpoint} --text "a text of your own"'
    largest = max(explained.explanation.symbols, key=lambda symbol: symbol.num_texts)
    command = "respond" if explained.answers_dialogues else "write"
    return f"{command} {checkpoint} --class_labels {largest.name!r} --num_samples 10"


if __name__ == "__main__":
    run_script(main, CONTINUES)
