"""Tables of the paper as YAML files: the recipe, the rows, what is measured, and the paper's own figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from ..files.packaged import TABLES, find_file
from ..model.presets import PRESETS
from ..scores.lstm_language_model import LanguageModelSettings
from .experiment_runs import Changes, ExperimentRun, Scores, merge_changes, read_recipe
from .generation_experiment import GenerationSettings

ARCHITECTURE = ("num_symbols", "latent_size", "embedding_size", "encoder_hidden_size", "decoder_hidden_size",
                "dropout", "energy_hidden_size", "energy_num_blocks", "context_size", "context_hidden_size",
                "modality", "document_hidden_size", "document_encoder_layers", "document_decoder_layers",
                "document_dropout", "document_batch_norm", "word_dropout")  # fmt: skip
"""What a row with another preset keeps of the recipe's model: its sizes, so that rows differ only in the method."""
LANGUAGE_MODEL = "language_model"
"""Name of the run of the model whose perplexity is reported."""
FROM_FEATURES = ("kmeans_features", "bertopic", "feature_regression", "feature_head")
"""Rows without a model of this package that read the features of the table's pretrained encoder."""
Measure = Literal["reading", "control", "responses", "classification", "generation"]


@dataclass
class PaperTable:
    """
    A table of models and their scores.

    Args:
        name (`str`): The name of its file.
        title (`str`): The line above the table.
        recipe (`str`): Name of the recipe that all rows start from.
        measure (`str`): What is scored: `"reading"` (reconstructions and symbols), `"control"` (sentences written for
            classes), `"responses"` (answers in a dialogue), `"classification"` (of held-out texts, with `label_counts`
            labels known) or `"generation"` (reconstructions, and samples beside real texts).
        rows (`dict[str, dict]`): By name, the settings in which a row differs from the recipe.
        settings (`dict`): Settings in which all rows differ from the recipe; those of a row come before them.
        data_sets (`dict[str, dict]`): By name, settings of the data sets that the table is made for, one after the
            other ([`of_data_sets`]); default: the recipe's data set alone.
        overview (`dict[str, str]`): By data set, the one score that stands for it in a table of all data sets.
        encoder (`str`, *optional*): The pretrained encoder, folder or Hub id, of rows whose model has
            `encoder: pretrained`, and of the rows in `FROM_FEATURES`.
        optional_rows (`list[str]`): Rows that are trained only if they are asked for, because they take days or need a
            GPU.
        text_clusters (`list[str]`): More rows, without a model: ways of clustering texts, functions of
            `ldebm_hf.baselines.text_clusters`, or `"bertopic"`, which is left out where BERTopic is not installed.
        text_baselines (`list[str]`): More rows without a model: of a table of classification those of
            `ldebm_hf.experiments.few_label_experiment`, of a table of responses `nearest_context`.
        latent_classifiers (`list[str]`): Rows whose models learn without labels; logistic regression then classifies
            their posterior means.
        label_counts (`list[int]`): Numbers of labels that are known. The seed of a run decides which ones.
        published (`dict[str, dict]`): By the name of a row, the paper's scores, named as ours.
        language_model (`dict`, *optional*): In what the model whose perplexity is reported differs from the recipe.
        guidance_scales (`list[float]`): Scales at which control is measured besides the model's own, in rows whose
            prior takes one.
        num_samples (`int`): Sentences written per class; in a table of generation, all samples.
        sample_language_model ([`LanguageModelSettings`]): Of the language models for the perplexity of samples and of
            real texts; fields that the file leaves out are as published.
        ways (`dict[str, dict]`): By name, more ways of writing to measure: arguments of [`~LDEBMModel.generate`], in a
            table of responses also `num_candidates`, in one of generation as in [`GenerationSettings`]. Each has a row
            of its own, `row, name`.
        curves (`dict[str, list[str]]`): By title, the rows that are the points of a curve in a figure, in its order.
        curve_setting (`str`): The setting of the model that differs along the curves.
        peak_memory (`bool`): Whether the peak memory of every run is recorded, where the system tells it (Linux).
        runs_folder (`str`): Folder of the runs, which several tables may share (`study` in the file); default: the
            table's name.
        shown_symbols (`int`), shown_sentences (`int`): How many symbols, and sentences of each class or responses, are
            listed below the table.
    """

    name: str
    title: str
    recipe: str
    measure: Measure
    rows: dict[str, Changes]
    settings: Changes = field(default_factory=dict)
    data_sets: dict[str, Changes] = field(default_factory=dict)
    overview: dict[str, str] = field(default_factory=dict)
    encoder: str | None = None
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
    peak_memory: bool = False
    runs_folder: str = ""
    shown_symbols: int = 0
    shown_sentences: int = 0

    @classmethod
    def load(cls, path: str | Path) -> PaperTable:
        """Read a table, one that comes with the package by its name (`"table3"`) or any by the path of its YAML file.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If an entry is unknown or missing, or entries contradict each other.
        """
        path = find_file(str(path), TABLES, "table")
        values: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
        try:
            sizes = LanguageModelSettings(**values.pop("sample_language_model", {}))
            folder = values.pop("study", path.stem)
            content = cls(name=path.stem, sample_language_model=sizes, runs_folder=folder, **values)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error
        if content.measure not in Measure.__args__:
            raise ValueError(f"{path}: measure must be one of {', '.join(Measure.__args__)}, got {content.measure!r}")
        if (content.measure == "classification") != bool(content.label_counts):
            raise ValueError(f"{path}: label_counts must be given for measure classification, and for it alone")
        content.rows = {name: changes or {} for name, changes in content.rows.items()}
        reading = [row for row in content.all_rows if content.needs_encoder(row)]
        if reading and content.encoder is None:
            raise ValueError(f"{path}: encoder must be given for the rows {', '.join(reading)}")
        unknown = content.overview.keys() - content.data_sets.keys()
        if unknown:
            raise ValueError(f"{path}: overview must be of data_sets, got {', '.join(sorted(unknown))}")
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
        """Names of the rows; those without a model of this package come last."""
        return [*self.rows, *self.text_clusters, *self.text_baselines]

    def needs_encoder(self, row: str) -> bool:
        """Whether a row reads texts with the table's pretrained encoder."""
        return row in FROM_FEATURES or self.rows.get(row, {}).get("model", {}).get("encoder") == "pretrained"

    def of_data_sets(self, names: Sequence[str] | None = None, data_dir: str | Path | None = None) -> list[PaperTable]:
        """
        Return a table for each data set; of a table without `data_sets` itself alone.

        Args:
            names (`Sequence[str]`, *optional*): Names of data sets; default: all.
            data_dir (`str` or `Path`, *optional*): Folder that has a folder for every source of data, called like it.
                For a table without `data_sets`: the folder of its data.

        Raises:
            ValueError: If the table has no such data set.
        """
        unknown = set(names or ()) - self.data_sets.keys()
        if unknown:
            there = ", ".join(self.data_sets) or "none to choose from"
            raise ValueError(f"unknown data set {', '.join(sorted(unknown))} (--data_sets): {self.name} has {there}")
        if not self.data_sets:
            settings = self.settings
            if data_dir is not None:
                settings = merge_changes(settings, {"data": {"data_dir": str(data_dir)}})
            return [replace(self, settings=settings)]
        tables = []
        for name in names or self.data_sets:
            settings = merge_changes(self.settings, self.data_sets[name])
            if data_dir is not None:
                folder = str(Path(data_dir, settings["data"]["source"]))
                settings = merge_changes(settings, {"data": {"data_dir": folder}})
            place = f"{self.runs_folder}/{name}"
            table = replace(self, name=place, runs_folder=place, title=f"{self.title}: {name}")
            tables.append(replace(table, settings=settings, data_sets={}))
        return tables

    def runs_of(self, row: str) -> list[str]:
        """Return the names of a row's runs of one seed: `row/number` for every number of labels if its model learns
        from them, else the row's own name. The name of a single run is returned as it is.
        """
        learns_from_labels = row in self.rows and row not in self.latent_classifiers
        if self.label_counts and learns_from_labels:
            return [f"{row}/{count}" for count in self.label_counts]
        return [row]

    def run(self, name: str, seed: int, recipes: Path, folder: Path, changes: Changes) -> ExperimentRun:
        """Make one of the runs of a row ([`runs_of`]), or the run of the language model.

        Args:
            name (`str`): Name of the run, or `LANGUAGE_MODEL`.
            seed (`int`): Its seed.
            recipes (`Path`): Folder of the recipes.
            folder (`Path`): Folder of all tables' runs.
            changes (`dict`): Settings that come before those of recipe and row.

        Raises:
            ValueError: As `Settings` does.
        """
        row, _, label_count = name.partition("/")
        of_row = self.language_model if row == LANGUAGE_MODEL else self.rows.get(row, {})
        if self.label_counts:
            known = {"label_count": int(label_count), "label_seed": seed} if label_count else {"label_count": None}
            changes = merge_changes(changes, {"data": known})
        recipe = read_recipe(recipes / f"{self.recipe}.yaml")
        if "preset" in of_row.get("model", {}):
            recipe["model"] = {name: value for name, value in recipe["model"].items() if name in ARCHITECTURE}
        settings = merge_changes(recipe, self.settings, of_row, changes)
        if row in self.rows and self.needs_encoder(row):
            settings["model"] = {"encoder_name_or_path": self.encoder} | settings["model"]
        if row in self.text_baselines or row in FROM_FEATURES:
            # Their scores depend on texts, labels and the number of clusters alone, whatever else is set. Texts with
            # contexts go with a model that has them.
            needed = "context_size" if row in self.text_baselines else "num_symbols"
            model = {name: value for name, value in settings["model"].items() if name == needed}
            settings = {"data": settings.get("data", {}), "model": model}
        return ExperimentRun.from_changes(name, seed, folder / self.runs_folder / name / str(seed), settings)

    def by_row(self, scores: dict[str, dict[str, Scores]]) -> dict[str, dict[str, Scores]]:
        """Put the scores of a row's runs together: from scores by run and seed to scores by row and seed."""
        rows: dict[str, dict[str, Scores]] = {}
        for name, of_seeds in scores.items():
            of_row = rows.setdefault(name.partition("/")[0], {})
            for seed, values in of_seeds.items():
                of_row[seed] = of_row.get(seed, {}) | values
        return rows


def real_texts(rows: dict[str, dict[str, Scores]]) -> dict[str, dict[str, Scores]]:
    """Return a row of the real texts that the first model was measured beside, if it was."""
    scores = next(iter(next(iter(rows.values())).values()))
    real = {name.removeprefix("real_"): value for name, value in scores.items() if name.startswith("real_")}
    return {"real held-out texts": {"real": real}} if real else {}


def guidance_sweep(of_seeds: dict[str, Scores]) -> dict[str, dict[str, Scores]]:
    """Return a row's scores at other guidance scales, by scale and seed."""
    return {way: scores for way, scores in _by_suffix(of_seeds).items() if _is_number(way)}


def other_ways(of_seeds: dict[str, Scores]) -> dict[str, dict[str, Scores]]:
    """Return a row's scores by other ways of writing, by name and seed."""
    return {way: scores for way, scores in _by_suffix(of_seeds).items() if not _is_number(way)}


def _by_suffix(of_seeds: dict[str, Scores]) -> dict[str, dict[str, Scores]]:
    """Group scores whose names are `score@suffix` by the suffix, then by seed."""
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
    plan: PaperTable, runs: Iterable[ExperimentRun], scores: dict[str, dict[str, Scores]]
) -> dict[str, dict[str, dict[str, Scores]]]:
    """Return the scores of the finished rows by the title of their curve and the value of its setting."""
    if not plan.curves:
        return {}
    settings = {run.model: run.settings.model for run in runs}
    values = {row: (PRESETS[model["preset"]] | model)[plan.curve_setting] for row, model in settings.items()}
    curves = {
        title: {f"{values[row]:g}": scores[row] for row in rows if row in scores and row in values}
        for title, rows in plan.curves.items()
    }
    return {title: points for title, points in curves.items() if points}
