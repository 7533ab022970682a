"""Markdown tables of scores: a row per model, with mean and standard deviation over seeds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..reports.tables import markdown_table
from .experiment_runs import Scores

Rows = dict[str, dict[str, Scores]]
"""Scores by the row's name and the seed."""
Cell = Callable[[dict[str, list[float]]], str]
"""Makes the text of a cell from a row's scores, which are lists with a value per seed."""
PLAIN_COLUMNS = {  # by score: the title, and what to multiply with
    "reverse_perplexity": ("rPPL", 1),
    "bleu": ("BLEU", 1),
    "word_kl": ("wKL", 1),
    "nll": ("NLL, at most", 1),
    "nll_published": ("NLL as published", 1),
    "nll_texts": ("texts with NLL", 1),
    "nll_too_poor": ("NLL too poor %", 100),
    "bleu_chance": ("BLEU by chance", 1),
    "bleu_with_markers": ("BLEU, markers counted", 1),
    "bleu_unseen": ("BLEU, dialogues not in training", 1),
    "unseen_share": ("responses in such dialogues %", 100),
    "retrieval": ("own reference nearer % (chance 50)", 100),
    "retrieval_std_error": ("its standard error", 100),
    "embedding_average": ("embedding average", 100),
    "embedding_average_chance": ("embedding average by chance", 100),
    "embedding_extrema": ("embedding extrema", 100),
    "embedding_extrema_chance": ("embedding extrema by chance", 100),
    "embedding_greedy": ("embedding greedy", 100),
    "embedding_greedy_chance": ("embedding greedy by chance", 100),
    "embedding_coverage": ("words with a vector %", 100),
    "reconstruction_bleu": ("BLEU of reconstructions", 1),
    "exact": ("exact %", 100),
    "mutual_information": ("I(z; y), nats", 1),
    "symbols_used": ("symbols used", 1),
    "usage_perplexity": ("effective number of symbols", 1),
    "perplexity": ("perplexity", 1),
    "word_kl_same_size": ("wKL, as many as held out", 1),
    "word_kl_smoothed": ("wKL, also smoothed", 1),
    "distinct_1": ("distinct-1 %", 100),
    "distinct_2": ("distinct-2 %", 100),
    "distinct_texts": ("distinct %", 100),
    "self_bleu": ("self-BLEU", 1),
    "copied": ("copied %", 100),
    "words_per_text": ("words", 1),
    "accuracy": ("as asked for %", 100),
    "acceptability": ("acceptable %", 100),
    "acceptability_chance": ("acceptable if corrupted %", 100),
    "read_as_asked": ("by its own reading %", 100),
    "label_accuracy": ("right label %", 100),
    "calibration_error": ("ECE %", 100),
}
AGREEMENT_COLUMNS = {
    "homogeneity": "homogeneity",
    "v_measure": "V-measure",
    "batched_homogeneity": "in batches, as published",
}
PROBES = {
    "symbols": "{attribute}_probe_of_symbols",
    "K-means of latents": "kmeans_{attribute}_probe_of_symbols",
    "latents": "{attribute}_probe_of_latents",
}
"""Names of the scores of linear probes, by what the probe reads."""
SEED_AGREEMENT = "seed_agreement"
"""The score of a run that says how far its symbols agree with those of the row's other seeds."""


def score_table(rows: Rows) -> str:
    """Write a Markdown table with a column for every known score that some row has ([`columns_of`])."""
    return table_of_rows(rows, columns_of(rows))


def columns_of(rows: Rows) -> dict[str, Cell]:
    """Return the columns for the scores that some row has, by title."""
    names = dict.fromkeys(name for of_seeds in rows.values() for scores in of_seeds.values() for name in scores)

    def value(name: str, factor: float = 1, chance: str = "") -> Cell:
        return lambda scores: mean_and_deviation(scores.get(name), factor) + chance_level(scores.get(chance))

    columns = {}
    for name, (title, factor) in PLAIN_COLUMNS.items():
        if name in names:
            columns[title] = value(name, factor)
    attributes = [name.removesuffix("_homogeneity") for name in names if name.endswith("_homogeneity")]
    attributes = [name for name in attributes if not name.startswith("kmeans_") and not name.endswith("_batched")]
    for attribute in attributes:
        for score, title in AGREEMENT_COLUMNS.items():
            columns[f"{attribute}: {title} (chance)"] = value(f"{attribute}_{score}", 1, f"{attribute}_{score}_chance")
        columns[f"{attribute}: K-means of latents"] = value(f"kmeans_{attribute}_homogeneity")
        for title, score in PROBES.items():
            name = score.format(attribute=attribute)
            if name in names:
                columns[f"{attribute}: macro-F1 from {title} (majority)"] = value(name, 1, f"{name}_chance")
    for title, prefix in {"symbols": "", "K-means of latents": "kmeans_"}.items():
        name = f"{prefix}name_accuracy"
        if name in names:
            columns[f"{title} guessed from their names (chance)"] = value(name, 1, f"{name}_chance")
        name = f"{prefix}{SEED_AGREEMENT}"
        if name in names:
            columns[f"{title}: ARI between seeds"] = mean_over_seeds(name)
    for name in names:
        of_class = name.startswith("accuracy_") and not name.startswith(("accuracy_chance", "accuracy_std_error"))
        if of_class and "@" not in name and not name.endswith("_std_error"):
            columns[f"{name.removeprefix('accuracy_').replace('_', ' ')} %"] = value(name, 100)
        if name.startswith("calibration_error_"):
            columns[f"ECE, {name.removeprefix('calibration_error_').replace('_', ' ')} %"] = value(name, 100)
    if "cpu_seconds" in names:
        columns["CPU s"] = value("cpu_seconds")
    if "peak_gigabytes" in names:
        columns["peak GB"] = value("peak_gigabytes")
    return columns


def table_of_rows(rows: Rows, columns: dict[str, Cell]) -> str:
    """Write a Markdown table with these rows and columns."""
    cells: dict[str, list[str]] = {"model": list(rows)} | {title: [] for title in columns}
    for runs in rows.values():
        names = dict.fromkeys(score for run in runs.values() for score in run)
        scores = {score: [run[score] for run in runs.values() if score in run] for score in names}
        for title, cell in columns.items():
            cells[title].append(cell(scores))
    return markdown_table(cells)


def mean_and_deviation(values: list[float] | None, factor: float = 1) -> str:
    """Write mean ± standard deviation over seeds, multiplied by `factor`; nothing if there are no values."""
    if not values:
        return ""
    scaled = factor * np.array(values)
    deviation = f" ± {scaled.std(ddof=1):.2g}" if len(scaled) > 1 else ""
    return f"{scaled.mean():.3g}{deviation}"


def mean_over_seeds(name: str) -> Cell:
    """Make cells of a score's mean over seeds, for scores of pairs of seeds, whose deviation would say little."""
    return lambda scores: f"{np.mean(scores[name]):.3g}" if name in scores else ""


def chance_level(values: list[float] | None) -> str:
    """Write the mean over seeds in brackets, to stand behind a score; nothing if there are no values."""
    return f" ({np.mean(values):.2g})" if values else ""
