"""The study of priors on points of the plane: train models side by side, score them, draw the paper's Figures 2 and 3.

    python examples/synthetic.py --data gaussians --models ldebm,vae,svebm --seeds 0,1,2 --jobs 2
    python examples/synthetic.py --data gaussians,pinwheel --models baselines --figures_dir docs
    python examples/synthetic.py --set training.num_train_epochs=5 model.langevin_steps=20
    python examples/synthetic.py outputs/gaussians        # score and draw what examples/train.py trained

Every run is in `--output_dir`/data/model/seed and ends with the final model (`final/`), its samples and `scores.json`
there; started again, the script keeps the runs that are finished and resumes those that were interrupted. At the end
it prints a Markdown table, mean and standard deviation over seeds below a first row of fresh true points, and writes
it to `table.md` and `table.json` beside the runs; figures are of the first seed.
"""

import argparse
import json
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers.utils.logging import disable_progress_bar

from ldebm_hf import LDEBMModel
from ldebm_hf.data import POINT_DISTRIBUTIONS, PointSplit
from ldebm_hf.experiments.experiments import (
    Changes,
    Scores,
    StudyRun,
    TimedTrainer,
    finish_here,
    finish_in_processes,
    finished,
    in_brackets,
    merge,
    parse_changes,
    read_recipe,
    spread,
    table,
)
from ldebm_hf.files.atomic import replace_folder, write_text
from ldebm_hf.reports.plots import plot_densities, plot_evolution, plot_symbols
from ldebm_hf.reports.run_record import read_metrics
from ldebm_hf.scores import PointSamples, draw_samples, floor_scores, mode_scores, score_samples
from ldebm_hf.scores.point_models import NUM_STDS
from ldebm_hf.training import Settings, assemble

RECIPES = Path(__file__).parent / "recipes"


def preset(name: str, **model: Any) -> Changes:
    """A baseline: its own prior and weights, and no symbols from clustering."""
    return {"model": {"preset": name, **model}, "clustering": {"enabled": False}}


# What differs from the data set's recipe. A model with a preset keeps of the recipe's model only `KEPT`; every weight
# of the KL is 1, the evidence lower bound, but for those without one. SVEBM samples as published for points: chains of
# 100 steps of 0.4, one hidden layer.
SVEBM = {"kl_weight": 1.0, "energy_hidden_size": 200, "energy_num_blocks": 1, "langevin_steps": 100,
         "langevin_step_size": 0.16}  # fmt: skip
BASELINES: dict[str, Changes] = {
    "ldebm": {},
    "ldebm_without_clustering": {"clustering": {"enabled": False}},
    "svebm": preset("svebm", **SVEBM),
    "svebm_ib": preset("svebm_ib", **SVEBM, mutual_information_weight=15.0),
    **{name: preset(name) for name in ("ae", "dae", "vae", "dvae", "gm_vae", "gm_vae_i", "dgm_vae", "dgm_vae_i")},
    **{name: preset(name) for name in ("semi_vae", "semi_vae_i", "discrete_ae", "discrete_vae", "di_vae")},
}
ABLATIONS: dict[str, Changes] = {
    # What the published experiment on points ran, but for its length, its batches and its larger energy network.
    "ldebm_published": {
        "model": {"preset": "published", "kl_weight": 1.0, "mutual_information_weight": 0.05,
                  "classification_weight": 0.05, "entropy_threshold": None, "uniform_init_range": None},
        "clustering": {"balanced_resampling": True, "normalize": True, "match_previous": False},
    },
    # F / s² in the sampler and F in the loss, as published; then F / s² in both.
    "ldebm_published_energy_scale": {"model": {"energy_temperature": "step", "level_weighting": "published"}},
    "ldebm_step_temperature": {"model": {"energy_temperature": "step"}},
    "ldebm_inexact_encoder_gradient": {"model": {"log_normalizer_gradient": False, "terminal_prior": False}},
    "ldebm_entropy_mask": {"model": {"entropy_threshold": 1.0}},
    "ldebm_spectral_norm": {"model": {"energy_spectral_norm": True}},
    "ldebm_free_scale": {"model": {"normalize_posterior": False, "energy_spectral_norm": True}},
    "svebm_fixed_scale": preset("svebm", **SVEBM, normalize_posterior=True),
    "ldebm_mean_features": {"clustering": {"features": "mean"}},
    "ldebm_unit_features": {"clustering": {"normalize": True}},
    "ldebm_balanced_resampling": {"clustering": {"balanced_resampling": True}},
}  # fmt: skip
MODELS = BASELINES | ABLATIONS
KEPT = ("modality", "num_symbols", "latent_size", "point_", "energy_hidden_size", "energy_num_blocks")

COLUMNS: dict[str, Callable[[dict[str, list[float]]], str]] = {
    "modes covered": lambda scores: spread(scores.get("modes_covered")),
    "weight error": lambda scores: spread(scores.get("weight_error")),
    "off-mode %": lambda scores: spread(scores.get("off_mode"), 100),
    "off-mode %, posterior z": lambda scores: spread(scores.get("posterior_off_mode"), 100),
    "energy distance x": lambda scores: spread(scores.get("x_energy_distance")),
    "sliced W x": lambda scores: spread(scores.get("x_sliced_wasserstein")),
    "reconstruction rms": lambda scores: spread(scores.get("reconstruction_rms")),
    "energy distance z": lambda scores: spread(scores.get("z_energy_distance")),
    "sliced W z": lambda scores: spread(scores.get("z_sliced_wasserstein")),
    "V-measure (chance)": lambda scores: spread(scores.get("v_measure")) + in_brackets(scores.get("v_measure_chance")),
    "ARI": lambda scores: spread(scores.get("adjusted_rand")),
    "CPU s": lambda scores: spread(scores.get("cpu_seconds")),
}
NUM_SAMPLES = 10_000
NUM_COVERAGE_SAMPLES = 2000


class StudyTrainer(TimedTrainer):
    """A timed trainer that also logs how many modes are covered: lines of `metrics.jsonl` with the split `study`."""

    def _validate(self) -> dict[str, float]:
        values = super()._validate()
        distribution = POINT_DISTRIBUTIONS.get(self.settings.data.source)
        if distribution is not None:
            progress = self.progress
            generator = torch.Generator(self.model.device).manual_seed(self.training.seed)
            points = self.model.generate(num_samples=NUM_COVERAGE_SAMPLES, do_sample=True, generator=generator)
            assignments = distribution.assign(points.cpu().numpy(), num_stds=NUM_STDS)
            modes = vars(mode_scores(assignments, distribution.weights))
            self.metrics.write(progress.step, progress.step / self.steps_per_epoch, "study", modes)
        return values


def study_run(data: str, model: str, seed: int, folder: Path, changes: Changes) -> StudyRun:
    """The data set's recipe, what makes the model another one, then `changes`."""
    recipe = read_recipe(RECIPES / f"{data}.yaml")
    if "preset" in MODELS[model].get("model", {}):
        recipe["model"] = {name: value for name, value in recipe["model"].items() if name.startswith(KEPT)}
    changes = merge(recipe, MODELS[model], {"training": {"save_total_limit": 1}}, changes)
    return StudyRun.of(model, seed, folder / data / model / str(seed), changes)


def train_and_score(run: StudyRun) -> Scores:
    model, tokenizer, corpus = assemble(run.settings)
    trainer = StudyTrainer(model, tokenizer, corpus, run.settings)
    trainer.train()
    replace_folder(run.folder / "final", model.save_pretrained)
    distribution = POINT_DISTRIBUTIONS.get(run.settings.data.source)
    samples = draw_samples(model, points_to_score_on(distribution), NUM_SAMPLES, run.seed)
    samples.save(run.folder / "samples.npz")
    return score_samples(samples, distribution, run.seed) | trainer.times


def points_to_score_on(distribution) -> PointSplit:
    """Points that neither trained nor selected anything, the same for every run."""
    return PointSplit(*distribution.sample(NUM_SAMPLES, [0, 4]))


def command_of(run: StudyRun, data: str, options: argparse.Namespace) -> list[str]:
    """The command line that finishes a run in a process of its own."""
    command = [sys.executable, __file__, "--data", data, "--models", run.model, "--seeds", str(run.seed)]
    command += ["--train_only", "--output_dir", str(options.output_dir)]
    if options.max_steps is not None:
        command += ["--max_steps", str(options.max_steps)]
    if options.set:
        command += ["--set", *options.set]
    return command


def report(options: argparse.Namespace, data: str, runs: list[StudyRun]) -> None:
    """Print and write the table of runs, and draw the figures of the first seed."""
    per_run = finished(runs)
    if not per_run:
        return
    distribution, folder = POINT_DISTRIBUTIONS[data], options.output_dir / data
    held_out = points_to_score_on(distribution)
    floor = {str(seed): floor_scores(held_out, distribution, NUM_SAMPLES, seed) for seed in options.seeds}
    rows = {"true points": floor}
    for model, of_seeds in per_run.items():
        note = "" if len(of_seeds) == len(options.seeds) else f" ({len(of_seeds)} of {len(options.seeds)} seeds)"
        rows[model.replace("_", " ") + note] = of_seeds
    text = table(rows, COLUMNS)
    write_text(folder / "table.md", text + "\n")
    write_text(folder / "table.json", json.dumps({"true points": floor, **per_run}, indent=1))
    print(f"\n{data}, seeds {', '.join(map(str, options.seeds))}\n\n{text}\n", flush=True)
    first = {run.model: run.folder for run in runs if run.seed == options.seeds[0] and run.finished_scores()}
    drawn = {model: first[model] for model in options.figure_models or options.models if model in first}
    samples = {model: PointSamples.load(run / "samples.npz") for model, run in drawn.items()}
    curves = {model: evolution(run) for model, run in drawn.items()}
    draw(samples, curves, options.figures_dir or folder, data)


def evolution(run: Path) -> dict[str, tuple[list[float], list[float]]]:
    """What a run's validations say of its training, as steps and values by name."""
    curves: dict[str, tuple[list[float], list[float]]] = {}

    def add(name: str, line: dict, value: float) -> None:
        steps, values = curves.setdefault(name, ([], []))
        steps.append(line["step"])
        values.append(value)

    for line in read_metrics(run, "validation"):
        values = line["values"]
        if "prior_loss" in values:
            add("prior + entropy terms, nats", line, values["prior_loss"] + values["entropy_loss"])
        if "energy_positive" in values:
            add("energy gap, posterior - prior", line, values["energy_positive"] - values["energy_negative"])
    for line in read_metrics(run, "study"):
        add("modes covered", line, line["values"]["modes_covered"])
    return curves


def draw(samples: dict[str, PointSamples], curves: dict[str, dict], folder: Path, name: str) -> None:
    if not samples:
        return
    figures = {"densities": (plot_densities, samples), "symbols": (plot_symbols, samples)}
    figures["training"] = (plot_evolution, curves)
    for kind, (plot, content) in figures.items():
        try:
            plot(content, folder / f"{name}_{kind}.png")
        except ImportError as error:
            print(f"no figures: {error}")
            return
    print(f"figures: {', '.join(str(folder / f'{name}_{kind}.png') for kind in figures)}")


def score_run(run: Path, figures_dir: Path | None) -> None:
    """Score and draw a model of points that `examples/train.py` trained."""
    settings = Settings.from_dict(yaml.safe_load((run / "settings.yaml").read_text("utf-8")))
    if settings.modality != "point":
        raise ValueError(f"{run} holds a model of texts: see examples/generate.py")
    corpus, distribution = settings.load_corpus(), POINT_DISTRIBUTIONS.get(settings.data.source)
    samples = draw_samples(LDEBMModel.from_pretrained(run), corpus.validation, NUM_SAMPLES)
    floor = floor_scores(corpus.validation, distribution, NUM_SAMPLES)
    print(table({"true points": {"0": floor}, run.name: {"0": score_samples(samples, distribution)}}, COLUMNS))
    draw({run.name: samples}, {run.name: evolution(run)}, figures_dir or run, "points")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    def names(text: str) -> list[str]:
        return [name.strip() for name in text.split(",") if name.strip()]

    known = f"baselines, ablations, all, or {', '.join(MODELS)}"

    def models(text: str) -> list[str]:
        groups = {"baselines": BASELINES, "ablations": ABLATIONS, "all": MODELS}
        chosen = [model for name in names(text) for model in groups.get(name, [name])]
        unknown = [name for name in chosen if name not in MODELS]
        if unknown or not chosen:
            raise argparse.ArgumentTypeError(f"unknown model {', '.join(unknown)!r}: use {known}")
        return list(dict.fromkeys(chosen))

    def sources(text: str) -> list[str]:
        unknown = [name for name in names(text) if name not in POINT_DISTRIBUTIONS]
        if unknown or not names(text):
            raise argparse.ArgumentTypeError(f"unknown data {text!r}: use {' or '.join(POINT_DISTRIBUTIONS)}")
        return names(text)

    def seeds(text: str) -> list[int]:
        return [int(seed) for seed in names(text)]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", help="folder of a trained model: score and draw only that")
    parser.add_argument("--data", type=sources, default=["gaussians"], help="gaussians (default), pinwheel, or both")
    default = ["ldebm", "vae", "svebm"]
    parser.add_argument("--models", type=models, default=default, help=known)
    parser.add_argument("--seeds", type=seeds, default=[0], help="default 0; e.g. 0,1,2")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/synthetic"))
    parser.add_argument("--figures_dir", type=Path, help="where the figures go; default: beside the table")
    parser.add_argument("--figure_models", type=models, help="models to draw; default: all of --models")
    parser.add_argument("--max_steps", type=int, help="optimiser steps, instead of the recipe's epochs")
    setting = {"nargs": "+", "action": "extend", "default": [], "metavar": "SECTION.NAME=VALUE"}
    parser.add_argument("--set", **setting, help="settings of every run")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each in a process of one thread")
    parser.add_argument("--train_only", action="store_true", help="train and score, no table and no figures")
    options = parser.parse_args(arguments)
    if not options.seeds or options.jobs < 1:
        parser.error("--seeds needs at least one, and --jobs at least 1")
    try:
        options.changes = parse_changes(options.set)
    except ValueError as error:
        parser.error(str(error))
    if options.max_steps is not None:
        options.changes.setdefault("training", {})["max_steps"] = options.max_steps
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    disable_progress_bar()  # of saving
    if options.run is not None:
        score_run(options.run, options.figures_dir)
        return
    failed = 0
    for data in options.data:
        # Mistakes are found before anything is trained.
        runs = [
            study_run(data, model, seed, options.output_dir, options.changes)
            for seed in options.seeds
            for model in options.models
        ]
        if options.jobs == 1:
            failures = finish_here(runs, train_and_score, data)
        else:
            failures = finish_in_processes(runs, partial(command_of, data=data, options=options), options.jobs, data)
        failed += len(failures)
        if not options.train_only:
            report(options, data, [run for run in runs if (run.model, run.seed) not in failures])
        for (model, seed), reason in failures.items():
            print(f"failed: {data}, {model}, seed {seed}: {reason}", file=sys.stderr)
    if failed:
        sys.exit(f"{failed} of the runs failed; the same command tries them again")


def terminate(signum: int, frame: object) -> None:
    sys.exit("terminated; the same command goes on")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminate)
    try:
        main()
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on")
