"""The study of priors on points of the plane: train models side by side, score them, draw the paper's Figures 2 and 3.

    python examples/synthetic.py --data gaussians --models ldebm,vae,svebm --seeds 0,1,2 --jobs 2
    python examples/synthetic.py --data gaussians,pinwheel --models all --figures_dir docs
    python examples/synthetic.py --set training.num_train_epochs=5 model.langevin_steps=20
    python examples/synthetic.py outputs/gaussians        # score and draw what examples/train.py trained

Every run is in `--output_dir`/data/model/seed and ends with the final model (`final/`), its samples and `scores.json`
there; started again, the script keeps the runs that are finished and resumes those that were interrupted. At the end
it prints a Markdown table, mean and standard deviation over seeds below a first row of fresh true points, and writes
it to `table.md` and `table.json` beside the runs; figures are of the first seed.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from accelerate.utils import set_seed
from tqdm.auto import tqdm
from transformers.utils.logging import disable_progress_bar

from ldebm_hf import LDEBMModel
from ldebm_hf.data import POINT_DISTRIBUTIONS, PointSplit, check_corpus
from ldebm_hf.plots import plot_densities, plot_evolution, plot_symbols
from ldebm_hf.scores import PointSamples, draw_samples, floor_scores, mode_scores, score_samples
from ldebm_hf.scores.points import NUM_STDS
from ldebm_hf.training import DivergenceError, Settings, Trainer
from ldebm_hf.training.atomic import replace_folder, write_text

RECIPES = Path(__file__).parent / "recipes"
Changes = dict[str, dict[str, Any]]  # {section: {setting: value}}


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
    "svebm_fixed_scale": preset("svebm", **SVEBM, normalize_posterior=True),
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
    "V-measure (chance)": lambda scores: spread(scores.get("v_measure")) + chance(scores.get("v_measure_chance")),
    "ARI": lambda scores: spread(scores.get("adjusted_rand")),
    "CPU s": lambda scores: spread(scores.get("cpu_seconds")),
}
OF_PLACE = {"training.output_dir", "training.resume", "training.overwrite_output_dir"}
NUM_SAMPLES = 10_000
NUM_COVERAGE_SAMPLES = 2000


class StudyTrainer(Trainer):
    """A trainer that logs, beside the rest, how many modes are covered and how long training has taken.

    Lines of `metrics.jsonl` with the split `study`: modes; `clock`: seconds of the CPU and of the wall until a
    checkpoint, in training alone, kept over interruptions.
    """

    def __init__(self, *arguments, distribution) -> None:
        super().__init__(*arguments)
        self.distribution = distribution
        self.seconds = np.zeros(2)
        self.started: np.ndarray | None = None

    def _start(self) -> None:
        super()._start()
        clocks = read_metrics(self.folder.path, "clock")
        if clocks:
            self.seconds = np.array([clocks[-1]["values"][name] for name in ("cpu_seconds", "wall_seconds")])

    def _train_epoch(self) -> None:
        self.started = now()
        super()._train_epoch()
        self.seconds, self.started = self.seconds + now() - self.started, None

    def _validate(self) -> dict[str, float]:
        values = super()._validate()
        if self.distribution is not None:
            progress = self.progress
            generator = torch.Generator(self.model.device).manual_seed(self.training.seed)
            points = self.model.generate(num_samples=NUM_COVERAGE_SAMPLES, do_sample=True, generator=generator)
            assignments = self.distribution.assign(points.cpu().numpy(), num_stds=NUM_STDS)
            modes = vars(mode_scores(assignments, self.distribution.weights))
            self.metrics.write(progress.step, progress.step / self.steps_per_epoch, "study", modes)
        return values

    def _save_checkpoint(self) -> None:
        cpu, wall = self.seconds + (0 if self.started is None else now() - self.started)
        values = {"cpu_seconds": float(cpu), "wall_seconds": float(wall)}
        # Before the checkpoint: where that is not written, a resumed run drops the line.
        self.metrics.write(self.progress.step, self.progress.step / self.steps_per_epoch, "clock", values)
        super()._save_checkpoint()


def now() -> np.ndarray:
    return np.array([time.process_time(), time.perf_counter()])


def read_metrics(run: Path, split: str) -> list[dict]:
    """The lines of a split in a run's `metrics.jsonl`."""
    file = run / "metrics.jsonl"
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []
    return [line for line in lines if line["split"] == split]


def study_settings(data: str, model: str, seed: int, run: Path, changes: Changes) -> Settings:
    """The settings of one run: the data set's recipe, what makes the model another one, then `changes`."""
    recipe = yaml.safe_load((RECIPES / f"{data}.yaml").read_text("utf-8"))
    if "preset" in MODELS[model].get("model", {}):
        recipe["model"] = {name: value for name, value in recipe["model"].items() if name.startswith(KEPT)}
    of_run = {"output_dir": str(run), "overwrite_output_dir": False, "seed": seed, "resume": "latest"}
    values: Changes = {}
    for part in (recipe, MODELS[model], {"training": {"save_total_limit": 1}}, changes, {"training": of_run}):
        for section, entries in part.items():
            values.setdefault(section, {}).update(entries)
    return Settings.from_dict(values)


def finish_run(data: str, model_name: str, seed: int, run: Path, changes: Changes) -> dict[str, float]:
    """Train and score a model, unless that is done: its scores, and `cpu_seconds` and `wall_seconds` of training.

    Raises:
        ValueError: the folder holds a finished run of other settings.
    """
    settings = study_settings(data, model_name, seed, run, changes)
    key = {f"{section}.{name}": value for section, part in settings.to_dict().items() for name, value in part.items()}
    key = {name: value for name, value in json.loads(json.dumps(key)).items() if name not in OF_PLACE}
    if (run / "scores.json").exists():
        finished = json.loads((run / "scores.json").read_text("utf-8"))
        earlier = finished["settings"]
        different = [name for name in earlier.keys() & key.keys() if earlier[name] != key[name]]
        different += [name for name in earlier.keys() ^ key.keys() if name.startswith("model.")]
        if different:
            names = ", ".join(sorted(different))
            raise ValueError(f"{run} holds a run with another {names}: remove it, or give another --output_dir")
        return finished["scores"]
    corpus, distribution = settings.load_corpus(), POINT_DISTRIBUTIONS.get(settings.data.source)
    config = settings.model_config(None, corpus.label_names, corpus.train.points)
    check_corpus(corpus, config.num_labels if config.has_symbols else max(1, len(corpus.label_names)))
    set_seed(seed)
    model = LDEBMModel(config)
    trainer = StudyTrainer(model, None, corpus, settings, distribution=distribution)
    trainer.train()
    replace_folder(run / "final", model.save_pretrained)
    samples = draw_samples(model, points_to_score_on(distribution), NUM_SAMPLES, seed)
    samples.save(run / "samples.npz")
    scores = score_samples(samples, distribution, seed)
    scores |= dict(zip(("cpu_seconds", "wall_seconds"), trainer.seconds.tolist(), strict=True))
    write_text(run / "scores.json", json.dumps({"scores": scores, "settings": key}, indent=1))
    return scores


def points_to_score_on(distribution) -> PointSplit:
    """Points that neither trained nor selected anything, the same for every run."""
    return PointSplit(*distribution.sample(NUM_SAMPLES, [0, 4]))


def run_here(runs: list[tuple[str, int]], options: argparse.Namespace, data: str) -> dict[tuple[str, int], str]:
    """Finish runs, given by model and seed, one after the other; what went wrong, by run."""
    failures = {}
    for number, (model, seed) in enumerate(runs, start=1):
        tqdm.write(f"[{number}/{len(runs)}] {data}, {model}, seed {seed}")
        try:
            finish_run(data, model, seed, folder_of(options, data, model, seed), options.changes)
        except (DivergenceError, ValueError, OSError, RuntimeError) as error:
            failures[model, seed] = str(error)
            tqdm.write(f"  failed: {error}")
    return failures


def run_in_processes(runs: list[tuple[str, int]], options: argparse.Namespace, data: str) -> dict:
    """As `run_here`, `options.jobs` at a time, each in a process of one thread whose output is in its `run.log`."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    failures, processes, stopped = {}, set(), threading.Event()
    bar = tqdm(total=len(runs), desc=data, unit="run")

    def work(run: tuple[str, int]) -> None:
        if stopped.is_set():
            return
        model, seed = run
        folder = folder_of(options, data, model, seed)
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, __file__, "--data", data, "--models", model, "--seeds", str(seed), "--train_only"]
        command += ["--output_dir", str(options.output_dir)]
        if options.max_steps is not None:
            command += ["--max_steps", str(options.max_steps)]
        if options.set:
            command += ["--set", *options.set]
        started = time.perf_counter()
        with (folder / "run.log").open("w", encoding="utf-8") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
            processes.add(process)
            code = process.wait()
            processes.remove(process)
        if stopped.is_set():
            return
        if code:
            failures[run] = f"exit code {code}, see {folder / 'run.log'}"
        outcome = failures.get(run, f"done in {time.perf_counter() - started:.0f} s")
        bar.update()
        tqdm.write(f"{model}, seed {seed}: {outcome}")

    pool = ThreadPoolExecutor(options.jobs)
    try:
        for future in [pool.submit(work, run) for run in runs]:
            future.result()
    finally:
        stopped.set()
        for process in list(processes):
            process.terminate()
        pool.shutdown()
        bar.close()
    return failures


def folder_of(options: argparse.Namespace, data: str, model: str, seed: int) -> Path:
    return options.output_dir / data / model / str(seed)


def report(options: argparse.Namespace, data: str, failures: dict[tuple[str, int], str]) -> None:
    """Print and write the table of all runs that did not fail, and draw the figures of the first seed."""
    rows: dict[str, dict[str, list[float]]] = {}
    per_run: dict[str, dict[str, dict[str, float]]] = {}
    for model in options.models:
        for seed in options.seeds:
            file = folder_of(options, data, model, seed) / "scores.json"
            if (model, seed) not in failures:
                per_run.setdefault(model, {})[str(seed)] = json.loads(file.read_text("utf-8"))["scores"]
    if not per_run:
        return
    held_out = points_to_score_on(POINT_DISTRIBUTIONS[data])
    floor = {str(seed): floor_scores(held_out, POINT_DISTRIBUTIONS[data], NUM_SAMPLES, seed) for seed in options.seeds}
    for name, runs in {"true points": floor, **per_run}.items():
        note = "" if len(runs) == len(options.seeds) else f" ({len(runs)} of {len(options.seeds)} seeds)"
        names = next(iter(runs.values()))
        rows[name.replace("_", " ") + note] = {score: [run[score] for run in runs.values()] for score in names}
    folder = options.output_dir / data
    text = table(rows)
    write_text(folder / "table.md", text + "\n")
    write_text(folder / "table.json", json.dumps({"true points": floor, **per_run}, indent=1))
    print(f"\n{data}, seeds {', '.join(map(str, options.seeds))}\n\n{text}\n", flush=True)
    drawn = options.figure_models or options.models
    runs = {model: folder_of(options, data, model, options.seeds[0]) for model in drawn}
    runs = {model: run for model, run in runs.items() if str(options.seeds[0]) in per_run.get(model, {})}
    samples = {model: PointSamples.load(run / "samples.npz") for model, run in runs.items()}
    draw(samples, {model: evolution(run) for model, run in runs.items()}, options.figures_dir or folder, data)


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


def table(rows: dict[str, dict[str, list[float]]]) -> str:
    """A Markdown table of `COLUMNS`; scores of all seeds by row and name."""
    lines = ["| model | " + " | ".join(COLUMNS) + " |", "|---" + "|---:" * len(COLUMNS) + "|"]
    for name, scores in rows.items():
        lines.append(f"| {name} | " + " | ".join(cell(scores) for cell in COLUMNS.values()) + " |")
    return "\n".join(lines)


def spread(values: list[float] | None, unit: float = 1) -> str:
    """Mean ± standard deviation over seeds, multiplied by `unit`; empty if there are none."""
    if values is None:
        return ""
    values = unit * np.array(values)
    return f"{values.mean():.3g}" + (f" ± {values.std(ddof=1):.2g}" if len(values) > 1 else "")


def chance(values: list[float] | None) -> str:
    return "" if values is None else f" ({np.mean(values):.2g})"


def score_run(run: Path, figures_dir: Path | None) -> None:
    """Score and draw a model of points that `examples/train.py` trained."""
    settings = Settings.from_dict(yaml.safe_load((run / "settings.yaml").read_text("utf-8")))
    if settings.modality != "point":
        raise ValueError(f"{run} holds a model of texts: see examples/generate.py")
    corpus, distribution = settings.load_corpus(), POINT_DISTRIBUTIONS.get(settings.data.source)
    samples = draw_samples(LDEBMModel.from_pretrained(run), corpus.validation, NUM_SAMPLES)
    rows = {
        "true points": floor_scores(corpus.validation, distribution, NUM_SAMPLES),
        run.name: score_samples(samples, distribution),
    }
    print(table({name: {score: [value] for score, value in scores.items()} for name, scores in rows.items()}))
    draw({run.name: samples}, {run.name: evolution(run)}, figures_dir or run, "points")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    def names(text: str) -> list[str]:
        return [name.strip() for name in text.split(",") if name.strip()]

    def models(text: str) -> list[str]:
        chosen = list(MODELS) if text == "all" else names(text)
        unknown = [name for name in chosen if name not in MODELS]
        if unknown or not chosen:
            raise argparse.ArgumentTypeError(f"unknown model {', '.join(unknown)!r}: use all, or {', '.join(MODELS)}")
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
    parser.add_argument("--models", type=models, default=default, help=f"all, or {', '.join(MODELS)}")
    parser.add_argument("--seeds", type=seeds, default=[0], help="default 0; e.g. 0,1,2")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/synthetic"))
    parser.add_argument("--figures_dir", type=Path, help="where the figures go; default: beside the table")
    parser.add_argument("--figure_models", type=models, help="models to draw; default: all of --models")
    parser.add_argument("--max_steps", type=int, help="optimiser steps, instead of the recipe's epochs")
    parser.add_argument("--set", nargs="+", default=[], metavar="SECTION.NAME=VALUE", help="settings of every run")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each in a process of one thread")
    parser.add_argument("--train_only", action="store_true", help="train and score, no table and no figures")
    options = parser.parse_args(arguments)
    if not options.seeds or options.jobs < 1:
        parser.error("--seeds needs at least one, and --jobs at least 1")
    options.changes = {}
    for text in options.set:
        name, equals, value = text.partition("=")
        section, dot, setting = name.partition(".")
        if not equals or not dot:
            parser.error(f"--set takes section.name=value, got {text!r}")
        options.changes.setdefault(section, {})[setting] = value
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
        runs = [(model, seed) for seed in options.seeds for model in options.models]
        for model, seed in runs:  # mistakes are found before anything is trained
            study_settings(data, model, seed, folder_of(options, data, model, seed), options.changes)
        failures = (run_here if options.jobs == 1 else run_in_processes)(runs, options, data)
        failed += len(failures)
        if not options.train_only:
            report(options, data, failures)
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
