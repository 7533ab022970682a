"""How few energy gradients a sampler needs: the quality of latents and texts by gradients per sample.

    python benchmarks/fewer_steps.py --checkpoint outputs/demo                   # samplers of one trained model
    python benchmarks/fewer_steps.py --train --num_seeds 2                       # models trained with a sampler each

The first form compares latents with those of long Metropolis-corrected chains of the same model by their energy
distance, whose noise is shown by further sets of long chains; texts written from the latents are judged by the grammar
of the built-in corpus. The second form trains the demo's model with each of several samplers, because the sampler is
part of what a model learns. Both print Markdown tables and write JSON files; the first also draws a plot.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from presets import RECIPE, judge, table, train
from transformers import AutoTokenizer

from ldebm_hf import LDEBMModel
from ldebm_hf.commands.options import run_script
from ldebm_hf.data import load_corpus
from ldebm_hf.data.synthetic import parse_intents
from ldebm_hf.model.noise_schedule import LevelConstants
from ldebm_hf.model.text_reading import decode_words
from ldebm_hf.reports.tables import markdown_table
from ldebm_hf.scores import energy_distance
from ldebm_hf.training import DivergenceError

CONSTANT = {"langevin_step_decay": 1.0, "langevin_metropolis": False, "langevin_final_noise": True}
EULER = {**CONSTANT, "langevin_start": "gaussian", "langevin_integrator": "euler", "langevin_step_size": 0.3}
EXPONENTIAL = {**EULER, "langevin_integrator": "exponential"}
SHRINKING = {**EXPONENTIAL, "langevin_step_size": 0.9, "langevin_step_decay": 0.1}
SAMPLERS = {
    "Euler, start at z_{t+1}, b² 0.3": {**EULER, "langevin_start": "previous"},
    "Euler, b² 0.3": EULER,
    "Euler, b² 0.3, last step without noise": {**EULER, "langevin_final_noise": False},
    "exponential, b² 0.3": EXPONENTIAL,
    "exponential, b² 0.6": {**EXPONENTIAL, "langevin_step_size": 0.6},
    "exponential, b² 0.9": {**EXPONENTIAL, "langevin_step_size": 0.9},
    "exponential, b² 0.9 to 0.09": SHRINKING,
    "exponential, b² 0.9 to 0.09, last step without noise": {**SHRINKING, "langevin_final_noise": False},
    "exponential, b² 0.6, Metropolis": {**EXPONENTIAL, "langevin_step_size": 0.6, "langevin_metropolis": True},
}
STEPS = (1, 2, 3, 5, 10, 20, 50)
LONG_CHAINS = {**EXPONENTIAL, "langevin_metropolis": True}
LONG_STEPS = 500
OTHER_NOISE = {f"long chains, other noise {number}": number + 10 for number in (1, 2, 3)}
STRATIFIED = {"level_sampling": "stratified"}  # half the chains of the default
TRAINED_WITH = {
    "Euler, b² 0.3, 20 steps": {**EULER, "langevin_steps": 20},
    "exponential, b² 0.3, 20 steps": {**EXPONENTIAL, "langevin_steps": 20},
    "exponential, b² 0.6, 10 steps": {**EXPONENTIAL, "langevin_step_size": 0.6, "langevin_steps": 10},
    "exponential, b² 0.9, 5 steps": {**EXPONENTIAL, "langevin_step_size": 0.9, "langevin_steps": 5},
    "exponential, b² 0.9 to 0.09, 10 steps": {**SHRINKING, "langevin_steps": 10},
    "exponential, b² 0.9 to 0.09, 5 steps": {**SHRINKING, "langevin_steps": 5},
    "the same, 10 steps, stratified levels": {**SHRINKING, "langevin_steps": 10, **STRATIFIED},
    "the same, 6 steps, stratified levels": {**SHRINKING, "langevin_steps": 6, **STRATIFIED},
    "exponential, b² 0.9, 5 steps, stratified levels": {
        **EXPONENTIAL,
        "langevin_step_size": 0.9,
        "langevin_steps": 5,
        **STRATIFIED,
    },
    "exponential, b² 0.9, 3 steps": {**EXPONENTIAL, "langevin_step_size": 0.9, "langevin_steps": 3},
}


def set_sampler(model: LDEBMModel, settings: dict) -> None:
    """Make a model sample as `settings` say."""
    for name, value in settings.items():
        setattr(model.config, name, value)
    model.prior.levels = LevelConstants(model.config).to(model.device)


def compare_samplers(model: LDEBMModel, tokenizer, corpus, num_samples: int) -> dict[str, dict]:
    """Scores of every sampler with every number of steps, and of sets of long chains, the reference first."""
    num_symbols = model.config.num_labels
    asked = [symbol for symbol in range(num_symbols) for _ in range(num_samples // (4 * num_symbols))]
    names = [corpus.label_names[symbol] for symbol in asked]
    reference = None

    def score(settings: dict, num_steps: int, seed: int) -> tuple[dict[str, float], torch.Tensor]:
        set_sampler(model, settings)
        generator = torch.Generator().manual_seed(seed)
        latents = model.sample_latents(num_samples, num_langevin_steps=num_steps, generator=generator)
        steered = model.sample_latents(class_labels=asked, num_langevin_steps=num_steps, generator=generator)
        free = write(model, tokenizer, latents[: num_samples // 4])
        intents = [parse_intents(text) for text in write(model, tokenizer, steered)]
        return {
            "energy gradients": model.config.num_levels * (num_steps + settings["langevin_metropolis"]),
            "energy distance": 0.0 if reference is None else energy_distance(latents, reference),
            "grammatical, %": 100 * np.mean([bool(parse_intents(text)) for text in free]),
            "steered as intended, %": 100 * np.mean([n in found for n, found in zip(names, intents, strict=True)]),
        }, latents

    results = {}
    results["long chains", LONG_STEPS], reference = score(LONG_CHAINS, LONG_STEPS, seed=1)
    for name, seed in OTHER_NOISE.items():
        results[name, LONG_STEPS], _ = score(LONG_CHAINS, LONG_STEPS, seed)
    for name, settings in SAMPLERS.items():
        for num_steps in STEPS:
            results[name, num_steps], _ = score(settings, num_steps, seed=3)
    return results


def write(model: LDEBMModel, tokenizer, latents: torch.Tensor) -> list[str]:
    return decode_words(tokenizer, model.generate(latents=latents))


def plot(results: dict[tuple[str, int], dict[str, float]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    noise = max(abs(results[name, LONG_STEPS]["energy distance"]) for name in OTHER_NOISE)
    figure, panels = plt.subplots(1, 3, figsize=(15, 5), layout="constrained")
    for axes, score in zip(panels, ("energy distance", "grammatical, %", "steered as intended, %"), strict=True):
        for name in SAMPLERS:
            rows = [results[name, steps] for steps in STEPS]
            values = [max(row[score], noise) if score == "energy distance" else row[score] for row in rows]
            axes.plot([row["energy gradients"] for row in rows], values, marker="o", label=name)
        long = noise if score == "energy distance" else results["long chains", LONG_STEPS][score]
        axes.axhline(long, color="grey", linestyle="--", label="long chains (left: their noise)")
        axes.set(xscale="log", xlabel="energy gradients per sample", ylabel=score)
    panels[0].set(yscale="log")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def samplers_table(results: dict[tuple[str, int], dict[str, float]]) -> str:
    columns = {
        "sampler": [name for name, _ in results],
        "steps a level": [str(steps) for _, steps in results],
    }
    for score in next(iter(results.values())):
        columns[score] = [f"{row[score]:.3g}" for row in results.values()]
    return markdown_table(columns)


def train_with_samplers(num_seeds: int, num_train_epochs: int, output_dir: Path) -> dict[str, list]:
    """Scores, as `presets.judge` has them, of the demo trained with each of `TRAINED_WITH`; those on file are kept."""
    file = output_dir / "trained.json"
    results: dict[str, list] = json.loads(file.read_text()) if file.exists() else {name: [] for name in TRAINED_WITH}
    for seed in range(num_seeds):
        for number, (name, settings) in enumerate(TRAINED_WITH.items()):
            if len(results[name]) > seed:
                continue
            arguments = ["--config", str(RECIPE), "--output_dir", str(output_dir / f"{number}-{seed}")]
            arguments += ["--seed", str(seed), "--num_train_epochs", str(num_train_epochs)]
            for setting, value in settings.items():
                arguments += [f"--{setting}", str(value).lower()]
            try:
                *trained, scores = train(arguments)
                outcome = judge(*trained, scores) | {"prior distance": scores["prior_distance"]}
            except DivergenceError as error:
                outcome = str(error)
            results[name].append(outcome)
            file.write_text(json.dumps(results, indent=1))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", help="a model trained on the built-in corpus")
    parser.add_argument("--num_samples", type=int, default=1600, help="latents per sampler (default 1600)")
    parser.add_argument("--train", action="store_true", help="train models instead")
    parser.add_argument("--num_seeds", type=int, default=2, help="runs of each model to train (default 2)")
    parser.add_argument("--num_train_epochs", type=int, default=8, help="epochs of each run (default 8)")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/fewer_steps"))
    options = parser.parse_args()
    options.output_dir.mkdir(parents=True, exist_ok=True)
    if options.train:
        print(table(train_with_samplers(options.num_seeds, options.num_train_epochs, options.output_dir)))
        return
    if options.checkpoint is None:
        parser.error("give --checkpoint (make demo makes outputs/demo), or --train")
    model = LDEBMModel.from_pretrained(options.checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(options.checkpoint)
    results = compare_samplers(model, tokenizer, load_corpus("synthetic"), options.num_samples)
    rows = [{"sampler": name, "steps": steps, **row} for (name, steps), row in results.items()]
    (options.output_dir / "samplers.json").write_text(json.dumps(rows, indent=1))
    plot(results, options.output_dir / "fewer_steps.png")
    print(samplers_table(results))


if __name__ == "__main__":
    run_script(main)
