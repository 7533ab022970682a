"""A table of the paper from start to end: everything it needs is trained and scored, then reported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ..scores.lstm_language_model import LanguageModelSettings
from .checkpoint_explanation import ExplanationSettings, explain_checkpoint
from .experiment_runs import Changes, ExperimentRun, Failures, merge_changes
from .judge_training import ACCEPTABILITY, JudgeSettings, describe_judge, train_judge
from .paper_tables import FROM_FEATURES, LANGUAGE_MODEL, PaperTable
from .parallel_runs import call_in_process, finish_runs
from .table_report import write_report
from .table_runs import (
    INSTALL,
    ScoringOptions,
    check_split,
    chosen_names,
    rows_not_installed,
    train_and_score,
    train_shared_language_models,
)

SMOKE_CHANGES: Changes = {
    "data": {"max_train_examples": 200},
    "model": {"embedding_size": 16, "encoder_hidden_size": 16, "decoder_hidden_size": 16,
              "energy_hidden_size": 16, "langevin_steps": 2},
    "training": {"num_train_epochs": 1, "adversarial_steps": 20},
}  # fmt: skip
"""Settings of the tiny models of a smoke test."""
ACCEPTABILITY_JUDGE = {"task": ACCEPTABILITY, "max_train_examples": 100_000, "num_train_epochs": 2,
                       "dropout": 0.2, "word_dropout": 0.0, "learning_rate": 5e-3}  # fmt: skip
"""Settings of a table's judge of acceptability, which take minutes of a CPU core. Hidden words would hide errors."""
SMOKE_LABEL_COUNTS = [20, 40]
SMOKE_SAMPLES = 100
SMOKE_LANGUAGE_MODEL = LanguageModelSettings(embedding_size=16, hidden_size=16, num_layers=1, num_epochs=2)
AS_PUBLISHED = (
    "as published: rPPL, BLEU and wKL, the first and the last of all samples; all other scores are of as many samples "
    "as there are held-out texts, whose row is their floor"
)


@dataclass
class TableExperiment:
    """
    A table of the paper to train, score and report.

    Args:
        plan ([`PaperTable`]): The table. The options below change it.
        recipes (`Path`): Folder of the recipes.
        output_dir (`Path`): Folder of all tables' runs; every run has `output_dir`/TABLE/row/seed.
        rows (`Sequence[str]`, *optional*): Rows to train; default: all that are not optional. The report has all rows
            that are finished.
        seeds (`Sequence[int]`, *optional*, defaults to `(0,)`): Seeds of every row.
        changes (`dict`, *optional*): Settings of every run.
        scoring ([`ScoringOptions`], *optional*): What scores depend on besides; judges and a language model that it
            lacks are trained if the table measures control.
        guidance_scales (`Sequence[float]`, *optional*), num_samples (`int`, *optional*): In place of the table's own.
        smoke (`bool`, *optional*, defaults to `False`): Train tiny models on 200 texts, in `output_dir`/smoke, with
            fewer numbers of labels and samples.
    """

    plan: PaperTable
    recipes: Path
    output_dir: Path
    rows: Sequence[str] | None = None
    seeds: Sequence[int] = (0,)
    changes: Changes = field(default_factory=dict)
    scoring: ScoringOptions = field(default_factory=ScoringOptions)
    guidance_scales: Sequence[float] | None = None
    num_samples: int | None = None
    smoke: bool = False

    def __post_init__(self):
        if self.smoke:
            self.output_dir = self.output_dir / "smoke"  # not among real runs
            self.changes = merge_changes(SMOKE_CHANGES, self.changes)
            if self.plan.label_counts:
                self.plan.label_counts = SMOKE_LABEL_COUNTS
            if self.plan.measure == "generation":
                self.plan.num_samples, self.plan.sample_language_model = SMOKE_SAMPLES, SMOKE_LANGUAGE_MODEL
        if self.guidance_scales:
            self.plan.guidance_scales = list(self.guidance_scales)
        if self.num_samples is not None:
            self.plan.num_samples = self.num_samples

    def train(self, jobs: int = 1) -> Failures:
        """
        Train and score the runs that are not finished. Mistakes in rows and settings are found before any training.

        Args:
            jobs (`int`, *optional*, defaults to 1): Runs at a time; more than one have processes of their own.

        Returns:
            `dict[tuple[str, int], str]`: Why runs failed, by row and seed; empty if all are finished.

        Raises:
            ValueError: If the table has no such row, or settings are wrong.
        """
        names = chosen_names(self.plan, self.rows, self.scoring.word_vectors)
        for note in self.notes_on_missing_rows():
            tqdm.write(note)
        runs = [self.run(name, seed) for seed in self.seeds for name in names]
        check_split(runs[0].settings.load_corpus(), self.scoring.split)
        if self.plan.measure == "control":
            self.train_what_control_needs(runs[0])
        if self.plan.measure == "generation" and jobs > 1:
            train_shared_language_models(runs[0], self.plan, self.scoring.split)
        finish = partial(train_and_score, plan=self.plan, options=self.scoring)
        return finish_runs(runs, finish, jobs, self.plan.runs_folder)

    def report(self) -> str:
        """Write the report of all finished runs ([`write_report`]), and return its text; empty if there are none."""
        notes = [f"{name}: {value}" for name, value in self.scored_with.items()]
        notes += [f"encoder: {self.plan.encoder}"] if self.plan.encoder else []
        if self.plan.measure == "generation":
            notes.insert(0, AS_PUBLISHED)
        return write_report(
            self.plan,
            self.finished_runs(),
            self.output_dir,
            shown_seed=self.seeds[0],
            notes=notes,
            explain=self.symbols_of,
        )

    def finished_runs(self) -> list[ExperimentRun]:
        """The runs of all rows that are finished, now or by an earlier command."""
        names = [name for row in self.plan.all_rows for name in self.plan.runs_of(row)]
        runs = [self.run(name, seed) for seed in self.seeds for name in names]
        return [run for run in runs if has_finished_scores(run)]

    def notes_on_missing_rows(self) -> list[str]:
        """Return a line for each row that is left out because its package is not installed."""
        missing = rows_not_installed(self.plan)
        return [f"{row} is left out: it needs a package that is not installed ({INSTALL[row]})" for row in missing]

    @property
    def scored_with(self) -> dict[str, str]:
        """What the scores of all runs depend on besides their settings, in words by name."""
        scored_with = {"split": self.scoring.split}
        if self.plan.measure == "responses":
            scored_with["word vectors"] = self.scoring.vectors
        scored_with |= {way: json.dumps(arguments) for way, arguments in self.plan.ways.items()}
        if self.plan.measure == "generation":
            scored_with |= self.plan.generation.description
        return scored_with

    def run(self, name: str, seed: int) -> ExperimentRun:
        """Make one of the table's runs."""
        run = self.plan.run(name, seed, self.recipes, self.output_dir, self.changes)
        encoder = {"encoder": self.plan.encoder} if name in FROM_FEATURES else {}
        return replace(run, scored_with=self.scored_with | encoder)

    def train_what_control_needs(self, run: ExperimentRun) -> None:
        """Train the language model and the judges that are not given, on the corpus of a run."""
        if self.scoring.language_model is None and self.plan.language_model:
            language_model = self.run(LANGUAGE_MODEL, seed=0)
            language_model.finish(partial(train_and_score, plan=self.plan, options=self.scoring))
            self.scoring.language_model = language_model.folder
        settings = JudgeSettings(data=run.settings.data.source, data_dir=run.settings.data.data_dir)
        if self.scoring.judge is None:
            self.scoring.judge = self.train_judge(settings, run.folder.parents[1] / "judge")
        if self.scoring.acceptability_judge is None:
            settings = replace(settings, **ACCEPTABILITY_JUDGE)
            folder = run.folder.parents[1] / "acceptability_judge"
            self.scoring.acceptability_judge = self.train_judge(settings, folder)

    def train_judge(self, settings: JudgeSettings, folder: Path) -> Path:
        """Train a judge, in a smoke test a tiny one, and return its folder."""
        if self.smoke:
            settings = replace(settings, num_train_epochs=1, max_train_examples=200)
        call_in_process(train_and_describe_judge, settings, folder)
        return folder

    def symbols_of(self, run: ExperimentRun) -> list[dict[str, Any]]:
        """Return the symbols of a run's model, and write the report of them into its folder."""
        explained = explain_checkpoint(str(run.folder), ExplanationSettings(split=self.scoring.split))
        return explained.report["symbols"]


def train_and_describe_judge(settings: JudgeSettings, folder: Path) -> None:
    """Train a judge, and print its accuracy."""
    report = train_judge(settings, folder)
    print(f"\n{describe_judge(report)}", flush=True)


def has_finished_scores(run: ExperimentRun) -> bool:
    """Whether a run is finished, now or by an earlier command, with the same settings."""
    try:
        return run.finished_scores() is not None
    except ValueError:
        return False
