"""Reproduce a table of the paper by its name, training whatever it lacks.

    python examples/reproduce.py table4_smd --data_dir data/smd --seeds 0,1,2
    python examples/reproduce.py table7 --data_dir data/yelp --rows ldebm
    python examples/reproduce.py table3 --data_dir data/daily_dialog --smoke      # tiny models, in minutes
    python examples/reproduce.py pretrained_symbols --data_dir data     # not of the paper: for four data sets

This is examples/evaluate.py --config with the name of that table; evaluate.py --help says more about it.

`ldebm reproduce` does the same.
"""

from ldebm_hf.commands.options import run_script
from ldebm_hf.commands.reproduce import CONTINUES, build_parser, reproduce


def main(arguments: list[str] | None = None) -> None:
    # 1. Which table, which rows and seeds of it.
    options = build_parser(__doc__).parse_args(arguments)

    # 2. A `TableExperiment` trains and scores what is missing, and writes table.md and table.json.
    reproduce(options)


if __name__ == "__main__":
    run_script(main, CONTINUES)
