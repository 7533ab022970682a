"""A table of the paper from a command line: its options, and what they do."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..experiments.experiment_runs import ExperimentRun, Failures, parse_changes
from ..experiments.paper_tables import PaperTable
from ..experiments.score_tables import Rows
from .options import exit_if_failed, list_of, nothing_but_json, print_json

if TYPE_CHECKING:
    from ..experiments.table_runs import ScoringOptions


def table_options() -> ArgumentParser:
    """Return the options of tables alone, for `parents` of a script's parser."""
    parser = ArgumentParser(add_help=False)
    group = parser.add_argument_group("a table")
    group.add_argument("--rows", type=list_of(str), metavar="A,B", help="rows to train (default: all)")
    group.add_argument(
        "--data_sets",
        type=list_of(str),
        metavar="A,B",
        help="data sets of a table that is made for several (default: all); --data_dir then has a folder for each",
    )
    group.add_argument(
        "--encoder", metavar="MODEL", help="pretrained encoder, folder or Hub id, in place of the table's own"
    )
    group.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="also write the scores with the command, commit, date and settings of every run, as JSON",
    )
    group.add_argument("--smoke", action="store_true", help="tiny models on 200 texts, in OUTPUT_DIR/smoke")
    return parser


def read_scoring_options(options: Namespace) -> ScoringOptions:
    """Return what scores depend on, from a script's options."""
    from ..experiments.table_runs import ScoringOptions

    return ScoringOptions(
        options.split, options.judge, options.language_model, options.word_vectors, options.acceptability_judge
    )


def make_table(table_name: str, recipes: Path, options: Namespace) -> None:
    """
    Train and score what a table lacks, and print its report; for each of its data sets, if it has several. With
    `--json`, print the scores of the report instead, by data set, row and seed.

    Args:
        table_name (`str`): Name of a table of the package, or path of a YAML file.
        recipes (`Path`): Folder of the recipes.
        options (`Namespace`): From a parser with all options of `options.py` for experiments, and [`table_options`].

    Raises:
        ValueError: If a record is to be written of a report that is not.
        SystemExit: If some of the runs failed; the report has the others.
    """
    if options.record is not None and options.train_only:
        raise ValueError(f"--record must be given without --train_only, which reports no scores, got {options.record}")
    plan = PaperTable.load(table_name)
    if options.encoder is not None:
        plan = replace(plan, encoder=options.encoder)
    with nothing_but_json(options):
        failures, scores = _train_and_report(plan, recipes, options)
    if options.json:
        print_json(scores)
    exit_if_failed(failures)


def _train_and_report(
    plan: PaperTable, recipes: Path, options: Namespace
) -> tuple[Failures, dict[str, Rows]]:
    """Why runs failed, and the scores of all that are finished, by data set."""
    # Imported here because `--help` need not wait for them.
    from ..experiments.records import write_record
    from ..experiments.table_experiment import TableExperiment
    from ..experiments.table_report import report_file, write_overview

    failures: Failures = {}
    scores: dict[str, Rows] = {}
    runs: dict[str, list[ExperimentRun]] = {}
    for table in plan.of_data_sets(options.data_sets, options.data_dir):
        experiment = TableExperiment(
            table,
            recipes,
            options.output_dir,
            rows=options.rows,
            seeds=options.seeds,
            changes=parse_changes(options.set),
            scoring=read_scoring_options(options),
            guidance_scales=options.guidance_scales,
            num_samples=options.num_samples,
            smoke=options.smoke,
        )
        of_table = experiment.train(options.jobs)
        if plan.data_sets:
            of_table = {(f"{table.name}, {row}", seed): reason for (row, seed), reason in of_table.items()}
        failures |= of_table
        if not options.train_only:
            report = experiment.report()
            print(f"\n{report}" if report else "", end="", flush=True)
            if report:
                file = report_file(table, experiment.output_dir)
                scores[table.name] = json.loads(file.read_text("utf-8"))
                runs[table.name] = experiment.finished_runs()
    if options.record is not None:
        write_record(options.record, plan.title, scores, runs)
    if not options.train_only:
        overview = write_overview(plan, options.output_dir / "smoke" if options.smoke else options.output_dir)
        print(f"\n{overview}" if overview else "", end="", flush=True)
    return failures, scores
