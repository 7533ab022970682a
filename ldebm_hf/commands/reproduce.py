"""Reproduce a table of the paper by its name, training whatever it lacks.

    ldebm reproduce table4_smd --data_dir data/smd --seeds 0,1,2
    ldebm reproduce table7 --data_dir data/yelp --rows ldebm
    ldebm reproduce table3 --data_dir data/daily_dialog --smoke      # tiny models, in minutes
    ldebm reproduce pretrained_symbols --data_dir data     # not of the paper: for four data sets

This is `ldebm evaluate --config` with the name of that table; `ldebm evaluate --help` says more about it.
"""

from __future__ import annotations

import argparse

from ..files.packaged import RECIPES, TABLES, packaged_names
from .options import (
    SAME_COMMAND,
    experiment_options,
    held_out_options,
    json_options,
    make_parser,
    run_script,
    scoring_options,
)
from .tables import make_table, table_options

CONTINUES = SAME_COMMAND


def main(arguments: list[str] | None = None) -> None:
    reproduce(build_parser(prog="ldebm reproduce").parse_args(arguments))


def build_parser(description: str | None = __doc__, prog: str | None = None) -> argparse.ArgumentParser:
    """The parser of this command."""
    shared = scoring_options(), held_out_options(), table_options(), experiment_options("outputs/tables")
    parser = make_parser(description, "TABLE [options]", *shared, json_options(), prog=prog)
    names = packaged_names(TABLES)
    parser.add_argument("table", choices=names, metavar="TABLE", help=f"one of {', '.join(names)}")
    return parser


def reproduce(options: argparse.Namespace) -> None:
    """Do what the options of [`build_parser`] ask for."""
    make_table(options.table, RECIPES, options)


if __name__ == "__main__":
    run_script(main, CONTINUES)
