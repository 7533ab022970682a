"""Explain what a model's symbols stand for: a table here, and a report to look at (report.html, report.json).

    python examples/explain.py outputs/demo                                        # on the corpus it was trained on
    python examples/explain.py outputs/mine --data my.csv                          # likewise, if that is a file
    python examples/explain.py outputs/demo --names 3="refund request" 5=weather   # or --names names.json
    python examples/explain.py outputs/news --auto_names                           # names made of each symbol's words
    python examples/explain.py someone/model --data my.csv --text_column body --attribute_columns topic,author

For each symbol the report has its share of the texts, its most distinctive words, the texts that the model is surest
about, texts that it writes for the symbol, and a suggested name. A model of documents writes words, which are scored
beside the topics of LDA. Labels and attributes of the texts are shown too; nothing is learned from them. Names that
are given go into the checkpoint's config.json, and from then on `generate(class_labels="refund request")` takes them.

`ldebm explain` does the same.
"""

from ldebm_hf.commands.explain import build_parser, explain, read_options
from ldebm_hf.commands.options import run_script


def main(arguments: list[str] | None = None) -> None:
    # 1. Which texts to read, and what to show.
    options = read_options(build_parser(__doc__), arguments)

    # 2. `explain_checkpoint` reads them, writes for every symbol, and writes the report; then its table, and what to
    #    try next.
    explain(options)


if __name__ == "__main__":
    run_script(main)
