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

`ldebm evaluate` does the same.
"""

from ldebm_hf.commands.evaluate import CONTINUES, build_parser, evaluate, read_options
from ldebm_hf.commands.options import run_script


def main(arguments: list[str] | None = None) -> None:
    # 1. The options.
    options = read_options(build_parser(__doc__), arguments)

    # 2. One checkpoint is scored by `score_checkpoint`. A table is a `PaperTable`, and a `TableExperiment` trains what
    #    it lacks and reports it.
    evaluate(options)


if __name__ == "__main__":
    run_script(main, CONTINUES)
