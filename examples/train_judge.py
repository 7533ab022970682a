"""Train a judge, a classifier of texts, on labelled texts: it says whether generated texts have the symbol asked for.

    python examples/train_judge.py --data yelp --data_dir data/yelp --output_dir outputs/judge_yelp
    python examples/train_judge.py --data my.csv --text_column body --label_column intent --num_train_epochs 10

Half of the labelled validation texts choose the best judge, among one after every epoch or, if that is more often,
after every 500 steps; the other half, which chooses nothing, gives the accuracy to report. When training has ended,
`--output_dir` is written: an ordinary checkpoint with its tokenizer, and judge.json, which says how it was trained and
how good it is. A run that was killed goes on when the same command is given again.
"""

import argparse
import json
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from accelerate.utils import set_seed
from huggingface_hub.errors import StrictDataclassError
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase, Trainer, TrainingArguments
from transformers.utils.logging import disable_progress_bar

from ldebm_hf.data import Corpus, Split, check_corpus
from ldebm_hf.files.atomic import replace_folder, restore_folder, write_text
from ldebm_hf.model.text_classifier import TextClassifier, TextClassifierConfig
from ldebm_hf.scores.attributes import attribute_accuracy
from ldebm_hf.scores.judging import Judge
from ldebm_hf.text.tokenization import SPECIAL_TOKENS
from ldebm_hf.training.batches import TokenizedSplit
from ldebm_hf.training.settings import DataSettings

REPORT = "judge.json"
OF_THE_RUN = ("data_dir", "output_dir", "overwrite")  # options that do not change the result
OF_THE_MODEL = ("embedding_size", "hidden_size", "pooling", "dropout", "word_dropout")
STEPS_BETWEEN_EVALUATIONS = 500


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="synthetic, yelp, a file (.csv, .jsonl, …) or a Hub id")
    parser.add_argument("--data_dir", help="folder with the release files of yelp")
    parser.add_argument("--text_column", default="text", help="column that holds the text (default text)")
    parser.add_argument("--label_column", help="column that holds the label, empty where unknown")
    parser.add_argument("--validation_file", help="file with the validation texts; else a share of the others")
    parser.add_argument("--validation_fraction", type=float, default=0.1, help="that share (default 0.1)")
    parser.add_argument("--max_train_examples", type=int, help="use only so many training texts")
    parser.add_argument("--vocab_size", type=int, default=10000, help="most frequent words to keep (default 10000)")
    parser.add_argument("--max_length", type=int, default=40, help="longest text in tokens (default 40)")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/judge"), help="default outputs/judge")
    parser.add_argument("--overwrite", action="store_true", help="replace another judge there, finished or not")
    parser.add_argument("--embedding_size", type=int, default=128, help="default 128")
    parser.add_argument("--hidden_size", type=int, default=128, help="of the GRU, per direction (default 128)")
    parser.add_argument("--pooling", choices=["max", "final"], default="max", help="of the GRU's states (default max)")
    parser.add_argument("--dropout", type=float, default=0.5, help="default 0.5")
    parser.add_argument("--word_dropout", type=float, default=0.1, help="words made unknown (default 0.1)")
    parser.add_argument("--num_train_epochs", type=int, default=3, help="default 3; more for a few thousand texts")
    parser.add_argument("--batch_size", type=int, default=128, help="default 128")
    parser.add_argument("--learning_rate", type=float, default=2e-3, help="Adam's, decays to 0 (default 2e-3)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    for name in ("num_train_epochs", "batch_size"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(options, name)}")
    return options


def main(arguments: list[str] | None = None) -> None:
    # 1. The labelled texts, and the words that the judge will know.
    options = parse_arguments(arguments)
    data = DataSettings(
        source=options.data,
        **{name: value for name, value in vars(options).items() if name in DataSettings.__dataclass_fields__},
    )
    corpus = labelled_texts(data)
    for note in corpus.notes:
        print(f"note: {note}")
    tokenizer = data.build_tokenizer(corpus)
    train = TokenizedSplit.from_split(corpus.train, tokenizer, options.max_length)
    held_out = split_in_halves(corpus.validation)
    selection = TokenizedSplit.from_split(held_out["selection half"], tokenizer, options.max_length)

    # 2. An untrained judge, or the checkpoint at which the same training was interrupted.
    request = {name: value for name, value in vars(options).items() if name not in OF_THE_RUN}
    request |= {"training texts": train.digest, "selection texts": selection.digest}
    working_folder = options.output_dir.with_name(f".{options.output_dir.name}.training")
    if is_finished(options.output_dir, request, options.overwrite):
        shutil.rmtree(working_folder, ignore_errors=True)
        print(f"{options.output_dir} holds this judge already")
        print_report(json.loads((options.output_dir / REPORT).read_text("utf-8")))
        return
    checkpoint = prepare(working_folder, request, options.overwrite)
    disable_progress_bar()  # of saving; training has its own
    set_seed(options.seed)
    model = TextClassifier(judge_config(tokenizer, corpus.label_names, options))
    begin = "from the beginning" if checkpoint is None else f"on from {checkpoint.name}"
    print(f"{corpus.name}: {len(train):,} training texts, {model.num_parameters():,} parameters, {begin}")

    # 3. Train. The best on the selection half is kept.
    trainer = build_trainer(model, tokenizer, train, selection, options, working_folder)
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))

    # 4. Accuracy on every held-out set; the checkpoint; where it is.
    if corpus.test is not None and corpus.test.num_labelled:
        held_out["test"] = corpus.test
    judge = Judge(model.eval(), tokenizer)
    report = {
        "data": corpus.name,
        "license": corpus.license,
        "label_names": corpus.label_names,
        "num_training_texts": len(train),
        "accuracy": {name: accuracy(judge, split) for name, split in held_out.items()},
        "steps": trainer.state.max_steps,
        "best_step": trainer.state.best_global_step,
        "selection_accuracy_by_step": {
            entry["step"]: entry["eval_accuracy"] for entry in trainer.state.log_history if "eval_accuracy" in entry
        },
        "request": request,
    }

    def write(folder: Path) -> None:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        write_text(folder / REPORT, json.dumps(report, indent=1, ensure_ascii=False))

    replace_folder(options.output_dir, write)
    shutil.rmtree(working_folder)
    print_report(report)
    print(f"The judge is in {options.output_dir}. From Python:")
    print(f'  python -c "from ldebm_hf.scores.judging import load_judge; load_judge({str(options.output_dir)!r})"')


def labelled_texts(data: DataSettings) -> Corpus:
    """The corpus, its training split without the texts whose class is not known."""
    corpus = data.load_corpus()
    if not corpus.train.num_labelled:
        raise ValueError(f"corpus {corpus.name!r} must have labelled training texts (--label_column), got none")
    corpus.train = corpus.train.select(i for i, label in enumerate(corpus.train.labels) if label >= 0)
    if len(corpus.label_names) > len(corpus.train):
        counts = f"{len(corpus.label_names)} classes and {len(corpus.train)} labelled training texts"
        raise ValueError(f"corpus {corpus.name!r} has {counts}: is --label_column {data.label_column} the right one?")
    check_corpus(corpus, len(corpus.label_names))
    return corpus


def split_in_halves(validation: Split) -> dict[str, Split]:
    """All labelled validation texts, those that choose the model and those that do not; classes in equal shares."""
    labels = validation.labels
    by_class = sorted((i for i, label in enumerate(labels) if label >= 0), key=labels.__getitem__)
    if len(by_class) < 2:
        raise ValueError(f"at least two validation texts must have a label, got {len(by_class)}")
    parts = {"selection half": by_class[::2], "other half": by_class[1::2], "whole validation": by_class}
    return {name: validation.select(sorted(indices)) for name, indices in parts.items()}


def judge_config(
    tokenizer: PreTrainedTokenizerBase, label_names: list[str], options: argparse.Namespace
) -> TextClassifierConfig:
    try:
        return TextClassifierConfig(
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            unk_token_id=tokenizer.convert_tokens_to_ids(SPECIAL_TOKENS[1]),
            id2label=dict(enumerate(label_names)),
            **{name: getattr(options, name) for name in OF_THE_MODEL},
        )
    except StrictDataclassError as error:
        raise ValueError(f"{error.__cause__ or error}") from error


def is_finished(folder: Path, request: dict, overwrite: bool) -> bool:
    """Whether the judge is there; ValueError if something else is that must stay."""
    restore_folder(folder)
    report = folder / REPORT
    if report.is_file():
        finished = json.loads(report.read_text("utf-8"))["request"]
        if overwrite or finished == request:
            return not overwrite
        raise ValueError(
            f"output_dir {str(folder)!r} holds another judge: {differences(finished, request)}. --overwrite replaces "
            "it, another --output_dir leaves it alone"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"output_dir {str(folder)!r} must be new, empty or a judge's, but holds something else")
    return False


def prepare(folder: Path, request: dict, overwrite: bool) -> Path | None:
    """Make the working folder; if the same request was under way there, its last whole checkpoint."""
    file = folder / "request.json"
    if file.is_file() and not overwrite:
        earlier = json.loads(file.read_text("utf-8"))
        if earlier == request:
            return last_checkpoint(folder)
        if last_checkpoint(folder):
            raise ValueError(
                f"{folder} holds another training that is not finished: {differences(earlier, request)}. The earlier "
                "command goes on with it, --overwrite discards it, another --output_dir leaves it alone"
            )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_text(file, json.dumps(request))
    return None


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint; one that a kill cut short is removed. What is written last is trainer_state.json."""
    for path in sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.partition("-")[2])):
        try:
            json.loads((path / "trainer_state.json").read_text("utf-8"))
            return path
        except (OSError, ValueError):
            shutil.rmtree(path)
    return None


def differences(earlier: dict, now: dict) -> str:
    changed = [name for name in earlier.keys() | now.keys() if earlier.get(name) != now.get(name)]
    return "; ".join(f"{name} was {earlier.get(name)!r} and is now {now.get(name)!r}" for name in sorted(changed))


def build_trainer(
    model: TextClassifier,
    tokenizer: PreTrainedTokenizerBase,
    train: TokenizedSplit,
    selection: TokenizedSplit,
    options: argparse.Namespace,
    folder: Path,
) -> Trainer:
    interval = min(STEPS_BETWEEN_EVALUATIONS, math.ceil(len(train) / options.batch_size))
    return Trainer(
        model,
        TrainingArguments(
            output_dir=str(folder),
            num_train_epochs=options.num_train_epochs,
            per_device_train_batch_size=options.batch_size,
            per_device_eval_batch_size=2 * options.batch_size,
            learning_rate=options.learning_rate,
            lr_scheduler_type="linear",
            eval_strategy="steps",
            save_strategy="steps",
            eval_steps=interval,
            save_steps=interval,
            logging_steps=interval,
            save_total_limit=2,
            load_best_model_at_end=True,
            metric_for_best_model="accuracy",
            greater_is_better=True,
            seed=options.seed,
            report_to="none",
            disable_tqdm=False,
            dataloader_pin_memory=torch.cuda.is_available(),
        ),
        train_dataset=examples(train),
        eval_dataset=examples(selection),
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda of: {"accuracy": float(np.mean(of.predictions.argmax(-1) == of.label_ids))},
    )


def examples(split: TokenizedSplit) -> list[dict]:
    return [{"input_ids": i, "labels": label} for i, label in zip(split.token_ids, split.labels.tolist(), strict=True)]


def accuracy(judge: Judge, split: Split) -> dict[str, float]:
    """`num_texts`, and the accuracy overall and of each class, as [`attribute_accuracy`] has it."""
    scores = attribute_accuracy(judge.predict(split.texts), split.labels, judge.label_names)
    return {"num_texts": split.num_labelled, **scores}


def print_report(report: dict) -> None:
    print(f"\n{report['data']}: best at step {report['best_step']} of {report['steps']}; accuracy in %")
    for name, scores in report["accuracy"].items():
        keys = {"overall": "accuracy"} | {label: f"accuracy_{label}" for label in report["label_names"]}
        cells = [
            f"{of} {100 * scores[key]:.2f} ± {100 * scores[f'{key}_std_error']:.2f}"
            for of, key in keys.items()
            if key in scores
        ]
        print(f"  {name} ({scores['num_texts']:,} texts): " + ", ".join(cells))


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on from the last checkpoint")
