"""What tables of scores show: a column for whatever there are scores of."""

from __future__ import annotations

from collections.abc import Callable

from .experiments import Scores, in_brackets, spread, table

Rows = dict[str, dict[str, Scores]]
"""Scores by the row's name and the seed."""
PLAIN_COLUMNS = {
    "reverse_perplexity": ("rPPL", 1),
    "bleu": ("BLEU", 1),
    "word_kl": ("wKL", 1),
    "nll": ("NLL, at most", 1),
    "nll_published": ("NLL as published", 1),
    "nll_texts": ("texts with NLL", 1),
    "nll_too_poor": ("NLL too poor %", 100),
    "bleu_chance": ("BLEU by chance", 1),
    "bleu_with_markers": ("BLEU, markers counted", 1),
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
    "usage_perplexity": ("as many if used alike", 1),
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
    "read_as_asked": ("by its own reading %", 100),
    "label_accuracy": ("right label %", 100),
    "calibration_error": ("ECE %", 100),
}
AGREEMENT_COLUMNS = {
    "homogeneity": "homogeneity",
    "v_measure": "V-measure",
    "batched_homogeneity": "in batches, as published",
}


def score_table(rows: Rows) -> str:
    """A Markdown table of scores, means and standard deviations over seeds, with [`columns_of`] them."""
    return table(rows, columns_of(rows))


def columns_of(rows: Rows) -> dict[str, Callable[[dict[str, list[float]]], str]]:
    """Columns for what there are scores of, by title; each makes a cell of a row's values by score."""
    names = dict.fromkeys(name for of_seeds in rows.values() for scores in of_seeds.values() for name in scores)

    def value(name: str, unit: float = 1, brackets: str = "") -> Callable[[dict[str, list[float]]], str]:
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
