"""A report on a model's symbols: a JSON file, and a self-contained HTML page with the same content.

The JSON file is an object with

    format, version    "ldebm_hf.symbols", 1
    title              one line of text
    details            {name: text}: where the model and the texts come from
    num_texts          number of texts
    num_symbols        number of symbols
    num_used           number of symbols with at least one text
    usage_entropy      entropy of the symbols' shares of the texts, in nats; at most log num_symbols
    confidence         mean probability of the most probable symbol of a text
    word_score         "log_odds" or "ctfidf"
    modality           "text" or "document": `generated` contains texts or words
    topics             null, or for documents {num_words, num_texts, own, lda}: coherence and diversity of the words
                       that the model writes for its symbols, and of the topics of LDA
                       (`ldebm_hf.baselines.topic_models.compare_with_lda`)
    attributes         {attribute: {known, shares}}: number of texts whose class is known, and {class: share of those};
                       not of an attribute that holds dates, unless they are few
    over_time          null, or for an attribute that holds dates {attribute, unit, periods, totals, counts}: numbers
                       of texts by period, and by symbol and period (`ldebm_hf.reports.symbol_timeline`)
    hierarchy          null, or {symbols, joins}: the symbols as a tree (`ldebm_hf.reports.symbol_hierarchy`)
    map                {projection, explained, points}: "pca" or "umap"; the fraction of the variance that each of the
                       two components explains (null for umap); and a sample of the texts as [x, y, symbol, beginning
                       of the text]
    symbols            a list, by id, of {id, name, suggested_name, num_texts, share, confidence (null without texts),
                       words: [{word, score, count}], closest: [text], generated: [text],
                       attributes: as above, for the texts of the symbol}
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
from ..model.modalities import MODALITIES
from .latent_map import PrincipalPlane, central_square
from .symbol_colors import symbol_colors
from .symbol_hierarchy import ROW, WIDTH, symbol_hierarchy, tree_lines
from .symbol_timeline import is_dates, shares_over_time, symbols_over_time
from .templates import load_template

FORMAT, VERSION = "ldebm_hf.symbols", 1
ADDED_LATER = {"modality": "text", "topics": None, "over_time": None, "hierarchy": None}
"""What reports that were written earlier do not have, with the values that it has for them."""
Projection = Literal["pca", "umap"]
MAX_TOOLTIP = 140
"""Maximum number of characters of a text on the map."""
MOST_DATES_AS_CLASSES = 12
"""An attribute of dates with more different values than this is shown over time only."""
NUM_NAMES_ON_MAP = 12
"""Maximum number of symbols whose names the map shows; of more symbols it shows the ids."""


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
    """
    The report as plain values; the docstring of this module says what it contains.

    Args:
        explanation (`Explanation`): What `model.explain` returns.
        title (`str`, *optional*, defaults to `"Symbols"`): Title of the report.
        details (`Mapping[str, str]`, *optional*): Where the model and the texts come from, by a name for each detail.
        attributes (`Mapping[str, Sequence[str | None]]`, *optional*): For each attribute, the class of every text of
            `explanation.texts` by name, `None` where it is unknown. The first one whose known values are all dates of
            ISO 8601 (`2024`, `2024-05`, `2024-05-17` …) shows the symbols over time.
        topics (`Mapping[str, Any]`, *optional*): For documents, what `compare_with_lda` returns.
        projection (`str`, *optional*, defaults to `"pca"`): Projection of the latents to the map: `"pca"`, or
            `"umap"`, which needs umap-learn and is fitted on the texts that the map shows.
        max_points (`int`, *optional*, defaults to 3000): Maximum number of texts on the map, chosen at random.
        seed (`int`, *optional*, defaults to 0): Seed of that choice and of UMAP.

    Raises:
        ValueError: The projection is unknown, `max_points` is below 1, or an attribute does not have one class per
            text.
        ImportError: umap-learn is not installed and `projection` is `"umap"`.
    """
    if max_points < 1:
        raise ValueError(f"max_points must be at least 1, got {max_points}")
    num_texts, assignments = len(explanation.texts), explanation.assignments
    for name, classes in (attributes or {}).items():
        if len(classes) != num_texts:
            raise ValueError(f"attributes[{name!r}] must have one class per text, {num_texts}, got {len(classes)}")
    known = {name: classes for name, classes in (attributes or {}).items() if any(c is not None for c in classes)}
    dated = next((name for name, classes in known.items() if is_dates(classes)), None)
    over_time = None if dated is None else symbols_over_time(dated, known[dated], assignments)
    if dated is not None and len(set(known[dated]) - {None}) > MOST_DATES_AS_CLASSES:
        known = {name: classes for name, classes in known.items() if name != dated}
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
        "over_time": over_time,
        "hierarchy": symbol_hierarchy(explanation.latents, assignments),
        "map": _latent_map(explanation, projection, max_points, seed),
        "symbols": [
            asdict(symbol)
            | {"attributes": {name: _distribution([classes[i] for i in own]) for name, classes in known.items()}}
            for symbol, own in zip(explanation.symbols, members, strict=True)
        ],
    }


def without_texts(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report without the texts of the data, if their licence forbids passing them on; generated texts are kept."""
    points = [[*place, ""] for *place, _ in report["map"]["points"]]
    symbols = [symbol | {"closest": []} for symbol in report["symbols"]]
    return {**report, "map": report["map"] | {"points": points}, "symbols": symbols}


def write_report(report: Mapping[str, Any], path: str | Path) -> tuple[Path, Path]:
    """
    Write a report as HTML to `path` and as JSON to the same folder, each file either completely or not at all.

    Returns:
        The paths of the two files.

    Raises:
        ValueError: The path does not end in .html.
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
    """
    Read a report from the JSON file that [`write_report`] wrote, now or when reports had fewer parts: those that came
    later get the values of a report without them.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is not a report, or one of another version.
    """
    report = json.loads(Path(path).read_text(encoding="utf-8"))
    found = (report.get("format"), report.get("version")) if isinstance(report, dict) else None
    if found != (FORMAT, VERSION):
        raise ValueError(f"{path} must have format {FORMAT!r} and version {VERSION}, got {found!r}")
    return {**ADDED_LATER, **report}


def render_html(report: Mapping[str, Any]) -> str:
    """The report as an HTML page, which loads nothing from elsewhere and in which all texts are escaped."""
    # The sort is stable: symbols of equal size stay in the order of their ids.
    symbols = sorted(report["symbols"], key=lambda symbol: -symbol["num_texts"])
    points, labels = _points_on_map(report)
    timeline, hierarchy = report["over_time"], report["hierarchy"]
    lines, height = tree_lines(hierarchy) if hierarchy else ([], 0)
    return _template().render(
        report=report,
        symbols=symbols,
        writes_words=MODALITIES[report["modality"]].is_bag_of_words,
        colors=symbol_colors(len(symbols)),
        largest_share=max(symbol["share"] for symbol in symbols) or 1,
        points=points,
        labels=labels,
        max_entropy=float(np.log(report["num_symbols"])),
        is_roomy=len(symbols) <= NUM_NAMES_ON_MAP,
        has_texts=any(point[3] for point in report["map"]["points"]),
        timeline=timeline,
        curves={} if timeline is None else {one["id"]: _curve(timeline, one["id"]) for one in symbols},
        hierarchy=hierarchy,
        tree={"lines": lines, "height": height, "row": ROW, "width": WIDTH},
    )


@cache
def _template() -> jinja2.Template:
    filters = {"percent": "{:.1%}".format, "shown_name": _shown_name, "thousands": "{:,}".format}
    return load_template("symbol_report.html", filters, autoescape=True)


def _curve(timeline: Mapping[str, Any], symbol: int) -> dict[str, Any] | None:
    """A symbol's share over time as a path of SVG in a box of 300 by 60, interrupted where a period has no texts, and
    its greatest share with the period of that; `None` for a symbol without dated texts."""
    shares = shares_over_time(timeline, symbol)
    if shares is None:
        return None
    most = max(share for share in shares if share is not None)
    step = 300 / max(len(shares) - 1, 1)
    path, is_drawn = "", False
    for number, share in enumerate(shares):
        if share is not None:
            path += f"{'L' if is_drawn else 'M'}{number * step:.1f} {58 - 56 * share / most:.1f}"
            if not is_drawn and (number + 1 == len(shares) or shares[number + 1] is None):
                path += "h0.1"  # so that a single period is seen
        is_drawn = share is not None
    return {"path": path, "most": most, "period": timeline["periods"][shares.index(most)]}


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
    """
    Points as `(x, y, symbol, text)` in a square of 1000 by 1000, and labels as `(x, y, symbol, label)`.

    With many symbols, labels are their ids, and those that would overlap with the label of a larger symbol are left
    out.
    """
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
