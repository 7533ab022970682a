"""Score models of texts on held-out texts: one checkpoint, or a table of the paper, training whatever it lacks.

    python examples/evaluate.py outputs/daily_dialog
    python examples/evaluate.py outputs/yelp --judge outputs/judge --language_model outputs/lm --guidance_scales 1,4,16
    python examples/evaluate.py outputs/mine --text_clusters kmeans_tfidf,kmeans_lsa,density_clusters
    python examples/evaluate.py --config examples/tables/table1.yaml --data_dir data/ptb --num_samples 4000
    python examples/evaluate.py --config examples/tables/table3.yaml --data_dir data/daily_dialog --seeds 0,1,2
    python examples/evaluate.py --config examples/tables/table7.yaml --data_dir data/yelp --rows ldebm
    python examples/evaluate.py --config examples/tables/table9.yaml --data_dir data/agnews --seeds 0,1,2,3,4

A checkpoint is scored on the corpus that its `settings.yaml` names (or `--data`, as in examples/train.py): what it
reads (reconstructions, symbols against the corpus's classes and attributes, with chance levels), what it answers if it
has contexts and, with a judge, how well it writes for a class. `evaluation.json` beside it holds every score
(`evaluation.test.json` of the test split, `-changed` with `--set`).

A table has rows that differ in a few settings of one recipe. Every run is in `--output_dir`/TABLE/row/seed, and the
same command goes on after an interruption. It prints a Markdown table of means and standard deviations over seeds
below the paper's own figures, with all rows that are finished, and writes `table.md` and `table.json`.
"""

import argparse
import json
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from ldebm_hf.experiments.experiments import StudyRun, finish_here, finish_in_processes, merge, parse_changes
from ldebm_hf.experiments.paper_tables import LANGUAGE_MODEL, PaperTable, guidance_sweep, other_ways, real_texts
from ldebm_hf.experiments.score_columns import score_table
from ldebm_hf.experiments.table_report import write_report
from ldebm_hf.experiments.table_runs import (
    WAYS_TO_CLUSTER,
    ScoringOptions,
    check_split,
    chosen_names,
    load_for_scoring,
    score_responses,
    text_cluster_scores,
    train_and_score,
    train_shared_language_models,
)
from ldebm_hf.files.atomic import write_text
from ldebm_hf.reports.plots import plot_guidance
from ldebm_hf.reports.run_record import EVALUATION, scores_file
from ldebm_hf.scores.conditional_generation import control_scores
from ldebm_hf.scores.held_out_texts import classes_of, reading_scores
from ldebm_hf.scores.lstm_language_model import LanguageModelSettings
from ldebm_hf.training import Settings
from ldebm_hf.training.saved_runs import find_checkpoint, settings_of

EXAMPLES = Path(__file__).parent
SMOKE = {
    "data": {"max_train_examples": 200},
    "model": {"embedding_size": 16, "encoder_hidden_size": 16, "decoder_hidden_size": 16,
              "energy_hidden_size": 16, "langevin_steps": 2},
    "training": {"num_train_epochs": 1},
}  # fmt: skip
AS_PUBLISHED = (
    "as published: rPPL, BLEU and wKL, the first and the last of all samples; all other scores are of as many samples "
    "as there are held-out texts, whose row is their floor"
)
SMOKE_LABEL_COUNTS = [20, 40]
SMOKE_SAMPLES = 100
SMOKE_LANGUAGE_MODEL = LanguageModelSettings(embedding_size=16, hidden_size=16, num_layers=1, num_epochs=2)


# 1. A table.


def make_table(options: argparse.Namespace) -> None:
    plan = PaperTable.load(options.config)
    if plan.label_counts and options.smoke:
        plan.label_counts = SMOKE_LABEL_COUNTS
    if plan.measure == "generation" and options.smoke:
        plan.num_samples, plan.sample_language_model = SMOKE_SAMPLES, SMOKE_LANGUAGE_MODEL
    if options.guidance_scales:
        plan.guidance_scales = options.guidance_scales
    if options.num_samples is not None:
        plan.num_samples = options.num_samples
    output_dir = options.output_dir / "smoke" if options.smoke else options.output_dir  # not among real runs
    names = chosen_names(plan, options.rows, options.word_vectors)
    changes = merge(SMOKE if options.smoke else {}, changes_of(options))
    scoring = scoring_options(options)
    scored_with = {"split": options.split}
    if plan.measure == "responses":
        scored_with["word vectors"] = scoring.vectors
    scored_with |= {way: json.dumps(arguments) for way, arguments in plan.ways.items()}
    if plan.measure == "generation":
        scored_with |= plan.generation.description

    def run_of(name: str, seed: int) -> StudyRun:
        run = plan.run(name, seed, EXAMPLES / "recipes", output_dir, changes)
        return replace(run, scored_with=scored_with)

    # Mistakes are found before any training.
    runs = [run_of(name, seed) for seed in options.seeds for name in names]
    check_split(runs[0].settings.load_corpus(), options.split)
    finish = partial(train_and_score, plan=plan, options=scoring)
    if plan.measure == "control":
        if scoring.language_model is None and plan.language_model:
            of_language = run_of(LANGUAGE_MODEL, 0)
            of_language.finish(finish)
            scoring.language_model = of_language.folder
        if scoring.judge is None:
            scoring.judge = train_judge(runs[0], options.smoke)
    if plan.measure == "generation" and options.jobs > 1:
        train_shared_language_models(runs[0], plan, options.split)
    if options.jobs == 1:
        failures = finish_here(runs, finish, plan.study)
    else:
        command = partial(command_of, options=options, scoring=scoring)
        failures = finish_in_processes(runs, command, options.jobs, plan.study)
    if not options.train_only:
        all_names = [name for row in plan.all_rows for name in plan.runs_of(row)]
        kept = [run_of(name, seed) for seed in options.seeds for name in all_names]
        kept = [run for run in kept if is_finished_likewise(run)]
        explain = partial(explained, split=options.split)
        notes = [f"{name}: {value}" for name, value in scored_with.items()]
        if plan.measure == "generation":
            notes.insert(0, AS_PUBLISHED)
        text = write_report(
            plan, kept, output_dir, shown_seed=options.seeds[0], notes=notes, explain=explain
        )
        print(f"\n{text}" if text else "", end="", flush=True)
    for (row, seed), reason in failures.items():
        print(f"failed: {row}, seed {seed}: {reason}", file=sys.stderr)
    if failures:
        sys.exit(f"{len(failures)} of the runs failed; the same command tries them again")


def is_finished_likewise(run: StudyRun) -> bool:
    """Whether a run has its scores, now or by an earlier command, with these settings."""
    try:
        return run.finished_scores() is not None
    except ValueError:
        return False


def changes_of(options: argparse.Namespace) -> dict:
    """Settings that the command line changes."""
    changes = parse_changes(options.set)
    return changes if options.data_dir is None else merge(changes, {"data": {"data_dir": options.data_dir}})


def scoring_options(options: argparse.Namespace) -> ScoringOptions:
    return ScoringOptions(options.split, options.judge, options.language_model, options.word_vectors)


def train_judge(run: StudyRun, smoke: bool) -> Path:
    """A judge of the classes of a run's corpus, by examples/train_judge.py; a trained one is kept."""
    folder = run.folder.parents[1] / "judge"
    command = [sys.executable, str(EXAMPLES / "train_judge.py"), "--data", run.settings.data.source]
    command += ["--output_dir", str(folder)]
    if run.settings.data.data_dir is not None:
        command += ["--data_dir", run.settings.data.data_dir]
    if smoke:
        command += ["--num_train_epochs", "1", "--max_train_examples", "200"]
    subprocess.run(command, check=True)
    return folder


def command_of(run: StudyRun, options: argparse.Namespace, scoring: ScoringOptions) -> list[str]:
    """The command line that finishes a run in a process of its own."""
    command = [sys.executable, __file__, "--config", str(options.config), "--rows", run.model]
    command += ["--seeds", str(run.seed), "--output_dir", str(options.output_dir)]
    command += ["--train_only"] + ["--smoke"] * options.smoke
    for name, value in (vars(scoring) | {"data_dir": options.data_dir, "num_samples": options.num_samples}).items():
        if value is not None:
            command += [f"--{name}", str(value)]
    if options.guidance_scales:
        command += ["--guidance_scales", ",".join(map(str, options.guidance_scales))]
    return command + (["--set", *options.set] if options.set else [])


def explained(run: StudyRun, split: str) -> list[dict]:
    """The symbols of a run, from the report that examples/explain.py writes beside it."""
    command = [sys.executable, str(EXAMPLES / "explain.py"), str(run.folder), "--split", split]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return json.loads((run.folder / "report.json").read_text("utf-8"))["symbols"]


# 2. One checkpoint.


def score_checkpoint(options: argparse.Namespace) -> None:
    folder = Path(options.checkpoint)
    find_checkpoint(options.checkpoint)
    model, tokenizer = load_for_scoring(options.checkpoint)
    if model.config.modality == "point":
        raise ValueError(f"{folder} holds a model of points: examples/synthetic.py scores it")
    settings = settings_of(options.checkpoint)
    if settings is None:
        raise FileNotFoundError(f"no settings.yaml in {folder}, which would name the corpus that it is scored on")
    corpus = Settings.from_dict(merge(settings.to_dict(), changes_of(options))).load_corpus()
    check_split(corpus, options.split)
    if options.text_clusters and not classes_of(corpus, options.split):
        raise ValueError(
            f"text_clusters are compared with classes, and no {options.split} text of {corpus.name} has any: "
            "--set data.attribute_columns=COLUMN names a column of them"
        )
    of_clusters = (corpus, model.config.num_labels, options.split, options.seeds[0])
    clusters = {name: {"0": text_cluster_scores(name, *of_clusters)} for name in options.text_clusters}
    common = {"split": options.split, "seed": options.seeds[0], "show_progress": True}
    scores = reading_scores(model, tokenizer, corpus, **common) if model.config.prior != "none" else {}
    if model.config.context_size:
        scores |= score_responses(model, tokenizer, corpus, options.word_vectors, **common)[0]
        print(f"word vectors: {scoring_options(options).vectors}\n")
    if options.judge is not None:
        ways = {}
        if options.min_label_probability is not None:
            as_read = {"min_label_probability": options.min_label_probability}
            ways = {"as read": as_read, "as read, words drawn": as_read | {"do_sample": True}}
        control = scoring_options(options).control(options.guidance_scales or [], options.num_samples or 500, ways)
        scores |= control_scores(model, tokenizer, corpus, control, **common)[0]
    rows = {folder.name: {"0": scores}}
    rows = real_texts(rows) | rows | other_ways(rows[folder.name]) | clusters
    print(score_table(rows))
    data = options.split + ("-changed" if options.set else "")
    file = folder / scores_file(EVALUATION, data)
    write_text(file, json.dumps(scores, indent=1))
    print(f"\nall scores: {file}")
    if clusters:
        file = folder / scores_file("text_clusters.json", data)
        write_text(file, json.dumps({name: rows["0"] for name, rows in clusters.items()}, indent=1))
        print(f"of the clusters: {file}")
    points = guidance_sweep(rows[folder.name])
    if points:
        print("\n" + score_table(points))
        plot_guidance({folder.name: points}, real_texts(rows), folder / "guidance.png")
        print(f"\nfigure: {folder / 'guidance.png'}")


# 3. The command line.


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    def numbers(kind: type) -> object:
        return lambda text: [kind(part) for part in text.split(",") if part.strip()]

    def names(text: str) -> list[str]:
        return [name.strip() for name in text.split(",") if name.strip()]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", help="folder of a trained model")
    parser.add_argument("--config", type=Path, help="a table, e.g. examples/tables/table3.yaml")
    parser.add_argument("--data_dir", help="folder with the corpus's release files")
    parser.add_argument("--split", default="validation", help="what is scored (default validation)")
    parser.add_argument("--seeds", type=numbers(int), default=[0], help="default 0; e.g. 0,1,2")
    parser.add_argument("--judge", help="a sequence classifier, folder or Hub id; a table trains its own")
    parser.add_argument("--language_model", help="a model with prior none; a table trains its own")
    parser.add_argument("--word_vectors", help="a file in GloVe's format: responses, row given_vectors")
    parser.add_argument("--guidance_scales", type=numbers(float), help="to be tried besides the model's own")
    parser.add_argument("--min_label_probability", type=float, help="try control with rejection too (generate.py)")
    parser.add_argument("--num_samples", type=int, help="sentences per class, or of a generation table in all")
    parser.add_argument(
        "--text_clusters", type=names, default=[], help=f"score beside a checkpoint: {','.join(WAYS_TO_CLUSTER)}"
    )
    parser.add_argument("--rows", type=names, help="rows of the table, separated by commas; default: all")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/tables"))
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each in a process of one thread")
    setting = {"nargs": "+", "action": "extend", "default": [], "metavar": "SECTION.NAME=VALUE"}
    parser.add_argument("--set", **setting, help="settings of every run")
    parser.add_argument("--smoke", action="store_true", help="tiny models on 200 texts, in OUTPUT_DIR/smoke")
    parser.add_argument("--train_only", action="store_true", help="train and score, no table")
    options = parser.parse_args(arguments)
    if (options.checkpoint is None) == (options.config is None):
        parser.error("give either a checkpoint or --config")
    if options.num_samples is not None and options.num_samples < 1:
        parser.error(f"--num_samples must be at least 1, got {options.num_samples}")
    if not options.seeds or options.jobs < 1:
        parser.error("--seeds needs at least one, and --jobs at least 1")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    disable_progress_bar()  # of loading and saving
    if options.config is not None:
        make_table(options)
    else:
        score_checkpoint(options)


def terminate(signum: int, frame: object) -> None:
    sys.exit("terminated; the same command goes on")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, terminate)
    try:
        main()
    except (ValueError, OSError, ImportError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on")
