"""Training of a judge: a text classifier that says whether a generated text has the class that was asked for, or
whether it is acceptable, that is, like a real text rather than like a corrupted one."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import set_seed
from huggingface_hub.errors import StrictDataclassError
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase, Trainer, TrainingArguments
from transformers.utils.logging import disable_progress_bar

from ..baselines.corrupted_texts import TextCorruption
from ..data import Corpus, Split, check_corpus
from ..files.atomic import replace_folder, restore_folder, write_text
from ..files.json_objects import read_object
from ..files.locks import WriteLock
from ..files.resumable import differences
from ..model.text_classifier import TextClassifier, TextClassifierConfig
from ..scores.acceptability import ACCEPTABLE, CORRUPTED
from ..scores.attributes import attribute_accuracy
from ..scores.conditional_generation import in_vocabulary
from ..scores.judging import Judge
from ..text.tokenization import SPECIAL_TOKENS
from ..training.batches import TokenizedSplit
from ..training.data_settings import DataSettings

REPORT = "judge.json"
"""In a judge's folder: how it was trained, and its accuracy."""
DATA_SETTINGS = ("data_dir", "text_column", "label_column", "validation_file", "validation_fraction",
                 "max_train_examples", "vocab_size", "max_length")  # fmt: skip
MODEL_SETTINGS = ("embedding_size", "hidden_size", "pooling", "dropout", "word_dropout")
STEPS_BETWEEN_EVALUATIONS = 500
CLASS, ACCEPTABILITY = "class", "acceptability"
TASKS = (CLASS, ACCEPTABILITY)
"""What a judge can learn to tell: the classes of texts, or real texts from corrupted ones."""


@dataclass(frozen=True)
class JudgeSettings:
    """
    How a judge is trained.

    Args:
        data (`str`): The texts, labelled for a judge of classes: a built-in data set, a file or a Hub id, as
            `DataSettings.source`.
        data_dir, text_column, label_column, validation_file, validation_fraction, max_train_examples, vocab_size,
            max_length: As in `DataSettings`.
        embedding_size, hidden_size (per direction of the GRU), pooling, dropout, word_dropout: As in
            `TextClassifierConfig`.
        num_train_epochs (`int`, *optional*, defaults to 3): Epochs; a few thousand texts need more.
        batch_size (`int`, *optional*, defaults to 128): Texts per step.
        learning_rate (`float`, *optional*, defaults to 2e-3): Adam's learning rate, which decays linearly to 0.
        seed (`int`, *optional*, defaults to 0): Seed of weights, order and corrupted texts.
        task (`str`, *optional*, defaults to `"class"`): What the judge tells: `"class"`, the class of a text, or
            `"acceptability"`, real texts from their corrupted counterparts ([`TextCorruption`]).

    Raises:
        ValueError: If `num_train_epochs` or `batch_size` is below 1, or there is no such task.
    """

    data: str
    data_dir: str | None = None
    text_column: str = "text"
    label_column: str | None = None
    validation_file: str | None = None
    validation_fraction: float = 0.1
    max_train_examples: int | None = None
    vocab_size: int = 10_000
    max_length: int = 40
    embedding_size: int = 128
    hidden_size: int = 128
    pooling: str = "max"
    dropout: float = 0.5
    word_dropout: float = 0.1
    num_train_epochs: int = 3
    batch_size: int = 128
    learning_rate: float = 2e-3
    seed: int = 0
    task: str = CLASS

    def __post_init__(self):
        if self.task not in TASKS:
            raise ValueError(f"task must be one of {', '.join(TASKS)}, got {self.task!r}")
        for name in ("num_train_epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def data_settings(self) -> DataSettings:
        """Where the texts come from, as training of other models has it."""
        options = {name: getattr(self, name) for name in DATA_SETTINGS}
        return DataSettings(source=self.data, tokenizer="words", **options)

    def request(self, train: TokenizedSplit, selection: TokenizedSplit) -> dict[str, Any]:
        """Everything that the trained judge depends on; equal requests give the same judge."""
        settings = asdict(self)
        del settings["data_dir"]  # the same texts may lie in another place
        if self.task == CLASS:
            del settings["task"]  # judges that were trained before there was another task do not name it
        return settings | {"training texts": train.digest, "selection texts": selection.digest}


def train_judge(settings: JudgeSettings, output_dir: Path, overwrite: bool = False) -> dict[str, Any]:
    """
    Train a judge, unless it is in `output_dir` already; an interrupted training continues from its last checkpoint.

    Half of the labelled validation texts choose the best judge, evaluated after every epoch or, if that is more often,
    every 500 steps. The other half chooses nothing and gives the accuracy to report.

    Args:
        settings ([`JudgeSettings`]): What to train on, and how.
        output_dir (`Path`): Where the judge goes, with its tokenizer and `judge.json`, once training has ended.
        overwrite (`bool`, *optional*, defaults to `False`): Replace another judge there, finished or not.

    Returns:
        `dict`: The content of `judge.json`: settings, steps, and the accuracy on every held-out split.

    Raises:
        ValueError: If the corpus has too few labels, or `output_dir` holds something else.
        InUseError: If another process trains a judge there.
    """
    with WriteLock(output_dir.with_name(f".{output_dir.name}.lock"), output_dir):
        return _train_judge(settings, output_dir, overwrite)


def _train_judge(settings: JudgeSettings, output_dir: Path, overwrite: bool) -> dict[str, Any]:
    """Train a judge as [`train_judge`] says, in a folder that no other process writes to."""
    # 1. The labelled texts, and the words that the judge will know.
    data = settings.data_settings
    corpus = load_labelled_texts(data) if settings.task == CLASS else data.load_corpus()
    for note in corpus.notes:
        print(f"note: {note}")
    tokenizer = data.build_tokenizer(corpus)
    if settings.task == ACCEPTABILITY:
        corpus = add_corrupted_texts(corpus, tokenizer, settings.seed)
    train = TokenizedSplit.from_split(corpus.train, tokenizer, settings.max_length)
    held_out = split_in_halves(corpus.validation)
    selection = TokenizedSplit.from_split(held_out["selection half"], tokenizer, settings.max_length)

    # 2. Nothing to do, an untrained judge, or the checkpoint at which the same training was interrupted.
    request = settings.request(train, selection)
    working_folder = output_dir.with_name(f".{output_dir.name}.training")
    if is_finished(output_dir, request, overwrite):
        shutil.rmtree(working_folder, ignore_errors=True)
        print(f"{output_dir} holds this judge already")
        return json.loads((output_dir / REPORT).read_text("utf-8"))
    checkpoint = prepare_working_folder(working_folder, request, overwrite)
    disable_progress_bar()  # of saving; training has its own
    set_seed(settings.seed)
    model = TextClassifier(judge_config(tokenizer, corpus.label_names, settings))
    begin = "from the beginning" if checkpoint is None else f"on from {checkpoint.name}"
    print(f"{corpus.name}: {len(train):,} training texts, {model.num_parameters():,} parameters, {begin}")

    # 3. Train. The best on the selection half is kept.
    trainer = build_trainer(model, tokenizer, train, selection, settings, working_folder)
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))

    # 4. Score it on every held-out split, and save it.
    if corpus.test is not None and corpus.test.num_labelled:
        held_out["test"] = corpus.test
    judge = Judge(model.eval(), tokenizer)
    report = make_report(judge, trainer, corpus, held_out, request)
    save_judge(judge, report, output_dir)
    shutil.rmtree(working_folder)
    return report


def load_labelled_texts(data: DataSettings) -> Corpus:
    """Load the corpus, with only those training texts whose class is known.

    Raises:
        ValueError: If no training text has a label, or there are more classes than labelled texts.
    """
    corpus = data.load_corpus()
    if not corpus.train.num_labelled:
        raise ValueError(f"corpus {corpus.name!r} must have labelled training texts (--label_column), got none")
    corpus.train = corpus.train.select(i for i, label in enumerate(corpus.train.labels) if label >= 0)
    if len(corpus.label_names) > len(corpus.train):
        counts = f"{len(corpus.label_names)} classes and {len(corpus.train)} labelled training texts"
        raise ValueError(f"corpus {corpus.name!r} has {counts}: is --label_column {data.label_column} the right one?")
    check_corpus(corpus, len(corpus.label_names))
    return corpus


def add_corrupted_texts(corpus: Corpus, tokenizer: PreTrainedTokenizerBase, seed: int = 0) -> Corpus:
    """
    Return a corpus of two classes, with the texts of every split and a corrupted counterpart of each.

    Args:
        corpus (`Corpus`): Real texts; their labels are not read.
        tokenizer (`PreTrainedTokenizerBase`): Decides what a word is. Texts are cut and rare words are `<unk>`.
        seed (`int`, *optional*, defaults to 0): Seed of the errors.
    """
    splits = {name: in_vocabulary(tokenizer, split.texts) for name, split in corpus.splits.items()}
    corruption = TextCorruption(splits["train"])
    pairs = {}
    for place, (name, texts) in enumerate(splits.items()):
        real = [text for text in texts if text]
        corrupted = corruption(real, seed=seed + place)
        pairs[name] = Split(real + corrupted, [1] * len(real) + [0] * len(corrupted))
    return Corpus(
        corpus.name,
        pairs["train"],
        pairs["validation"],
        pairs.get("test"),
        label_names=[CORRUPTED, ACCEPTABLE],
        license=corpus.license,
    )


def split_in_halves(validation: Split) -> dict[str, Split]:
    """Divide the labelled validation texts, each class equally, into those that choose the judge and those that don't.

    Returns:
        `dict[str, Split]`: `"selection half"`, `"other half"` and `"whole validation"`.

    Raises:
        ValueError: If fewer than two texts have a label.
    """
    labels = validation.labels
    by_class = sorted((i for i, label in enumerate(labels) if label >= 0), key=labels.__getitem__)
    if len(by_class) < 2:
        raise ValueError(f"at least two validation texts must have a label, got {len(by_class)}")
    parts = {"selection half": by_class[::2], "other half": by_class[1::2], "whole validation": by_class}
    return {name: validation.select(sorted(indices)) for name, indices in parts.items()}


def judge_config(
    tokenizer: PreTrainedTokenizerBase, label_names: list[str], settings: JudgeSettings
) -> TextClassifierConfig:
    """Return the configuration of the judge's classifier; ValueError for a size that is out of range."""
    try:
        return TextClassifierConfig(
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            unk_token_id=tokenizer.convert_tokens_to_ids(SPECIAL_TOKENS[1]),
            id2label=dict(enumerate(label_names)),
            **{name: getattr(settings, name) for name in MODEL_SETTINGS},
        )
    except StrictDataclassError as error:
        raise ValueError(f"{error.__cause__ or error}") from error


def is_finished(folder: Path, request: dict, overwrite: bool) -> bool:
    """Whether the folder holds the judge of this request; ValueError if it holds something else that must stay."""
    restore_folder(folder)
    report = folder / REPORT
    if report.is_file():
        finished = (read_object(report) or {}).get("request")
        if overwrite or finished == request:
            return not overwrite
        is_known = isinstance(finished, dict)
        changes = "; ".join(differences(finished, request)) if is_known else f"its {REPORT} cannot be read"
        raise ValueError(
            f"output_dir {str(folder)!r} holds another judge: {changes}. --overwrite replaces it, another "
            "--output_dir leaves it alone"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"output_dir {str(folder)!r} must be new, empty or a judge's, but holds something else")
    return False


def prepare_working_folder(folder: Path, request: dict, overwrite: bool) -> Path | None:
    """Make the folder of checkpoints, or return the last whole checkpoint if the same request was interrupted there.

    Raises:
        ValueError: If another request was interrupted there.
    """
    file = folder / "request.json"
    if file.is_file() and not overwrite:
        earlier = read_object(file)
        if earlier == request:
            return last_checkpoint(folder)
        if last_checkpoint(folder):
            is_known = earlier is not None
            changes = "; ".join(differences(earlier, request)) if is_known else "its request.json cannot be read"
            raise ValueError(
                f"{folder} holds another training that is not finished: {changes}. The earlier command continues it, "
                "--overwrite discards it, another --output_dir leaves it alone"
            )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_text(file, json.dumps(request))
    return None


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest whole checkpoint, and remove those that a kill cut short.

    A checkpoint is whole if it has `trainer_state.json`, which is written last.
    """
    for path in sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.partition("-")[2])):
        try:
            json.loads((path / "trainer_state.json").read_text("utf-8"))
            return path
        except (OSError, ValueError):
            shutil.rmtree(path)
    return None


def build_trainer(
    model: TextClassifier,
    tokenizer: PreTrainedTokenizerBase,
    train: TokenizedSplit,
    selection: TokenizedSplit,
    settings: JudgeSettings,
    folder: Path,
) -> Trainer:
    """Set up the training, whose checkpoints go into `folder` and which ends with the best model loaded."""
    interval = min(STEPS_BETWEEN_EVALUATIONS, math.ceil(len(train) / settings.batch_size))
    return Trainer(
        model,
        TrainingArguments(
            output_dir=str(folder),
            num_train_epochs=settings.num_train_epochs,
            per_device_train_batch_size=settings.batch_size,
            per_device_eval_batch_size=2 * settings.batch_size,
            learning_rate=settings.learning_rate,
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
            seed=settings.seed,
            report_to="none",
            disable_tqdm=False,
            dataloader_pin_memory=torch.cuda.is_available(),
        ),
        train_dataset=training_examples(train),
        eval_dataset=training_examples(selection),
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda of: {"accuracy": float(np.mean(of.predictions.argmax(-1) == of.label_ids))},
    )


def training_examples(split: TokenizedSplit) -> list[dict]:
    """Return the texts of a split as the collator takes them."""
    return [{"input_ids": i, "labels": label} for i, label in zip(split.token_ids, split.labels.tolist(), strict=True)]


def make_report(
    judge: Judge, trainer: Trainer, corpus: Corpus, held_out: dict[str, Split], request: dict
) -> dict[str, Any]:
    """Score a trained judge on the held-out splits, and return the content of `judge.json`."""
    return {
        "data": corpus.name,
        "license": corpus.license,
        "label_names": corpus.label_names,
        "num_training_texts": len(corpus.train),
        "accuracy": {name: accuracy(judge, split) for name, split in held_out.items()},
        "steps": trainer.state.max_steps,
        "best_step": trainer.state.best_global_step,
        "selection_accuracy_by_step": {
            entry["step"]: entry["eval_accuracy"] for entry in trainer.state.log_history if "eval_accuracy" in entry
        },
        "request": request,
    }


def accuracy(judge: Judge, split: Split) -> dict[str, float]:
    """Return `num_texts`, and the accuracy overall and of each class, as [`attribute_accuracy`] has it."""
    scores = attribute_accuracy(judge.predict(split.texts), split.labels, judge.label_names)
    return {"num_texts": split.num_labelled, **scores}


def save_judge(judge: Judge, report: dict[str, Any], output_dir: Path) -> None:
    """Save a judge and its report; a folder that was there is replaced in one step."""

    def write(folder: Path) -> None:
        judge.model.save_pretrained(folder)
        judge.tokenizer.save_pretrained(folder)
        write_text(folder / REPORT, json.dumps(report, indent=1, ensure_ascii=False))

    replace_folder(output_dir, write)


def describe_judge(report: dict[str, Any]) -> str:
    """Write the accuracies of a judge's report as lines of text."""
    lines = [f"{report['data']}: best at step {report['best_step']} of {report['steps']}; accuracy in %"]
    for name, scores in report["accuracy"].items():
        keys = {"overall": "accuracy"} | {label: f"accuracy_{label}" for label in report["label_names"]}
        cells = [
            f"{of} {100 * scores[key]:.2f} ± {100 * scores[f'{key}_std_error']:.2f}"
            for of, key in keys.items()
            if key in scores
        ]
        lines.append(f"  {name} ({scores['num_texts']:,} texts): " + ", ".join(cells))
    return "\n".join(lines)
