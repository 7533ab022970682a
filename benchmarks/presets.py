"""Which settings of the prior write better text: both presets, and single changes of the default.

    python benchmarks/presets.py --num_seeds 2 --num_train_epochs 8 --output_dir outputs/presets

Every row trains the demo's model on the built-in corpus with the demo's recipe and one change. The corpus comes from
a grammar, so samples can be judged exactly: whether it derives them, and from which intent. Prints a Markdown table
(mean and, behind ±, the standard deviation over seeds); all values go to `presets.json`.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from ldebm_hf.commands.options import run_script
from ldebm_hf.data.synthetic import parse_intents
from ldebm_hf.model.text_reading import decode_words
from ldebm_hf.reports.tables import markdown_table
from ldebm_hf.training import DivergenceError, Trainer, assemble, load_settings

RECIPE = "demo"
PUBLISHED = ["--preset", "published", "--langevin_steps", "50", "--prior_learning_rate", "1e-4"]
PUBLISHED += ["--kl_weight", "0.1", "--classification_weight", "0.05"]
VARIANTS = {
    "consistent (default)": [],
    "· flat base measure": ["--base_measure", "flat"],
    "· step temperature": ["--energy_temperature", "step"],
    "· symbols at level 0 only": ["--symbol_levels", "first"],
    "· no log-normaliser gradient": ["--log_normalizer_gradient", "false"],
    "· entropy mask": ["--entropy_threshold", "1.0"],
    "published, torch's initialisation": [*PUBLISHED, "--uniform_init_range", "null"],
    "published": PUBLISHED,
}
SAMPLES_PER_SYMBOL = 50


def train(arguments: list[str]):
    settings = load_settings(arguments)
    model, tokenizer, corpus = assemble(settings)
    scores = Trainer(model, tokenizer, corpus, settings).train()
    return model.eval(), tokenizer, corpus, scores


def judge(model, tokenizer, corpus, scores: dict[str, float]) -> dict[str, float]:
    """Return percentages: reconstructions, symbols, and what the grammar says of samples."""
    generator = torch.Generator().manual_seed(0)
    num_symbols = model.config.num_labels
    read = corpus.validation.texts[:400]
    batch = tokenizer(read, return_tensors="pt", padding=True)
    rebuilt = decode_words(tokenizer, model.generate(**batch))
    free_ids = model.generate(num_samples=SAMPLES_PER_SYMBOL * num_symbols, generator=generator)
    free = decode_words(tokenizer, free_ids)
    asked = [symbol for symbol in range(num_symbols) for _ in range(SAMPLES_PER_SYMBOL)]
    steered_ids = model.generate(class_labels=asked, generator=generator)
    steered = [parse_intents(text) for text in decode_words(tokenizer, steered_ids)]
    names = [corpus.label_names[symbol] for symbol in asked]
    return {
        "rebuilt exactly": 100 * np.mean([text == copy for text, copy in zip(read, rebuilt, strict=True)]),
        "symbol accuracy": 100 * scores["symbol_accuracy"],
        "samples grammatical": 100 * np.mean([bool(parse_intents(text)) for text in free]),
        "samples distinct": 100 * len(set(free)) / len(free),
        "steered: intended": 100 * np.mean([name in found for name, found in zip(names, steered, strict=True)]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num_seeds", type=int, default=2, help="runs of each row (default 2)")
    parser.add_argument("--num_train_epochs", type=int, default=8, help="epochs of each run (default 8)")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/presets"))
    options = parser.parse_args()
    results: dict[str, list[dict[str, float] | str]] = {}
    for name, change in VARIANTS.items():
        for seed in range(options.num_seeds):
            folder = options.output_dir / f"{list(VARIANTS).index(name)}-{seed}"
            arguments = ["--config", str(RECIPE), "--output_dir", str(folder), "--seed", str(seed)]
            arguments += ["--num_train_epochs", str(options.num_train_epochs), *change]
            try:
                outcome = judge(*train(arguments))
            except DivergenceError as error:
                outcome = str(error)
            results.setdefault(name, []).append(outcome)
            (options.output_dir / "presets.json").write_text(json.dumps(results, indent=1))
    print(table(results))


def table(results: dict[str, list[dict[str, float] | str]]) -> str:
    columns = list(next(run for runs in results.values() for run in runs if isinstance(run, dict)))
    cells: dict[str, list[str]] = {"settings": [], **{column: [] for column in columns}}
    for name, runs in results.items():
        finished = [run for run in runs if isinstance(run, dict)]
        note = f" ({len(runs) - len(finished)} of {len(runs)} diverged)" if len(finished) < len(runs) else ""
        cells["settings"].append(name + note)
        for column in columns:
            cells[column].append(_spread([run[column] for run in finished]) if finished else "diverged")
    return markdown_table(cells)


def _spread(values: list[float]) -> str:
    return f"{np.mean(values):.3g}" + (f" ± {np.std(values, ddof=1):.2g}" if len(values) > 1 else "")


if __name__ == "__main__":
    run_script(main)
