"""A report on a model's symbols: a JSON file, and one HTML file of the same content that needs nothing else.

The JSON file is an object with

    format, version    "ldebm_hf.symbols", 1
    title              a line of text
    details            {name: text}: where model and texts come from
    num_texts          texts that were read
    num_symbols, num_used          symbols, and those with at least one text
    usage_entropy      of the symbols' shares, in nats; at most log num_symbols
    confidence         mean probability of the texts' likeliest symbols
    word_score         "log_odds" or "ctfidf"
    modality           "text" or "document": what `generated` holds, texts or words
    topics             null, or of documents {num_words, num_texts, own, lda}: coherence and diversity of the words
                       that the symbols write, beside LDA's (`ldebm_hf.baselines.topic_models.compare_with_lda`)
    attributes         {attribute: {known, shares}}: texts for which it is known, and {class: share of those}
    map                {projection, explained, points}: "pca" or "umap"; the two components' shares of the variance
                       (null for umap); and a sample of texts as [x, y, symbol, beginning of the text]
    symbols            a list by id of {id, name, suggested_name, num_texts, share, confidence (null without texts),
                       words: [{word, score, count}], closest: [text], generated: [text],
                       attributes: as above, among the symbol's texts}
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Literal

import jinja2
import numpy as np

from ..files.atomic import write_text
from ..model.explanation import Explanation
from .latent_map import PrincipalPlane, central_square
from .symbol_colors import symbol_colors
from .templates import load_template

FORMAT, VERSION = "ldebm_hf.symbols", 1
Projection = Literal["pca", "umap"]
MAX_TOOLTIP = 140  # characters
NUM_NAMES_ON_MAP = 12  # with more symbols the map shows their numbers


def make_report(
    explanation: Explanation,
    *,
    title: str = "Symbols",
    details: Mapping[str, str] | None = None,
    attributes: Mapping[str, Sequence[str | None]] | None = None,
    topics: Mapping[str, Any] | None = None,
    projection: Projection = "pca",
    max_points: int = 3000,
    seed: int = 0,
) -> dict[str, Any]:
    """The report as plain values; the module's docstring says what is in it.

    Args:
        explanation (`Explanation`): as `model.explain` returns it.
        title (`str`, *optional*, defaults to `"Symbols"`), details (`Mapping[str, str]`, *optional*): of the report.
        attributes (`Mapping[str, Sequence[str | None]]`, *optional*): what is known of the texts, by the attribute's
            name: one class name per text, in step with `explanation.texts`, `None` where unknown.
        topics (`Mapping[str, Any]`, *optional*): of documents what `compare_with_lda` returns.
        projection (`str`, *optional*, defaults to `"pca"`): of the latents to the plane: `"pca"`, or `"umap"`, which
            needs umap-learn and is fitted to the texts on the map alone.
        max_points (`int`, *optional*, defaults to 3000): texts on the map; of more, so many at random.
        seed (`int`, *optional*, defaults to 0): decides which, and UMAP's noise.

    Raises:
        ValueError: an unknown projection, `max_points` below 1, an attribute that has not one class per text.
        ImportError: `"umap"` without umap-learn.
    """
    if max_points < 1:
        raise ValueError(f"max_points must be at least 1, got {max_points}")
    num_texts, assignments = len(explanation.texts), explanation.assignments
    for name, classes in (attributes or {}).items():
        if len(classes) != num_texts:
            raise ValueError(f"attributes[{name!r}] must have one class per text, {num_texts}, got {len(classes)}")
    known = {name: classes for name, classes in (attributes or {}).items() if any(c is not None for c in classes)}
    members = [np.flatnonzero(assignments == symbol.id) for symbol in explanation.symbols]
    return {
        "format": FORMAT,
        "version": VERSION,
        "title": title,
        "details": dict(details or {}),
        "num_texts": num_texts,
        "num_symbols": len(explanation.symbols),
        "num_used": explanation.num_used,
        "usage_entropy": explanation.usage_entropy,
        "confidence": explanation.confidence,
        "word_score": explanation.word_score,
        "modality": explanation.modality,
        "topics": None if topics is None else dict(topics),
        "attributes": {name: _distribution(classes) for name, classes in known.items()},
        "map": _latent_map(explanation, projection, max_points, seed),
        "symbols": [
            asdict(symbol)
            | {"attributes": {name: _distribution([classes[i] for i in own]) for name, classes in known.items()}}
            for symbol, own in zip(explanation.symbols, members, strict=True)
        ],
    }


def without_texts(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report that quotes no text that was read, for texts whose terms forbid to hand them on; written ones stay."""
    points = [[*place, ""] for *place, _ in report["map"]["points"]]
    symbols = [symbol | {"closest": []} for symbol in report["symbols"]]
    return {**report, "map": report["map"] | {"points": points}, "symbols": symbols}


def write_report(report: Mapping[str, Any], path: str | Path) -> tuple[Path, Path]:
    """Write a report as HTML to `path` and as JSON beside it; each file appears whole or not at all.

    Returns:
        The paths of the two files.

    Raises:
        ValueError: a path that does not end in .html.
    """
    path = Path(path)
    if path.suffix != ".html":
        raise ValueError(f"path must end in .html, got {str(path)!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    html = render_html(report)
    write_text(path.with_suffix(".json"), json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    write_text(path, html)
    return path, path.with_suffix(".json")


def read_report(path: str | Path) -> dict[str, Any]:
    """The report in a JSON file that `write_report` wrote.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file of something else, or of another version.
    """
    report = json.loads(Path(path).read_text(encoding="utf-8"))
    found = (report.get("format"), report.get("version")) if isinstance(report, dict) else None
    if found != (FORMAT, VERSION):
        raise ValueError(f"{path} must hold format {FORMAT!r}, version {VERSION}; got {found!r}")
    return report


def render_html(report: Mapping[str, Any]) -> str:
    """The page: no script, style, font or picture comes from anywhere else, and all texts are escaped."""
    symbols = sorted(report["symbols"], key=lambda symbol: -symbol["num_texts"])  # stable: of the same size by id
    points, labels = _points_on_map(report)
    return _template().render(
        report=report,
        symbols=symbols,
        colors=symbol_colors(len(symbols)),
        largest_share=max(symbol["share"] for symbol in symbols) or 1,
        points=points,
        labels=labels,
        max_entropy=float(np.log(report["num_symbols"])),
        is_roomy=len(symbols) <= NUM_NAMES_ON_MAP,
    )


@cache
def _template() -> jinja2.Template:
    filters = {"percent": "{:.1%}".format, "shown_name": _shown_name, "thousands": "{:,}".format}
    return load_template("symbol_report.html", filters, autoescape=True)


def _distribution(classes: Sequence[str | None]) -> dict[str, Any]:
    counts = Counter(name for name in classes if name is not None)
    known = counts.total()
    return {"known": known, "shares": {name: count / known for name, count in counts.most_common()}}


def _latent_map(explanation: Explanation, projection: Projection, max_points: int, seed: int) -> dict[str, Any]:
    latents, num_texts = explanation.latents, len(explanation.texts)
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(num_texts, min(num_texts, max_points), replace=False))
    explained = None
    if projection == "pca":
        plane = PrincipalPlane.fit(latents)
        places, explained = plane.project(latents[chosen]), plane.explained
    elif projection == "umap":
        places = _umap(latents[chosen], seed)
    else:
        raise ValueError(f"projection must be pca or umap, got {projection!r}")
    points = [
        [round(float(x), 4), round(float(y), 4), int(explanation.assignments[i]), _beginning(explanation.texts[i])]
        for i, (x, y) in zip(chosen, places, strict=True)
    ]
    return {"projection": projection, "explained": explained, "points": points}


def _umap(latents: np.ndarray, seed: int) -> np.ndarray:
    try:
        from umap import UMAP
    except ImportError as error:
        raise ImportError('projection="umap" needs umap-learn: pip install umap-learn') from error
    if len(latents) < 4:
        raise ValueError(f'projection="umap" needs at least 4 texts, got {len(latents)}')
    return UMAP(n_components=2, n_neighbors=min(15, len(latents) - 1), random_state=seed).fit_transform(latents)


def _beginning(text: str) -> str:
    return text if len(text) <= MAX_TOOLTIP else text[: MAX_TOOLTIP - 1] + "…"


def _points_on_map(report: Mapping[str, Any]) -> tuple[list[tuple], list[tuple]]:
    """Points as `(x, y, symbol, text)` in a square of 1000 by 1000, and labels likewise: of many symbols their
    numbers, where these find room."""
    points = report["map"]["points"]
    places = np.array([point[:2] for point in points])
    center, half = central_square(places)
    places = np.clip(500 + 480 * (places - center) / half * [1, -1], 4, 996)
    symbols = np.array([point[2] for point in points])
    placed = [(round(x), round(y), point[2], point[3]) for (x, y), point in zip(places, points, strict=True)]
    few = report["num_symbols"] <= NUM_NAMES_ON_MAP
    labels: list[tuple] = []
    for symbol in sorted(report["symbols"], key=lambda symbol: -symbol["num_texts"]):
        own = places[symbols == symbol["id"]]
        if len(own):
            x, y = np.median(own, axis=0)
            label = _shown_name(symbol) if few else str(symbol["id"])
            if few or all(abs(x - other[0]) > 34 or abs(y - other[1]) > 20 for other in labels):
                labels.append((round(x), round(y), symbol["id"], label))
    return placed, labels


def _shown_name(symbol: Mapping[str, Any]) -> str:
    return symbol["suggested_name"] if symbol["name"] == f"LABEL_{symbol['id']}" else symbol["name"]
