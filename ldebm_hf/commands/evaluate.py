"""Score models of texts on held-out texts: one checkpoint, or a table of the paper, training whatever it lacks.

    ldebm evaluate outputs/daily_dialog
    ldebm evaluate outputs/yelp --judge outputs/judge --language_model outputs/lm --guidance_scales 1,4,16
    ldebm evaluate outputs/mine --text_clusters kmeans_tfidf,kmeans_lsa,density_clusters
    ldebm evaluate --config table3 --data_dir data/daily_dialog --seeds 0,1,2
    ldebm evaluate --config table7 --data_dir data/yelp --rows ldebm

A checkpoint is scored on the corpus of its training: how well it reconstructs texts, how its symbols agree with the
corpus's classes, how good its answers are in dialogues and, given a judge, how well it writes for a class. All scores
go into `evaluation.json` in its folder (`evaluation.test.json` for the test split; with --set, `-changed` is added).

The rows of a table differ in a few settings of one recipe. Every run is in OUTPUT_DIR/TABLE/row/seed; after an
interruption the same command continues. All rows that are finished are printed, and written to `table.md` and
`table.json`: means and standard deviations over seeds, below the paper's own figures.
"""

from __future__ import annotations

import argparse
import json

from ..baselines.text_clusters import WAYS_TO_CLUSTER
from ..experiments.experiment_runs import parse_changes
from ..files.packaged import RECIPES
from .options import (
    RESAMPLING_HELP,
    SAME_COMMAND,
    code_options,
    experiment_options,
    held_out_options,
    json_options,
    list_of,
    make_parser,
    nothing_but_json,
    print_json,
    run_script,
    scoring_options,
)
from .tables import make_table, read_scoring_options, table_options

CONTINUES = SAME_COMMAND


def main(arguments: list[str] | None = None) -> None:
    evaluate(read_options(build_parser(prog="ldebm evaluate"), arguments))


def build_parser(description: str | None = __doc__, prog: str | None = None) -> argparse.ArgumentParser:
    """The parser of this command."""
    shared = scoring_options(), held_out_options(), table_options(), experiment_options("outputs/tables")
    usage = "(CHECKPOINT | --config TABLE) [options]"
    parser = make_parser(description, usage, *shared, json_options(), code_options(), prog=prog)
    parser.add_argument("checkpoint", nargs="?", help="folder of a trained model")
    parser.add_argument("--config", metavar="TABLE", help="a table of the package, e.g. table3, or a file")
    group = parser.add_argument_group("a checkpoint")
    ways = ", ".join(WAYS_TO_CLUSTER)
    group.add_argument(
        "--text_clusters",
        type=list_of(str),
        default=[],
        metavar="A,B",
        help=f"ways of clustering to compare with: {ways}",
    )
    group.add_argument(
        "--min_label_probability", type=float, metavar="P", help=f"measure control a second time: {RESAMPLING_HELP}"
    )
    return parser


def read_options(parser: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """The options of a command line; those that do not go together end the program."""
    options = parser.parse_args(arguments)
    if (options.checkpoint is None) == (options.config is None):
        parser.error("give either a checkpoint or --config")
    if options.record is not None and options.config is None:
        parser.error(f"--record must be given with --config, got {options.record} with a checkpoint")
    return options


def evaluate(options: argparse.Namespace) -> None:
    """Do what the options of [`build_parser`] ask for."""
    # 1. A table of the paper: train and score what it lacks, then report.
    if options.config is not None:
        make_table(options.config, RECIPES, options)
        return

    # 2. One checkpoint.
    from ..experiments.checkpoint_scores import NUM_SAMPLES, CheckpointScoring, evaluation_file, score_checkpoint

    scoring = CheckpointScoring(
        read_scoring_options(options),
        seed=options.seeds[0],
        data_dir=options.data_dir,
        changes=parse_changes(options.set),
        text_clusters=options.text_clusters,
        guidance_scales=options.guidance_scales or (),
        num_samples=options.num_samples or NUM_SAMPLES,
        min_label_probability=options.min_label_probability,
        trust_remote_code=options.trust_remote_code,
    )
    with nothing_but_json(options):
        print(score_checkpoint(options.checkpoint, scoring))
    if options.json:
        print_json(json.loads(evaluation_file(options.checkpoint, scoring).read_text("utf-8")))


if __name__ == "__main__":
    run_script(main, CONTINUES)
