"""Score models of texts on held-out texts: one checkpoint, or a table of the paper, training whatever it lacks.

    python examples/evaluate.py outputs/daily_dialog
    python examples/evaluate.py outputs/yelp --judge outputs/judge --language_model outputs/lm --guidance_scales 1,4,16
    python examples/evaluate.py outputs/mine --text_clusters kmeans_tfidf,kmeans_lsa,density_clusters
    python examples/evaluate.py --config table3 --data_dir data/daily_dialog --seeds 0,1,2
    python examples/evaluate.py --config table7 --data_dir data/yelp --rows ldebm

A checkpoint is scored on the corpus of its training: how well it reconstructs texts, how its symbols agree with the
corpus's classes, how good its answers are in dialogues and, given a judge, how well it writes for a class. All scores
go into `evaluation.json` in its folder (`evaluation.test.json` for the test split; with --set, `-changed` is added).

The rows of a table differ in a few settings of one recipe. Every run is in OUTPUT_DIR/TABLE/row/seed; after an
interruption the same command continues. All rows that are finished are printed, and written to `table.md` and
`table.json`: means and standard deviations over seeds, below the paper's own figures.
"""

import argparse

from ldebm_hf.commands.options import (
    RESAMPLING_HELP,
    SAME_COMMAND,
    code_options,
    experiment_options,
    held_out_options,
    list_of,
    make_parser,
    run_script,
    scoring_options,
)
from ldebm_hf.commands.tables import make_table, read_scoring_options, table_options
from ldebm_hf.experiments.checkpoint_scores import NUM_SAMPLES, CheckpointScoring, score_checkpoint
from ldebm_hf.experiments.experiment_runs import parse_changes
from ldebm_hf.experiments.table_runs import WAYS_TO_CLUSTER
from ldebm_hf.files.packaged import RECIPES


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    shared = scoring_options(), held_out_options(), table_options(), experiment_options("outputs/tables")
    parser = make_parser(__doc__, "(CHECKPOINT | --config TABLE) [options]", *shared, code_options())
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
    options = parser.parse_args(arguments)
    if (options.checkpoint is None) == (options.config is None):
        parser.error("give either a checkpoint or --config")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)

    # 1. A table of the paper: train and score what it lacks, then report.
    if options.config is not None:
        make_table(options.config, RECIPES, options)
        return

    # 2. One checkpoint.
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
    print(score_checkpoint(options.checkpoint, scoring))


if __name__ == "__main__":
    run_script(main, continues=SAME_COMMAND)
