"""A table of the paper from a command line: its options, and what they do."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..experiments.experiment_runs import merge_changes, parse_changes
from ..experiments.paper_tables import PaperTable
from ..experiments.table_experiment import TableExperiment
from ..experiments.table_runs import ScoringOptions
from .options import exit_if_failed, list_of


def table_options() -> ArgumentParser:
    """Return the options of tables alone, for `parents` of a script's parser."""
    parser = ArgumentParser(add_help=False)
    group = parser.add_argument_group("a table")
    group.add_argument("--rows", type=list_of(str), metavar="A,B", help="rows to train (default: all)")
    group.add_argument("--smoke", action="store_true", help="tiny models on 200 texts, in OUTPUT_DIR/smoke")
    return parser


def read_scoring_options(options: Namespace) -> ScoringOptions:
    """Return what scores depend on, from a script's options."""
    return ScoringOptions(options.split, options.judge, options.language_model, options.word_vectors)


def make_table(file: Path, recipes: Path, options: Namespace) -> None:
    """
    Train and score what a table lacks, and print its report.

    Args:
        file (`Path`): YAML file of the table.
        recipes (`Path`): Folder of the recipes.
        options (`Namespace`): From a parser with all options of `options.py` for experiments, and [`table_options`].

    Raises:
        SystemExit: If some of the runs failed; the report has the others.
    """
    changes = parse_changes(options.set)
    if options.data_dir is not None:
        changes = merge_changes(changes, {"data": {"data_dir": options.data_dir}})
    experiment = TableExperiment(
        PaperTable.load(file),
        recipes,
        options.output_dir,
        rows=options.rows,
        seeds=options.seeds,
        changes=changes,
        scoring=read_scoring_options(options),
        guidance_scales=options.guidance_scales,
        num_samples=options.num_samples,
        smoke=options.smoke,
    )
    failures = experiment.train(options.jobs)
    if not options.train_only:
        report = experiment.report()
        print(f"\n{report}" if report else "", end="", flush=True)
    exit_if_failed(failures)
