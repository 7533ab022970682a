"""Score models of texts on held-out texts: one checkpoint, or a table of the paper, training whatever it lacks.

    python examples/evaluate.py outputs/daily_dialog
    python examples/evaluate.py outputs/yelp --judge outputs/judge --language_model outputs/lm --guidance_scales 1,4,16
    python examples/evaluate.py --config examples/tables/table3.yaml --data_dir data/daily_dialog --seeds 0,1,2
    python examples/evaluate.py --config examples/tables/table7.yaml --data_dir data/yelp --rows ldebm
    python examples/evaluate.py --config examples/tables/table9.yaml --data_dir data/agnews --seeds 0,1,2,3,4

A checkpoint is scored on the corpus that its `settings.yaml` names (or `--data`, as in examples/train.py): what it
reads (reconstructions, symbols against the corpus's classes and attributes, with chance levels), what it answers if it
has contexts and, with a judge, how well it writes for a class. `evaluation.json` beside it holds every score.

A table has rows that differ in a few settings of one recipe. Every run is in `--output_dir`/TABLE/row/seed, and the
same command goes on after an interruption. It prints a Markdown table of means and standard deviations over seeds
below the paper's own figures, and writes `table.md` and `table.json`.
"""

import argparse
import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import torch
from transformers import AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from ldebm_hf import LDEBMModel, text_clusters
from ldebm_hf.data import Corpus
from ldebm_hf.few_label_study import (
    GIVEN_VECTORS,
    for_selection,
    latent_classifier_scores,
    symbol_scores,
    text_baseline_scores,
)
from ldebm_hf.paper_tables import LANGUAGE_MODEL, PaperTable, guidance_sweep, real_texts
from ldebm_hf.plots import plot_guidance
from ldebm_hf.scores.checkpoints import ControlSettings, classes_of, control_scores, reading_scores
from ldebm_hf.scores.judging import load_judge
from ldebm_hf.scores.reading import agreement_scores
from ldebm_hf.scores.responses import response_scores, write_responses
from ldebm_hf.studies import (
    Scores,
    StudyRun,
    TimedTrainer,
    finish_here,
    finish_in_processes,
    finished,
    in_brackets,
    merge,
    parse_changes,
    spread,
    table,
)
from ldebm_hf.training import Settings, assemble
from ldebm_hf.training.atomic import write_text
from ldebm_hf.training.saved_runs import find_checkpoint, settings_of

EXAMPLES = Path(__file__).parent
SENTENCES = "sentences.json"
SMOKE = {
    "data": {"max_train_examples": 200},
    "model": {"embedding_size": 16, "encoder_hidden_size": 16, "decoder_hidden_size": 16, "latent_size": 6,
              "energy_hidden_size": 16, "langevin_steps": 2},
    "training": {"num_train_epochs": 1},
}  # fmt: skip
SMOKE_LABEL_COUNTS = [20, 40]


# 1. Scores of one run.


def train_and_score(run: StudyRun, plan: PaperTable, options: argparse.Namespace) -> Scores:
    if run.model in plan.text_clusters:
        return score_text_clusters(run, options)
    if run.model in plan.text_baselines:
        corpus = run.settings.load_corpus()
        of_labels = (plan.label_counts, run.seed, options.word_vectors)
        return text_baseline_scores(run.model, corpus, options.split, *of_labels)
    model, tokenizer, corpus = assemble(run.settings)
    scored = None
    if plan.measure == "classification":  # models are selected on texts that are not scored
        corpus, scored = for_selection(corpus, options.split)
    trainer = TimedTrainer(model, tokenizer, corpus, run.settings)
    trainer.train()
    if run.model == LANGUAGE_MODEL:
        return trainer.times
    model, tokenizer = load_model(run.folder)  # the best one, not the last
    if scored is not None and run.model in plan.latent_classifiers:
        scores = latent_classifier_scores(model, tokenizer, corpus, scored, plan.label_counts, run.seed)
    elif scored is not None:
        scores = symbol_scores(model, tokenizer, scored, run.settings.data.label_count)
    elif plan.measure == "reading":
        scores = reading_scores(model, tokenizer, corpus, split=options.split, seed=run.seed, show_progress=True)
    elif plan.measure == "responses":
        scores, sentences = score_responses(model, tokenizer, corpus, options, run.seed)
        write_text(run.folder / SENTENCES, json.dumps(sentences, indent=1, ensure_ascii=False))
    else:
        control = control_settings(options, plan.guidance_scales, plan.num_samples)
        scores, sentences = control_scores(
            model, tokenizer, corpus, control, split=options.split, seed=run.seed, show_progress=True
        )
        write_text(run.folder / SENTENCES, json.dumps(sentences, indent=1, ensure_ascii=False))
    return scores | trainer.times


def score_responses(model, tokenizer, corpus: Corpus, options: argparse.Namespace, seed: int) -> tuple[Scores, dict]:
    """Scores of a model's responses, and these with what they answer."""
    written = write_responses(model, tokenizer, corpus.splits[options.split], seed=seed, show_progress=True)
    answers = zip(written.contexts, written.responses, written.references, strict=True)
    shown = [f"{' / '.join(context)} → {response} ({reference})" for context, response, reference in answers]
    return response_scores(written, seed=seed), {"responses (what was said)": shown}


def score_text_clusters(run: StudyRun, options: argparse.Namespace) -> Scores:
    """Symbols by a way of clustering texts that needs no model of ours."""
    corpus = run.settings.load_corpus()
    held_out = corpus.splits[options.split]
    num_symbols = run.settings.model.get("num_symbols", len(corpus.label_names))
    cluster = getattr(text_clusters, run.model)
    symbols = cluster(corpus.train.texts, held_out.texts, num_symbols, seed=run.seed)
    return agreement_scores(symbols, classes_of(corpus, options.split), seed=run.seed)


def check_split(corpus: Corpus, split: str) -> None:
    if split not in corpus.splits:
        raise ValueError(f"unknown split {split!r} (--split): {corpus.name} has {', '.join(corpus.splits)}")


def load_model(folder: str | Path) -> tuple:
    """A model and its tokenizer, on the accelerator if there is one."""
    model = LDEBMModel.from_pretrained(folder)
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    return model.to(device), AutoTokenizer.from_pretrained(folder)


def control_settings(options: argparse.Namespace, guidance_scales: list[float], num_samples: int) -> ControlSettings:
    language_model = None if options.language_model is None else load_model(options.language_model)
    return ControlSettings(load_judge(options.judge), language_model, num_samples, guidance_scales)


# 2. A table.


def make_table(options: argparse.Namespace) -> None:
    plan = PaperTable.load(options.config)
    if plan.label_counts and options.smoke:
        plan.label_counts = SMOKE_LABEL_COUNTS
    without_file = {GIVEN_VECTORS} if options.word_vectors is None else set()
    rows = options.rows or [row for row in plan.all_rows if row not in without_file]
    names = [name for row in rows for name in plan.runs_of(row)]
    known = {*plan.all_rows, *(name for row in plan.all_rows for name in plan.runs_of(row)), LANGUAGE_MODEL}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"unknown row {', '.join(unknown)} (--rows): {options.config} has {', '.join(plan.all_rows)}")
    if without_file.intersection(rows):
        raise ValueError(f"row {GIVEN_VECTORS} needs --word_vectors, a file in GloVe's format")
    if options.guidance_scales:
        plan.guidance_scales = options.guidance_scales
    plan.num_samples = options.num_samples or plan.num_samples
    changes = merge(SMOKE if options.smoke else {}, parse_changes(options.set))
    if options.data_dir is not None:
        changes = merge(changes, {"data": {"data_dir": options.data_dir}})

    def run_of(name: str, seed: int) -> StudyRun:
        return plan.run(name, seed, EXAMPLES / "recipes", options.output_dir, changes)

    # Mistakes are found before any training.
    runs = [run_of(name, seed) for seed in options.seeds for name in names]
    check_split(runs[0].settings.load_corpus(), options.split)
    finish = partial(train_and_score, plan=plan, options=options)
    if plan.measure == "control" and not options.train_only:
        if options.language_model is None and plan.language_model:
            of_language = run_of(LANGUAGE_MODEL, 0)
            of_language.finish(finish)
            options.language_model = of_language.folder
        if options.judge is None:
            options.judge = train_judge(runs[0], options)
    if options.jobs == 1:
        failures = finish_here(runs, finish, plan.study)
    else:
        failures = finish_in_processes(runs, partial(command_of, options=options), options.jobs, plan.study)
    if not options.train_only:
        report(plan, [run for run in runs if (run.model, run.seed) not in failures], options)
    for (row, seed), reason in failures.items():
        print(f"failed: {row}, seed {seed}: {reason}", file=sys.stderr)
    if failures:
        sys.exit(f"{len(failures)} of the runs failed; the same command tries them again")


def train_judge(run: StudyRun, options: argparse.Namespace) -> Path:
    """A judge of the classes of a run's corpus, by examples/train_judge.py; a trained one is kept."""
    folder = run.folder.parents[1] / "judge"
    command = [sys.executable, str(EXAMPLES / "train_judge.py"), "--data", run.settings.data.source]
    command += ["--output_dir", str(folder)]
    if run.settings.data.data_dir is not None:
        command += ["--data_dir", run.settings.data.data_dir]
    if options.smoke:
        command += ["--num_train_epochs", "1", "--max_train_examples", "200"]
    subprocess.run(command, check=True)
    return folder


def command_of(run: StudyRun, options: argparse.Namespace) -> list[str]:
    """The command line that finishes a run in a process of its own."""
    command = [sys.executable, __file__, "--config", str(options.config), "--rows", run.model]
    command += ["--seeds", str(run.seed), "--output_dir", str(options.output_dir), "--split", options.split]
    command += ["--train_only"] + ["--smoke"] * options.smoke
    for name in ("data_dir", "judge", "language_model", "num_samples", "word_vectors"):
        if getattr(options, name) is not None:
            command += [f"--{name}", str(getattr(options, name))]
    if options.guidance_scales:
        command += ["--guidance_scales", ",".join(map(str, options.guidance_scales))]
    return command + (["--set", *options.set] if options.set else [])


def report(plan: PaperTable, runs: list[StudyRun], options: argparse.Namespace) -> None:
    """Print and write a table."""
    scores = plan.by_row(finished(runs))
    if not scores:
        return
    folder, name = options.output_dir / plan.study, "table" if plan.study == plan.name else plan.name
    rows = {f"{row} (paper)": {"paper": values} for row, values in plan.published.items()}
    rows |= real_texts(scores) | scores
    lines = [plan.title, "", table(rows, columns_of(rows))]
    sweep = {row: guidance_sweep(of_seeds) for row, of_seeds in scores.items()}
    sweep = {row: points for row, points in sweep.items() if points}
    for row, points in sweep.items():
        lines += ["", f"{row}, by guidance scale", "", table(points, columns_of(points))]
    first = [run for run in runs if run.seed == options.seeds[0] and run.model in plan.rows]
    for run in first if plan.shown_sentences else []:
        for label, sentences in json.loads((run.folder / SENTENCES).read_text("utf-8")).items():
            chosen = sentences[:: max(1, len(sentences) // plan.shown_sentences)][: plan.shown_sentences]
            lines += ["", f"{run.model}, {label}", "", *bullets(chosen)]
    for run in [run for run in first if plan.shown_symbols and "symbols_used" in run.finished_scores()]:
        for symbol in explained(run, options)[: plan.shown_symbols]:
            title = f"{run.model}, {symbol['suggested_name']} ({symbol['share']:.1%})"
            lines += ["", title, "", *bullets(symbol["closest"])]
    text = "\n".join(lines) + "\n"
    write_text(folder / f"{name}.md", text)
    write_text(folder / f"{name}.json", json.dumps(rows, indent=1))
    print(f"\n{text}", flush=True)
    if sweep:
        plot_guidance(sweep, real_texts(scores), folder / "guidance.png")
        print(f"figure: {folder / 'guidance.png'}")


def explained(run: StudyRun, options: argparse.Namespace) -> list[dict]:
    """The symbols of a run, the most frequent first, from the report that examples/explain.py writes beside it."""
    command = [sys.executable, str(EXAMPLES / "explain.py"), str(run.folder), "--split", options.split]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    report = json.loads((run.folder / "report.json").read_text("utf-8"))
    return sorted(report["symbols"], key=lambda symbol: -symbol["share"])


def bullets(texts: list[str]) -> list[str]:
    return [f"* {text}" for text in texts]


# 3. One checkpoint.


def score_checkpoint(options: argparse.Namespace) -> None:
    folder = Path(options.checkpoint)
    find_checkpoint(options.checkpoint)
    model, tokenizer = load_model(options.checkpoint)
    if model.config.modality == "point":
        raise ValueError(f"{folder} holds a model of points: examples/synthetic.py scores it")
    changes = parse_changes(options.set)
    if options.data_dir is not None:
        changes = merge(changes, {"data": {"data_dir": options.data_dir}})
    settings = settings_of(options.checkpoint)
    if settings is None:
        raise FileNotFoundError(f"no settings.yaml in {folder}, which would name the corpus that it is scored on")
    corpus = Settings.from_dict(merge(settings.to_dict(), changes)).load_corpus()
    check_split(corpus, options.split)
    common = {"split": options.split, "seed": options.seeds[0], "show_progress": True}
    scores = reading_scores(model, tokenizer, corpus, **common) if model.config.prior != "none" else {}
    if model.config.context_size:
        scores |= score_responses(model, tokenizer, corpus, options, options.seeds[0])[0]
    if options.judge is not None:
        settings = control_settings(options, options.guidance_scales or [], options.num_samples or 500)
        scores |= control_scores(model, tokenizer, corpus, settings, **common)[0]
    rows = {folder.name: {"0": scores}}
    rows = real_texts(rows) | rows
    print(table(rows, columns_of(rows)))
    write_text(folder / "evaluation.json", json.dumps(scores, indent=1))
    print(f"\nall scores: {folder / 'evaluation.json'}")
    points = guidance_sweep(rows[folder.name])
    if points:
        print("\n" + table(points, columns_of(points)))
        plot_guidance({folder.name: points}, real_texts(rows), folder / "guidance.png")
        print(f"\nfigure: {folder / 'guidance.png'}")


# 4. What is shown.


def columns_of(rows: dict[str, dict[str, Scores]]) -> dict:
    """Columns for what there are scores of."""
    names = dict.fromkeys(name for of_seeds in rows.values() for scores in of_seeds.values() for name in scores)

    def value(name: str, unit: float = 1, brackets: str = "") -> object:
        return lambda scores: spread(scores.get(name), unit) + in_brackets(scores.get(brackets))

    columns = {}
    for name, (title, unit) in PLAIN_COLUMNS.items():
        if name in names:
            columns[title] = value(name, unit)
    attributes = [name.removesuffix("_homogeneity") for name in names if name.endswith("_homogeneity")]
    attributes = [name for name in attributes if not name.startswith("kmeans_") and not name.endswith("_batched")]
    for attribute in attributes:
        for score, title in AGREEMENT_COLUMNS.items():
            columns[f"{attribute}: {title} (chance)"] = value(f"{attribute}_{score}", 1, f"{attribute}_{score}_chance")
        columns[f"{attribute}: K-means of latents"] = value(f"kmeans_{attribute}_homogeneity")
    for name in names:
        of_class = name.startswith("accuracy_") and not name.startswith(("accuracy_chance", "accuracy_std_error"))
        if of_class and "@" not in name and not name.endswith("_std_error"):
            columns[f"{name.removeprefix('accuracy_').replace('_', ' ')} %"] = value(name, 100)
        if name.startswith("calibration_error_"):
            columns[f"ECE, {name.removeprefix('calibration_error_').replace('_', ' ')} %"] = value(name, 100)
    if "cpu_seconds" in names:
        columns["CPU s"] = value("cpu_seconds")
    return columns


PLAIN_COLUMNS = {
    "bleu": ("BLEU", 1),
    "bleu_chance": ("BLEU by chance", 1),
    "bleu_with_markers": ("BLEU, markers counted", 1),
    "reconstruction_bleu": ("BLEU of reconstructions", 1),
    "exact": ("exact %", 100),
    "mutual_information": ("I(z; y), nats", 1),
    "symbols_used": ("symbols used", 1),
    "usage_perplexity": ("as many if used alike", 1),
    "perplexity": ("perplexity", 1),
    "distinct_1": ("distinct-1 %", 100),
    "distinct_2": ("distinct-2 %", 100),
    "distinct_texts": ("distinct %", 100),
    "self_bleu": ("self-BLEU", 1),
    "copied": ("copied %", 100),
    "words_per_text": ("words", 1),
    "accuracy": ("as asked for %", 100),
}
AGREEMENT_COLUMNS = {
    "homogeneity": "homogeneity",
    "v_measure": "V-measure",
    "batched_homogeneity": "in batches, as published",
}


# 5. The command line.


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
    parser.add_argument("--word_vectors", help="a file in GloVe's format, for the row given_vectors")
    parser.add_argument("--guidance_scales", type=numbers(float), help="to be tried besides the model's own")
    parser.add_argument("--num_samples", type=int, help="sentences per class (default 500)")
    parser.add_argument("--rows", type=names, help="rows of the table, separated by commas; default: all")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/tables"))
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each in a process of one thread")
    parser.add_argument("--set", nargs="+", default=[], metavar="SECTION.NAME=VALUE", help="settings of every run")
    parser.add_argument("--smoke", action="store_true", help="tiny models on 200 texts: does everything work?")
    parser.add_argument("--train_only", action="store_true", help="train and score, no table")
    options = parser.parse_args(arguments)
    if (options.checkpoint is None) == (options.config is None):
        parser.error("give either a checkpoint or --config")
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
