"""
The training of a small model on a visitor's texts, as a process of its own:

    python -m ldebm_hf.web.own_training FOLDER NUM_SYMBOLS SECONDS

FOLDER holds `texts.txt` with one text a line. Afterwards it holds `model`, the output folder of a run whose number of
steps was chosen so that it takes about SECONDS, and `plan.json` with that number. When standard input closes, because
the page has ended, the process removes FOLDER and ends.
"""

import json
import os
import shutil
import sys
import threading
import time
from pathlib import Path

from ..files.atomic import write_text
from ..pseudo_labels.geometric_clustering import ClusteringSettings
from ..training import Settings, Trainer, assemble
from ..training.data_settings import DataSettings
from ..training.training_settings import TrainingSettings

TEXTS, MODEL, PLAN = "texts.txt", "model", "plan.json"
TRIALS = (5, 35)
"""Steps of two trials, whose times say how long a step takes, and how long everything else."""
SHORTEST_STEP = 0.004  # seconds, in case that the machine was busy during the first trial
FEWEST_STEPS, MOST_STEPS = 60, 1500
LOWER_PRIORITY = 10  # of the process, so that the page goes on to answer


def settings_for(folder: Path, num_symbols: int, steps: int, output: str) -> Settings:
    """Settings of a model that learns from some hundred short texts in less than a minute on one core."""
    return Settings(
        data=DataSettings(source=str(folder / TEXTS), tokenizer="words", vocab_size=3000, max_length=32),
        model={
            "preset": "consistent",
            "num_symbols": num_symbols,
            "latent_size": 16,
            "embedding_size": 64,
            "encoder_hidden_size": 64,
            "decoder_hidden_size": 64,
            "energy_hidden_size": 32,
            "energy_num_blocks": 2,
        },
        clustering=ClusteringSettings(features="words"),
        training=TrainingSettings(
            output_dir=str(folder / output),
            max_steps=steps,
            per_device_train_batch_size=32,
            learning_rate=3e-3,
            prior_learning_rate=1e-3,
            lr_scheduler_type="linear",
            logging_steps=max(1, steps // 40),
            save_steps=steps,
            dataloader_num_workers=0,
        ),
    )


def train(folder: Path, num_symbols: int, steps: int, output: str) -> float:
    """Train, and return the seconds of that."""
    settings = settings_for(folder, num_symbols, steps, output)
    trainer = Trainer(*assemble(settings), settings)
    start = time.monotonic()
    trainer.train()
    return time.monotonic() - start


def end_with_the_page(folder: Path) -> None:
    """Wait until standard input closes; then remove the folder, and end the process while it trains."""
    while os.read(sys.stdin.fileno(), 1024):  # not through its buffer, whose lock would not let the process end
        pass
    for _ in range(10):  # the training may be writing to the folder
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break
        time.sleep(0.1)
    os._exit(1)


def main(folder: Path, num_symbols: int, seconds: float) -> None:
    os.nice(LOWER_PRIORITY)
    threading.Thread(target=end_with_the_page, args=[folder], daemon=True).start()
    few, more = (train(folder, num_symbols, steps, f"trial_{steps}") for steps in TRIALS)
    of_step = max((more - few) / (TRIALS[1] - TRIALS[0]), SHORTEST_STEP)
    rest = max(few - TRIALS[0] * of_step, 0)
    steps = min(max(int((seconds - rest) / of_step), FEWEST_STEPS), MOST_STEPS)
    write_text(folder / PLAN, json.dumps({"steps": steps}))
    train(folder, num_symbols, steps, MODEL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
