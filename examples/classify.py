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

`ldebm classify` does the same.
"""

from ldebm_hf.commands.classify import CONTINUES, build_parser, classify, read_options
from ldebm_hf.commands.options import run_script


def main(arguments: list[str] | None = None) -> None:
    # 1. The options of this script, and settings of a training, which may follow.
    options, training_options = read_options(build_parser(__doc__), arguments)

    # 2. If there is no model yet, one is trained on the rows that have a label (`recipe_choice.choose_recipe` says by
    #    which recipe); then `LDEBMPipeline.classify` reads all texts.
    classify(options, training_options)


if __name__ == "__main__":
    run_script(main, CONTINUES)
