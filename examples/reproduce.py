"""Reproduce a table of the paper by its name, training whatever it lacks.

    python examples/reproduce.py table4_smd --data_dir data/smd --seeds 0,1,2
    python examples/reproduce.py table7 --data_dir data/yelp --rows ldebm
    python examples/reproduce.py table3 --data_dir data/daily_dialog --smoke      # tiny models, in minutes
    python examples/reproduce.py pretrained_symbols --data_dir data     # not of the paper: for four data sets

This is examples/evaluate.py --config with the name of that table; evaluate.py --help says more about it.
"""

from ldebm_hf.commands.options import (
    SAME_COMMAND,
    experiment_options,
    held_out_options,
    make_parser,
    run_script,
    scoring_options,
)
from ldebm_hf.commands.tables import make_table, table_options
from ldebm_hf.files.packaged import RECIPES, TABLES, packaged_names


def main(arguments: list[str] | None = None) -> None:
    shared = scoring_options(), held_out_options(), table_options(), experiment_options("outputs/tables")
    parser = make_parser(__doc__, "TABLE [options]", *shared)
    names = packaged_names(TABLES)
    parser.add_argument("table", choices=names, metavar="TABLE", help=f"one of {', '.join(names)}")
    options = parser.parse_args(arguments)
    make_table(options.table, RECIPES, options)


if __name__ == "__main__":
    run_script(main, continues=SAME_COMMAND)
