"""A training of seconds, with checkpoints, for runs that are killed and damaged."""

import json
from pathlib import Path

from child_processes import Ended, run_command

from ldebm_hf.commands import train, write

SETTINGS = {
    "data.max_train_examples": 160,
    "data.max_validation_examples": 40,
    "model.embedding_size": 16,
    "model.encoder_hidden_size": 16,
    "model.decoder_hidden_size": 16,
    "model.latent_size": 4,
    "model.energy_hidden_size": 16,
    "model.energy_num_blocks": 2,
    "model.langevin_steps": 2,
    "training.overwrite_output_dir": "false",
    "training.num_train_epochs": 4,
    "training.per_device_train_batch_size": 16,
    "training.save_steps": 4,
    "training.logging_steps": 5,
}


def start_training(folder: Path, log: Path, streamed: Path | None = None, kill_after: float | None = None) -> Ended:
    """
    Train into a folder, or continue the training that is there.

    Args:
        folder (`Path`): The output folder.
        log (`Path`): File for what is printed.
        streamed (`Path`, *optional*): A table to stream the texts from, instead of the built-in corpus in memory.
        kill_after (`float`, *optional*): Kill it so many seconds after it has taken its lock.
    """
    settings = {**SETTINGS, "training.output_dir": folder, "training.resume": "latest"}
    if streamed is not None:
        settings |= {
            "data.source": streamed,
            "data.streaming": "true",
            "data.label_column": "label",
            "data.validation_file": streamed.with_name("validation.jsonl"),
        }
        del settings["data.max_train_examples"], settings["data.max_validation_examples"]
    words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    return run_command(train.main, ["--config", "demo", *words], log, kill_after, folder / ".lock.json")


def start_writing(
    checkpoint: Path, file: Path, log: Path, number: int = 2000, kill_after: float | None = None
) -> Ended:
    """Write sentences into a file, or continue with those that are missing; arguments as of [`start_training`]."""
    words = [str(checkpoint), "--output_file", str(file), "--num_samples", str(number), "--batch_size", "50"]
    return run_command(write.main, words, log, kill_after, file.with_name(f".{file.name}.lock.json"))


def write_tables(folder: Path) -> Path:
    """Write the built-in corpus as tables to stream; the path of the training texts."""
    from ldebm_hf.data import load_corpus

    corpus = load_corpus("synthetic")
    for name, split, number in (("train", corpus.train, 160), ("validation", corpus.validation, 40)):
        rows = [
            json.dumps({"text": text, "label": corpus.label_names[label] if label >= 0 else None})
            for text, label in list(zip(split.texts, split.labels, strict=True))[:number]
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / "train.jsonl"
