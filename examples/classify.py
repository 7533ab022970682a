"""Name the symbols of raw texts with a trained model; train it first, if there is none yet.

    python examples/classify.py outputs/agnews --text "Oil prices rise again" "The final ends level"
    python examples/classify.py outputs/agnews --input_file my.csv --text_column body --output_file named.csv
    python examples/classify.py outputs/mine --input_file my.csv --text_column body --label_column topic \\
        --output_file named.csv

The third form takes a table in which some rows have a label, trains a model of documents on all of them
(examples/recipes/documents.yaml, or `--config RECIPE`; any other setting of examples/train.py may follow), and names
every row. An interrupted training goes on with the same command. The output, .csv, .tsv or .jsonl, has the input's
columns, and `predicted_label` and `predicted_score` beside them.
"""

import argparse
import csv
import io
import json
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from ldebm_hf import LDEBMModel
from ldebm_hf.data import NO_LABEL, Corpus
from ldebm_hf.data.data_files import read_table
from ldebm_hf.data.tables import column_of, require_text
from ldebm_hf.files.atomic import write_text
from ldebm_hf.model.bag_of_words import marks
from ldebm_hf.scores.checkpoints import naming_scores
from ldebm_hf.scores.reading import read_texts
from ldebm_hf.training import DivergenceError, LostProcessError, Trainer, assemble, load_settings

FEW_STEPS = 100
RECIPE = Path(__file__).parent / "recipes" / "documents.yaml"
DELIMITERS = {".csv": ",", ".tsv": "\t"}


def parse_arguments(arguments: list[str] | None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("checkpoint", help="folder of the model, or where to train one")
    parser.add_argument("--text", nargs="+", help="texts to name")
    parser.add_argument("--input_file", type=Path, help="a table of texts: .csv, .tsv, .jsonl, .parquet, or .txt")
    parser.add_argument("--text_column", default="text", help="its column of texts (default text)")
    parser.add_argument("--label_column", help="its column of labels, empty where unknown; to train on")
    parser.add_argument("--output_file", type=Path, help="where the named table goes: .csv, .tsv or .jsonl")
    parser.add_argument("--config", default=str(RECIPE), help="recipe to train by (default recipes/documents.yaml)")
    parser.add_argument("--batch_size", type=int, default=256, help="texts to read at a time (default 256)")
    options, of_training = parser.parse_known_args(arguments)
    if (options.text is None) == (options.input_file is None):
        parser.error("give either --text or --input_file")
    if (options.input_file is None) != (options.output_file is None):
        parser.error("--input_file and --output_file go together")
    if options.output_file and options.output_file.suffix not in (*DELIMITERS, ".jsonl"):
        parser.error(f"--output_file must end in .csv, .tsv or .jsonl, got {options.output_file}")
    if options.output_file and not options.output_file.parent.is_dir():
        parser.error(f"--output_file must be in a folder that exists, got {options.output_file}")
    if is_model(options.checkpoint) and (options.label_column or of_training):
        given = " ".join(["--label_column"] * bool(options.label_column) + of_training)
        parser.error(f"{options.checkpoint} holds a trained model and has no use for {given}")
    return options, of_training


def main(arguments: list[str] | None = None) -> None:
    options, of_training = parse_arguments(arguments)
    disable_progress_bar()  # of loading and saving
    notes: list[str] = []
    columns = read_table(options.input_file, options.text_column, notes) if options.input_file else {}
    for note in notes:
        print(f"note: {note}")

    # 1. A model, trained if need be.
    corpus = None
    if not is_model(options.checkpoint):
        corpus = train(options, of_training)
    model = LDEBMModel.from_pretrained(options.checkpoint).to("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = AutoTokenizer.from_pretrained(options.checkpoint)

    if corpus is not None:
        print_held_out_scores(model, tokenizer, corpus)

    # 2. Names for the texts.
    if options.text:
        for text, found in zip(options.text, model.classify(options.text, tokenizer, top_k=None), strict=True):
            names = ", ".join(f"{symbol['label']} {symbol['score']:.0%}" for symbol in found[:3])
            print(f"{text}\n    -> {names}")
        return
    origin = str(options.input_file)
    values = column_of(columns, options.text_column, "text_column", origin)
    texts = [require_text(text, options.text_column, origin) or "" for text in values]
    found = model.classify(texts, tokenizer, batch_size=options.batch_size, show_progress=True)
    columns |= {f"predicted_{name}": [symbol[name] for symbol in found] for name in ("label", "score")}
    write_table(options.output_file, columns)
    print(f"{len(texts):,} texts named in {options.output_file}")
    no_words = frozenset(marks(model.config))
    guessed = sum(no_words.issuperset(ids) for ids in tokenizer(texts, truncation=True)["input_ids"])
    if guessed:
        print(f"note: {guessed:,} of these have no word that the model knows and are named by guess")


def train(options: argparse.Namespace, of_training: list[str]) -> Corpus:
    """Train a model in the folder of the checkpoint, and return what it was trained and selected on."""
    if options.input_file is None or options.label_column is None:
        raise FileNotFoundError(
            f"no model in {options.checkpoint!r} (checkpoint); to train one there give --input_file and "
            "--label_column (without labels: examples/train.py --config examples/recipes/topics.yaml)"
        )
    of_table = ["--data", str(options.input_file), "--text_column", options.text_column]
    of_table += ["--label_column", options.label_column, "--output_dir", options.checkpoint, "--resume", "latest"]
    settings = load_settings(["--config", options.config, *of_table, *of_training])
    model, tokenizer, corpus = assemble(settings)
    trainer = Trainer(model, tokenizer, corpus, settings)
    for note in corpus.notes:
        trainer.say(f"note: {note}")
    trainer.say(f"{corpus.train.num_labelled:,} of {len(corpus.train):,} training texts have a label")
    if trainer.total_steps < FEW_STEPS:
        trainer.say(f"note: {trainer.total_steps} steps are few, more --num_train_epochs give better scores")
    trainer.train()
    return corpus


def print_held_out_scores(model: LDEBMModel, tokenizer: PreTrainedTokenizerBase, corpus: Corpus) -> None:
    held_out = corpus.validation.select([i for i, label in enumerate(corpus.validation.labels) if label != NO_LABEL])
    if not len(held_out):
        return
    probabilities = read_texts(model, tokenizer, held_out.texts, reconstruct=False).probabilities
    scores = naming_scores(probabilities, model.config.id2label, corpus, held_out)
    if scores:
        print(
            f"{len(held_out):,} held-out texts with a label, by which the model was selected: "
            f"{scores['label_accuracy']:.1%} right, probabilities off by {scores['calibration_error']:.1%} (ECE)"
        )


def is_model(checkpoint: str) -> bool:
    return Path(checkpoint, "config.json").is_file()


def write_table(path: Path, columns: dict[str, list[Any]]) -> None:
    rows = list(zip(*columns.values(), strict=True))
    if path.suffix == ".jsonl":
        lines = [json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False, default=str) for row in rows]
        write_text(path, "".join(line + "\n" for line in lines))
        return
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=DELIMITERS[path.suffix], lineterminator="\n")
    writer.writerows([list(columns), *rows])
    write_text(path, buffer.getvalue())


def terminate(signum: int, frame: object) -> None:
    sys.exit("terminated; the same command goes on from the last checkpoint")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminate)
    try:
        main()
    except (DivergenceError, LostProcessError, ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from the last checkpoint")
