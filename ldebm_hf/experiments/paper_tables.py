"""Tables of the paper as YAML: which recipe, which rows, what is measured, and the paper's own figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from ..model.presets import PRESETS
from ..scores.lstm_language_model import LanguageModelSettings
from .experiments import Changes, Scores, StudyRun, merge, read_recipe
from .generation_experiment import GenerationSettings

ARCHITECTURE = ("num_symbols", "latent_size", "embedding_size", "encoder_hidden_size", "decoder_hidden_size",
                "dropout", "energy_hidden_size", "energy_num_blocks", "context_size", "context_hidden_size",
                "modality", "document_hidden_size", "document_encoder_layers", "document_decoder_layers",
                "document_dropout", "document_batch_norm", "word_dropout")  # fmt: skip
"""What a row with another preset keeps of the recipe's model: sizes, so that rows differ in what they are about."""
LANGUAGE_MODEL = "language_model"
Measure = Literal["reading", "control", "responses", "classification", "generation"]


@dataclass
class PaperTable:
    """
    A table.

    Args:
        name (`str`): its file's name.
        title (`str`): a line for its reader.
        recipe (`str`): name of the recipe that all rows start from.
        measure (`str`): `"reading"` (reconstructions and symbols), `"control"` (sentences written for classes),
            `"responses"` (answers in a dialogue), `"classification"` (of held-out texts, after `label_counts`
            labels) or `"generation"` (reconstructions, and samples beside real texts).
        rows (`dict`): by name, how a row's settings differ from the recipe's.
        optional_rows (`list[str]`): those of the rows that are run only if they are asked for: of days, or of a GPU.
        text_clusters (`list[str]`): more rows, without a model: ways of clustering of
            `ldebm_hf.baselines.text_clusters`.
        text_baselines (`list[str]`): likewise for classification, of `ldebm_hf.experiments.few_label_experiment`.
        latent_classifiers (`list[str]`): those of the rows whose models learn without labels, and whose posterior
            means logistic regression then classifies.
        label_counts (`list[int]`): numbers of labels that are known. The seed of a run decides which.
        published (`dict`): by name of a row, the paper's scores, under the names that ours have.
        language_model (`dict`, *optional*): settings over the recipe's of the model whose perplexity is reported.
        guidance_scales (`list[float]`): at which control is measured too.
        num_samples (`int`): sentences per class; of a generation table sentences that are judged.
        sample_language_model (`LanguageModelSettings`): for both directions of perplexity of samples; fields that the
            file leaves out are as published.
        ways (`dict[str, dict]`): by name, other arguments of `generate` than greedy search's that control, responses
            (which take `num_candidates`, too) or generation are measured with too, of generation as
            [`GenerationSettings`] has them. Each is a row of its own, `row, name`.
        curves (`dict[str, list[str]]`): by a title, rows that are points of a curve in a figure, in its order.
        curve_setting (`str`): the setting of the model that differs along the curves.
        study (`str`): the folder of its runs, which tables may share; default the table's name.
        shown_symbols (`int`), shown_sentences (`int`): so many symbols, or sentences of each class or responses, are
            listed.
    """

    name: str
    title: str
    recipe: str
    measure: Measure
    rows: dict[str, Changes]
    optional_rows: list[str] = field(default_factory=list)
    text_clusters: list[str] = field(default_factory=list)
    text_baselines: list[str] = field(default_factory=list)
    latent_classifiers: list[str] = field(default_factory=list)
    label_counts: list[int] = field(default_factory=list)
    published: dict[str, Scores] = field(default_factory=dict)
    language_model: Changes = field(default_factory=dict)
    guidance_scales: list[float] = field(default_factory=list)
    num_samples: int = 500
    ways: dict[str, dict[str, Any]] = field(default_factory=dict)
    sample_language_model: LanguageModelSettings = field(default_factory=LanguageModelSettings)
    curves: dict[str, list[str]] = field(default_factory=dict)
    curve_setting: str = ""
    study: str = ""
    shown_symbols: int = 0
    shown_sentences: int = 0

    @classmethod
    def load(cls, path: str | Path) -> PaperTable:
        """Read a table from a YAML file.

        Raises:
            FileNotFoundError: no such file. ValueError: an entry that is unknown or lacks.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"no table {str(path)!r} (--config)")
        values: dict[str, Any] = yaml.safe_load(Path(path).read_text("utf-8"))
        try:
            sizes = LanguageModelSettings(**values.pop("sample_language_model", {}))
            content = cls(name=Path(path).stem, sample_language_model=sizes, **values)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error
        if content.measure not in Measure.__args__:
            raise ValueError(f"{path}: measure must be one of {', '.join(Measure.__args__)}, got {content.measure!r}")
        if (content.measure == "classification") != bool(content.label_counts):
            raise ValueError(f"{path}: label_counts must be given for measure classification, and for it alone")
        content.study = content.study or content.name
        content.rows = {name: changes or {} for name, changes in content.rows.items()}
        unknown = set(content.optional_rows) - content.rows.keys()
        if unknown:
            raise ValueError(f"{path}: optional_rows must be of rows, got {', '.join(sorted(unknown))}")
        unknown = {row for rows in content.curves.values() for row in rows} - content.rows.keys()
        if unknown or bool(content.curves) != bool(content.curve_setting):
            wrong = f"no row {', '.join(sorted(unknown))}" if unknown else "curve_setting and curves go together"
            raise ValueError(f"{path}: curves must be of rows, along a setting: {wrong}")
        return content

    @property
    def generation(self) -> GenerationSettings:
        """How samples are judged."""
        return GenerationSettings(self.num_samples, self.sample_language_model, self.ways)

    @property
    def all_rows(self) -> list[str]:
        """Names of the rows, those without a model of this package at the end."""
        return [*self.rows, *self.text_clusters, *self.text_baselines]

    def runs_of(self, row: str) -> list[str]:
        """Names of a row's runs of one seed: a run for every number of labels, `row/number`, if its model learns them.

        A run's own name stands for itself.
        """
        learns_labels = row in self.rows and row not in self.latent_classifiers
        return [f"{row}/{count}" for count in self.label_counts] if self.label_counts and learns_labels else [row]

    def run(self, name: str, seed: int, recipes: Path, folder: Path, changes: Changes) -> StudyRun:
        """One of the runs of a row ([`runs_of`]), or of the language model, `changes` over all else.

        Raises:
            ValueError: as `Settings` does.
        """
        row, _, label_count = name.partition("/")
        of_row = self.language_model if row == LANGUAGE_MODEL else self.rows.get(row, {})
        if self.label_counts:
            known = {"label_count": int(label_count), "label_seed": seed} if label_count else {"label_count": None}
            changes = merge(changes, {"data": known})
        recipe = read_recipe(recipes / f"{self.recipe}.yaml")
        if "preset" in of_row.get("model", {}):
            recipe["model"] = {name: value for name, value in recipe["model"].items() if name in ARCHITECTURE}
        if row in self.text_baselines:  # which go by the texts and labels alone, whatever models learn from them
            changes = {section: values for section, values in merge(recipe, changes).items() if section == "data"}
            recipe = {}
        return StudyRun.of(name, seed, folder / self.study / name / str(seed), merge(recipe, of_row, changes))

    def by_row(self, scores: dict[str, dict[str, Scores]]) -> dict[str, dict[str, Scores]]:
        """Scores by run and seed, those of a row's runs put together."""
        rows: dict[str, dict[str, Scores]] = {}
        for name, of_seeds in scores.items():
            of_row = rows.setdefault(name.partition("/")[0], {})
            for seed, values in of_seeds.items():
                of_row[seed] = of_row.get(seed, {}) | values
        return rows


def real_texts(rows: dict[str, dict[str, Scores]]) -> dict[str, dict[str, Scores]]:
    """A row of the real texts that the first model was measured beside, if it was."""
    scores = next(iter(next(iter(rows.values())).values()))
    real = {name.removeprefix("real_"): value for name, value in scores.items() if name.startswith("real_")}
    return {"real held-out texts": {"real": real}} if real else {}


def guidance_sweep(of_seeds: dict[str, Scores]) -> dict[str, dict[str, Scores]]:
    """A row's scores by guidance scale, then by seed."""
    return {way: scores for way, scores in _by_suffix(of_seeds).items() if _is_number(way)}


def other_ways(of_seeds: dict[str, Scores]) -> dict[str, dict[str, Scores]]:
    """A row's scores by other ways of writing, then by seed."""
    return {way: scores for way, scores in _by_suffix(of_seeds).items() if not _is_number(way)}


def _by_suffix(of_seeds: dict[str, Scores]) -> dict[str, dict[str, Scores]]:
    points: dict[str, dict[str, Scores]] = {}
    for seed, scores in of_seeds.items():
        for name, value in scores.items():
            score, _, suffix = name.partition("@")
            if suffix:
                points.setdefault(suffix, {}).setdefault(seed, {})[score] = value
    return points


def _is_number(suffix: str) -> bool:
    return suffix.replace(".", "", 1).isdigit()


def curve_points(
    plan: PaperTable, runs: Iterable[StudyRun], scores: dict[str, dict[str, Scores]]
) -> dict[str, dict[str, dict[str, Scores]]]:
    """By curve of a table and by the value of its setting, the scores of the finished rows."""
    settings = {run.model: run.settings.model for run in runs}
    if not plan.curves:
        return {}
    values = {row: (PRESETS[model["preset"]] | model)[plan.curve_setting] for row, model in settings.items()}
    curves = {
        title: {f"{values[row]:g}": scores[row] for row in rows if row in scores and row in values}
        for title, rows in plan.curves.items()
    }
    return {title: points for title, points in curves.items() if points}
