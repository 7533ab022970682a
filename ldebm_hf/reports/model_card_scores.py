"""The scores of a model card: agreement with classes, text generated for classes, and everything else."""

from __future__ import annotations

import math
from dataclasses import dataclass

AGREEMENT = ("homogeneity", "completeness", "v_measure", "adjusted_rand")
BATCHED = "batched_homogeneity"
V_MEASURE_AGAIN = "normalized_mutual_information"
"""Equals the V-measure and is not shown."""
GENERATION = {
    "acceptability": ("acceptable %", 100),
    "acceptability_chance": ("acceptable if corrupted %", 100),
    "distinct_2": ("distinct-2 %", 100),
    "self_bleu": ("self-BLEU", 1),
    "perplexity": ("perplexity", 1),
    "copied": ("copied %", 100),
}
"""Titles and factors of the scores of texts generated for classes, apart from the accuracy."""


@dataclass(frozen=True)
class CardScores:
    """
    The scores in `evaluation.json`, sorted by where the card shows them.

    Args:
        agreement (`dict[str, float]`): Agreement of symbols with classes, by `ATTRIBUTE_SCORE`.
        agreement_rows (`list[dict[str, str]]`): The same as rows of a table with the columns `attribute`, `score`,
            `whole` (over the whole set) and `batched`, each with its chance level in brackets.
        other (`dict[str, float]`): All other scores, without chance levels, standard errors, scores of real texts, of
            K-means and of other ways of generating.
        shown (`dict[str, float]`): Those of `other` that are not in the table of generated texts.
    """

    agreement: dict[str, float]
    agreement_rows: list[dict[str, str]]
    other: dict[str, float]
    shown: dict[str, float]

    @classmethod
    def sort(cls, scores: dict[str, float | None]) -> CardScores:
        """Sort scores; those that are missing or not finite are dropped."""
        finite = {name: value for name, value in scores.items() if value is not None and math.isfinite(value)}
        attributes = _attributes(finite)
        names = [f"{attribute}_{score}" for attribute in attributes for score in (*AGREEMENT, BATCHED)]
        repeated = tuple(f"{attribute}_{V_MEASURE_AGAIN}" for attribute in attributes)
        other = {
            name: value
            for name, value in finite.items()
            if name not in names
            and not any(part in name for part in ("_chance", "_std_error", "@"))
            and not name.startswith(("kmeans_", "real_", *repeated))
        }
        shown = other
        if "accuracy" in finite:  # scores with a counterpart for real texts are in the table of generated texts
            shown = {name: value for name, value in other.items() if f"real_{name}" not in finite}
        agreement = {name: finite[name] for name in names if name in finite}
        return cls(agreement, _agreement_rows(finite, attributes), other, shown)


def generation_rows(scores: dict[str, float | None]) -> dict[str, list[str]]:
    """
    The table of texts generated for classes, by way of generating; the row with an empty name holds the titles.

    It is empty if no texts were generated for classes.
    """
    if scores.get("accuracy") is None:
        return {}
    classes = [name for name in scores if name.startswith("accuracy_") and f"{name}_std_error" in scores]
    columns = {"accuracy": ("as asked %", 100)}
    columns |= {name: (f"{name.removeprefix('accuracy_').replace('_', ' ')} %", 100) for name in classes}
    columns |= {name: column for name, column in GENERATION.items() if name in scores}
    suffixes = dict.fromkeys(name.partition("@")[2] for name in scores if name.startswith("accuracy@"))
    ways = {"real held-out texts": ("real_", ""), "likeliest words": ("", "")}
    ways |= {_way(suffix): ("", f"@{suffix}") for suffix in suffixes}
    rows = {"": [title for title, _ in columns.values()]}
    for way, (prefix, suffix) in ways.items():
        values = [(scores.get(f"{prefix}{name}{suffix}"), factor) for name, (_, factor) in columns.items()]
        rows[way] = ["" if value is None else short_number(factor * value) for value, factor in values]
    return rows


def short_number(value: float) -> str:
    """A number with four significant digits."""
    return f"{value:.4g}"


def _attributes(scores: dict[str, float]) -> list[str]:
    """The attributes whose classes symbols were compared with."""
    return [
        name.removesuffix("_homogeneity")
        for name in scores
        if name.endswith("_homogeneity") and not name.endswith(f"_{BATCHED}") and not name.startswith("kmeans_")
    ]


def _agreement_rows(scores: dict[str, float], attributes: list[str]) -> list[dict[str, str]]:
    rows = []
    for attribute in attributes:
        for score in AGREEMENT:
            row = {"attribute": attribute, "score": score, "batched": ""}
            row["whole"] = _with_chance(scores, f"{attribute}_{score}")
            if score == "homogeneity":
                row["batched"] = _with_chance(scores, f"{attribute}_{BATCHED}")
            rows.append(row)
    return rows


def _with_chance(scores: dict[str, float], name: str) -> str:
    """A score with its chance level in brackets; empty if there is no such score."""
    if name not in scores:
        return ""
    chance = scores.get(f"{name}_chance")
    return f"{scores[name]:.3f}" if chance is None else f"{scores[name]:.3f} ({chance:.3f})"


def _way(suffix: str) -> str:
    """The name of a way of generating, which is a guidance scale if it is a number."""
    return f"guidance {suffix}" if suffix.replace(".", "", 1).isdigit() else suffix
