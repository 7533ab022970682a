"""Compare priors on points of the plane: train models side by side, score them, draw the paper's Figures 2 and 3.

    python examples/synthetic.py --data gaussians --models ldebm,vae,svebm --seeds 0,1,2 --jobs 2
    python examples/synthetic.py --data gaussians,pinwheel --models baselines --figures_dir docs
    python examples/synthetic.py --set training.num_train_epochs=5 model.langevin_steps=20
    python examples/synthetic.py outputs/gaussians        # score and draw a model that examples/train.py trained

Every run is in OUTPUT_DIR/data/model/seed, with the final model, its samples and `scores.json`. The same command keeps
the runs that are finished and continues those that were interrupted. The table has mean and standard deviation over
seeds below a first row of fresh true points; it is printed and written to `table.md` and `table.json` beside the runs.
Figures are of the first seed.
"""

import argparse
from functools import partial
from pathlib import Path

from ldebm_hf.commands.options import (
    SAME_COMMAND,
    exit_if_failed,
    experiment_options,
    list_of,
    make_parser,
    positive_integer,
    run_script,
)
from ldebm_hf.data import POINT_DISTRIBUTIONS
from ldebm_hf.experiments.experiment_runs import parse_changes
from ldebm_hf.experiments.parallel_runs import finish_runs
from ldebm_hf.experiments.point_experiment import ABLATIONS, BASELINES, MODELS, point_run, train_and_score
from ldebm_hf.experiments.point_report import report_point_run, report_points
from ldebm_hf.files.packaged import RECIPES

GROUPS = {"baselines": BASELINES, "ablations": ABLATIONS, "all": MODELS}


def read_models(text: str) -> list[str]:
    chosen = [model for name in list_of(str)(text) for model in GROUPS.get(name, [name])]
    unknown = [name for name in chosen if name not in MODELS]
    if unknown:
        known = f"baselines, ablations, all, or {', '.join(MODELS)}"
        raise argparse.ArgumentTypeError(f"unknown model {', '.join(unknown)!r}: use {known}")
    return list(dict.fromkeys(chosen))


def read_data(text: str) -> list[str]:
    names = list_of(str)(text)
    unknown = [name for name in names if name not in POINT_DISTRIBUTIONS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown data {text!r}: use {' or '.join(POINT_DISTRIBUTIONS)}")
    return names


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = make_parser(__doc__, "[RUN] [options]", experiment_options("outputs/synthetic"))
    parser.add_argument("run", type=Path, nargs="?", help="folder of a trained model: score and draw only that")
    parser.add_argument(
        "--data", type=read_data, default=["gaussians"], metavar="A,B", help="gaussians (default), pinwheel, or both"
    )
    parser.add_argument(
        "--models",
        type=read_models,
        default=["ldebm", "vae", "svebm"],
        metavar="A,B",
        help=f"baselines, ablations, all, or names (default ldebm,vae,svebm): {', '.join(MODELS)}",
    )
    parser.add_argument(
        "--figures_dir", type=Path, metavar="FOLDER", help="folder of the figures (default: beside the table)"
    )
    parser.add_argument("--figure_models", type=read_models, metavar="A,B", help="models to draw (default: all)")
    parser.add_argument(
        "--max_steps", type=positive_integer, metavar="N", help="number of training steps, instead of the epochs"
    )
    options = parser.parse_args(arguments)
    try:
        options.changes = parse_changes(options.set)
    except ValueError as error:
        parser.error(str(error))
    if options.max_steps is not None:
        options.changes.setdefault("training", {})["max_steps"] = options.max_steps
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)

    # 1. One model that was trained elsewhere.
    if options.run is not None:
        print(report_point_run(options.run, options.figures_dir))
        return

    all_failures = {}
    for data in options.data:
        # 2. The runs. Mistakes in settings are found here, before anything is trained.
        make_run = partial(point_run, data, recipes=RECIPES, folder=options.output_dir, changes=options.changes)
        runs = [make_run(model, seed) for seed in options.seeds for model in options.models]

        # 3. Train and score what is not finished.
        failures = finish_runs(runs, train_and_score, options.jobs, data)
        all_failures |= {(f"{data}, {model}", seed): reason for (model, seed), reason in failures.items()}

        # 4. The table and the figures.
        if not options.train_only:
            finished = [run for run in runs if (run.model, run.seed) not in failures]
            report = report_points(
                data,
                finished,
                options.seeds,
                options.output_dir,
                figure_models=options.figure_models or options.models,
                figures_dir=options.figures_dir,
            )
            if report:
                print(report, flush=True)
    exit_if_failed(all_failures)


if __name__ == "__main__":
    run_script(main, continues=SAME_COMMAND)
