"""The report of the experiment with points: a table of scores, and figures of densities, symbols and training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from ..data import POINT_DISTRIBUTIONS
from ..files.atomic import write_text
from ..model.modeling_ldebm import LDEBMModel
from ..reports.plots import plot_densities, plot_evolution, plot_symbols
from ..reports.run_record import read_metrics
from ..scores import PointSamples, draw_samples, floor_scores, score_samples
from ..training import Settings
from .experiment_runs import ExperimentRun, collect_scores
from .point_experiment import COVERAGE, NUM_SAMPLES, SAMPLES_FILE, points_to_score_on
from .score_tables import Cell, chance_level, mean_and_deviation, table_of_rows

COLUMNS: dict[str, Cell] = {
    "modes covered": lambda scores: mean_and_deviation(scores.get("modes_covered")),
    "weight error": lambda scores: mean_and_deviation(scores.get("weight_error")),
    "off-mode %": lambda scores: mean_and_deviation(scores.get("off_mode"), 100),
    "off-mode %, posterior z": lambda scores: mean_and_deviation(scores.get("posterior_off_mode"), 100),
    "energy distance x": lambda scores: mean_and_deviation(scores.get("x_energy_distance")),
    "sliced W x": lambda scores: mean_and_deviation(scores.get("x_sliced_wasserstein")),
    "reconstruction rms": lambda scores: mean_and_deviation(scores.get("reconstruction_rms")),
    "energy distance z": lambda scores: mean_and_deviation(scores.get("z_energy_distance")),
    "sliced W z": lambda scores: mean_and_deviation(scores.get("z_sliced_wasserstein")),
    "V-measure (chance)": lambda scores: (
        mean_and_deviation(scores.get("v_measure")) + chance_level(scores.get("v_measure_chance"))
    ),
    "ARI": lambda scores: mean_and_deviation(scores.get("adjusted_rand")),
    "CPU s": lambda scores: mean_and_deviation(scores.get("cpu_seconds")),
}
Curves = dict[str, tuple[list[float], list[float]]]
"""Steps and values by name."""


def report_points(
    data: str,
    runs: Sequence[ExperimentRun],
    seeds: Sequence[int],
    output_dir: Path,
    *,
    figure_models: Sequence[str],
    figures_dir: Path | None = None,
) -> str:
    """
    Write `table.md` and `table.json` of the finished runs, with fresh true points in the first row, and the figures.

    Args:
        data (`str`): Name of the distribution of points.
        runs (`Sequence[ExperimentRun]`): The runs, finished or not.
        seeds (`Sequence[int]`): Their seeds; figures are of the first one.
        output_dir (`Path`): Folder of the experiment.
        figure_models (`Sequence[str]`): Names of the models to draw.
        figures_dir (`Path`, *optional*): Where figures go; default: beside the table.

    Returns:
        `str`: The table, and the names of the figures; empty if nothing is finished.
    """
    scores = collect_scores(runs)
    if not scores:
        return ""
    distribution, folder = POINT_DISTRIBUTIONS[data], output_dir / data
    held_out = points_to_score_on(distribution)
    floor = {str(seed): floor_scores(held_out, distribution, NUM_SAMPLES, seed) for seed in seeds}
    rows = {"true points": floor}
    for model, of_seeds in scores.items():
        note = "" if len(of_seeds) == len(seeds) else f" ({len(of_seeds)} of {len(seeds)} seeds)"
        rows[model.replace("_", " ") + note] = of_seeds
    text = table_of_rows(rows, COLUMNS)
    write_text(folder / "table.md", text + "\n")
    write_text(folder / "table.json", json.dumps({"true points": floor, **scores}, indent=1))
    first = {run.model: run.folder for run in runs if run.seed == seeds[0] and run.finished_scores()}
    drawn = {model: first[model] for model in figure_models if model in first}
    samples = {model: PointSamples.load(run / SAMPLES_FILE) for model, run in drawn.items()}
    curves = {model: training_curves(run) for model, run in drawn.items()}
    figures = draw_figures(samples, curves, figures_dir or folder, data)
    return f"\n{data}, seeds {', '.join(map(str, seeds))}\n\n{text}\n\n{figures}"


def report_point_run(run: Path, figures_dir: Path | None = None) -> str:
    """
    Score and draw one model of points that training left in a folder.

    Args:
        run (`Path`): Folder of the training.
        figures_dir (`Path`, *optional*): Where figures go; default: the same folder.

    Returns:
        `str`: The table, and the names of the figures.

    Raises:
        ValueError: If the model is of texts.
    """
    settings = Settings.from_dict(yaml.safe_load((run / "settings.yaml").read_text("utf-8")))
    if settings.modality_class.reads_texts:
        raise ValueError(f"{run} holds a model of texts: see ldebm write")
    corpus, distribution = settings.load_corpus(), POINT_DISTRIBUTIONS.get(settings.data.source)
    samples = draw_samples(LDEBMModel.from_pretrained(run), corpus.validation, NUM_SAMPLES)
    floor = floor_scores(corpus.validation, distribution, NUM_SAMPLES)
    rows = {"true points": {"0": floor}, run.name: {"0": score_samples(samples, distribution)}}
    figures = draw_figures({run.name: samples}, {run.name: training_curves(run)}, figures_dir or run, "points")
    return f"{table_of_rows(rows, COLUMNS)}\n{figures}"


def training_curves(run: Path) -> Curves:
    """Return what the validations of a run say of its training."""
    curves: Curves = {}

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
    for line in read_metrics(run, COVERAGE):
        add("modes covered", line, line["values"]["modes_covered"])
    return curves


def draw_figures(samples: dict[str, PointSamples], curves: dict[str, Curves], folder: Path, name: str) -> str:
    """Draw densities, symbols and training curves by model, and return a line that names the files."""
    if not samples:
        return ""
    files = {kind: folder / f"{name}_{kind}.png" for kind in ("densities", "symbols", "training")}
    try:
        plot_densities(samples, files["densities"])
        plot_symbols(samples, files["symbols"])
        plot_evolution(curves, files["training"])
    except ImportError as error:
        return f"no figures: {error}"
    return f"figures: {', '.join(map(str, files.values()))}"
