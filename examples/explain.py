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
"""

import argparse
from dataclasses import fields
from pathlib import Path

from ldebm_hf.commands.options import (
    GUIDANCE_HELP,
    RESAMPLING_HELP,
    code_options,
    data_options,
    list_of,
    make_parser,
    positive_integer,
    run_script,
    seed_options,
)
from ldebm_hf.experiments.checkpoint_explanation import (
    CheckpointExplanation,
    ExplanationSettings,
    explain_checkpoint,
)
from ldebm_hf.model.modalities import MODALITIES


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__, "CHECKPOINT [options]", data_options(), seed_options(), code_options())
    add = parser.add_argument
    add("checkpoint", help="folder or Hub id")
    add(
        "--data",
        help="source of the texts, as in examples/train.py (default: what the model was trained on; if that is a "
        "file, it is read only if it is named here)",
    )
    add("--validation_file", metavar="FILE", help="the file of validation texts, likewise")
    add("--attribute_columns", type=list_of(str), metavar="A,B", help="columns of further classes")
    add("--split", choices=("train", "validation", "all"), help="texts to read (default: train, of other data all)")
    add(
        "--max_texts",
        type=positive_integer,
        default=20000,
        metavar="N",
        help="read N texts drawn at random if there are more (default 20000)",
    )
    add("--num_words", type=int, default=10, metavar="N", help="number of words shown per symbol (default 10)")
    add("--num_texts", type=int, default=5, metavar="N", help="number of closest texts shown per symbol (default 5)")
    add(
        "--num_samples",
        type=int,
        metavar="N",
        help="number of texts to write per symbol (default 5; models of documents write 10 words)",
    )
    add("--guidance_scale", type=float, metavar="SCALE", help=GUIDANCE_HELP)
    add("--min_label_probability", type=float, metavar="P", help=RESAMPLING_HELP)
    add(
        "--no_texts",
        action="store_true",
        help="leave the texts of the data out of the report, so that it can be shared",
    )
    add("--words", choices=("log_odds", "ctfidf"), default="log_odds", help="how words are scored (default log_odds)")
    add(
        "--projection",
        choices=("pca", "umap"),
        default="pca",
        help="projection for the map (default pca; umap needs umap-learn)",
    )
    add("--names", nargs="+", metavar="SYMBOL=NAME", help="new names of symbols, or a JSON file of them")
    add("--auto_names", action="store_true", help="give symbols without a name the suggested one")
    add(
        "--output",
        metavar="FILE",
        help="the report (default: report.html in the checkpoint; for a checkpoint on the Hub, here)",
    )
    add("--batch_size", type=int, default=256, metavar="N", help="number of texts read at a time (default 256)")
    options = parser.parse_args(arguments)
    if (options.names or options.auto_names) and not Path(options.checkpoint).is_dir():
        parser.error("--names and --auto_names write into the checkpoint, which must be a folder")
    if options.output and not options.output.endswith(".html"):
        parser.error(f"--output must end in .html, got {options.output!r}")
    return options


def main(arguments: list[str] | None = None) -> None:
    # 1. Which texts to read, and what to show.
    options = parse_arguments(arguments)
    names = [field.name for field in fields(ExplanationSettings)]
    settings = ExplanationSettings(**{name: getattr(options, name) for name in names})

    # 2. Read them, write for every symbol, and write the report.
    explained = explain_checkpoint(options.checkpoint, settings)
    print(explained.describe())

    # 3. Where the report is, and what to try next.
    print(f"\nWrote {explained.files[0]} and {explained.files[1]}. Next:")
    if not options.names and not options.auto_names and Path(options.checkpoint).is_dir():
        print(f"  python examples/explain.py {options.checkpoint} --names 0='a name of yours'   # or --auto_names")
    print(f"  python examples/{next_command(options.checkpoint, explained)}")


def next_command(checkpoint: str, explained: CheckpointExplanation) -> str:
    """What uses the symbols of the model."""
    if MODALITIES[explained.explanation.modality].is_bag_of_words:
        return f'classify.py {checkpoint} --text "a text of your own"'
    largest = max(explained.explanation.symbols, key=lambda symbol: symbol.num_texts)
    script = "respond.py" if explained.answers_dialogues else "generate.py"
    return f"{script} {checkpoint} --class_labels {largest.name!r} --num_samples 10"


if __name__ == "__main__":
    run_script(main)
