"""Train a judge: a text classifier that says whether a generated text has the class that was asked for, or whether it
is acceptable.

    python examples/train_judge.py --data yelp --data_dir data/yelp --output_dir outputs/judge_yelp
    python examples/train_judge.py --data my.csv --text_column body --label_column intent --num_train_epochs 10
    python examples/train_judge.py --data yelp --data_dir data/yelp --task acceptability --max_train_examples 40000 \\
        --output_dir outputs/acceptability_yelp

With `--task acceptability` no labels are needed: the judge learns to tell the texts from corrupted ones, which have
the errors of a weak generator.

Half of the labelled validation texts choose the best judge, which is evaluated after every epoch or, if that is more
often, every 500 steps. The other half chooses nothing and gives the accuracy to report. When training has ended,
`--output_dir` has the checkpoint with its tokenizer, and judge.json, which says how it was trained and how good it is.
After an interruption the same command continues.
"""

import argparse
from dataclasses import fields
from pathlib import Path

from ldebm_hf.commands.options import (
    SAME_COMMAND,
    data_options,
    folder_name,
    make_parser,
    positive_integer,
    run_script,
    seed_options,
)
from ldebm_hf.experiments.judge_training import TASKS, JudgeSettings, describe_judge, train_judge


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__, "--data DATA [options]", data_options(), seed_options())
    parser.set_defaults(text_column=JudgeSettings.text_column)
    parser.add_argument("--data", required=True, help="synthetic, yelp, a file (.csv, .jsonl, ...) or a Hub id")
    parser.add_argument(
        "--validation_file", metavar="FILE", help="file of validation texts (default: a part of the texts is held out)"
    )
    parser.add_argument(
        "--output_dir",
        type=folder_name,
        default=Path("outputs/judge"),
        metavar="FOLDER",
        help="folder of the judge (default outputs/judge)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace another judge in that folder, finished or not"
    )
    parser.add_argument(
        "--max_train_examples", type=int, metavar="N", help="number of training texts to use (default: all)"
    )
    parser.add_argument(
        "--pooling", choices=["max", "final"], default="max", help="pooling of the GRU's states (default max)"
    )
    parser.add_argument(
        "--task",
        choices=TASKS,
        default=JudgeSettings.task,
        help="what to tell: the class of a text, or whether it is real or corrupted (default class)",
    )
    for name, kind, what in (
        ("validation_fraction", float, "fraction of the texts held out for validation"),
        ("vocab_size", int, "number of most frequent words to keep"),
        ("max_length", int, "longest text in tokens"),
        ("embedding_size", int, "width of the word embeddings"),
        ("hidden_size", int, "width of the GRU, per direction"),
        ("dropout", float, "dropout probability"),
        ("word_dropout", float, "probability that a word is replaced by the unknown word"),
        ("num_train_epochs", positive_integer, "number of epochs; a few thousand texts need more"),
        ("batch_size", positive_integer, "number of texts per step"),
        ("learning_rate", float, "Adam's learning rate, which decays linearly to 0"),
    ):
        default = getattr(JudgeSettings, name)
        parser.add_argument(f"--{name}", type=kind, default=default, metavar="N", help=f"{what} (default {default})")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    # 1. What to train on, and how.
    options = parse_arguments(arguments)
    settings = JudgeSettings(**{field.name: getattr(options, field.name) for field in fields(JudgeSettings)})

    # 2. Train, or continue an interrupted training.
    report = train_judge(settings, options.output_dir, options.overwrite)

    # 3. How good the judge is, and where.
    print(f"\n{describe_judge(report)}")
    print(f"The judge is in {options.output_dir}. From Python:")
    print(f'  python -c "from ldebm_hf.scores.judging import load_judge; load_judge({str(options.output_dir)!r})"')


if __name__ == "__main__":
    run_script(main, continues=SAME_COMMAND)
