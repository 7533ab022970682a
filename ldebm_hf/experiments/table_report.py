"""The report of a table of the paper: scores below the published ones, sweeps, sentences and symbols, as Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files.atomic import write_text
from ..reports.plots import plot_guidance, plot_tradeoff
from ..reports.tables import markdown_table
from ..scores import seed_agreement
from .experiment_runs import ExperimentRun, Scores, collect_scores
from .generation_experiment import likelihood_scores
from .paper_tables import PaperTable, curve_points, guidance_sweep, other_ways, real_texts
from .reading_experiment import read_symbols
from .score_tables import SEED_AGREEMENT, Rows, chance_level, mean_and_deviation, score_table
from .table_runs import SENTENCES


def write_report(
    plan: PaperTable,
    runs: Sequence[ExperimentRun],
    output_dir: Path,
    *,
    shown_seed: int = 0,
    notes: Sequence[str] = (),
    explain: Callable[[ExperimentRun], list[dict[str, Any]]],
) -> str:
    """
    Write the table of all finished runs: `table.md` and `table.json` in the folder of the table's runs, with
    `guidance.png` where guidance scales were tried and `table.png` if the table has curves. Tables that share a folder
    write files of their own names.

    Args:
        plan ([`PaperTable`]): The table.
        runs (`Sequence[ExperimentRun]`): Its runs.
        output_dir (`Path`): The folder of all tables' runs.
        shown_seed (`int`, *optional*, defaults to 0): The seed of the runs whose sentences and symbols are shown.
        notes (`Sequence[str]`, *optional*): Lines below the scores.
        explain (callable): Returns a run's symbols, of which `suggested_name`, `share` and `closest` are shown; called
            only for tables that show symbols.

    Returns:
        `str`: The text of `table.md`, with a line about each figure; empty if nothing is finished.
    """
    scores = plan.by_row(collect_scores(runs))
    if not scores:
        return ""
    if plan.measure == "generation":
        add_likelihoods(scores, runs)
    if plan.measure == "reading":
        add_seed_agreement(scores, runs)
    file = report_file(plan, output_dir)
    folder, name = file.parent, file.stem
    rows = rows_of_table(plan, scores)
    sweep = {row: guidance_sweep(of_seeds) for row, of_seeds in scores.items()}
    sweep = {row: points for row, points in sweep.items() if points}
    lines = [plan.title, "", score_table(rows)]
    for note in notes:
        lines += ["", note]
    for row, points in sweep.items():
        lines += ["", f"{row}, by guidance scale", "", score_table(points)]
    shown_runs = [run for run in runs if run.seed == shown_seed and run.model in plan.rows]
    lines += list_sentences(plan, shown_runs) + list_symbols(plan, shown_runs, explain)
    text = "\n".join(lines) + "\n"
    write_text(folder / f"{name}.md", text)
    write_text(file, json.dumps(rows, indent=1))
    figures = []
    if sweep:
        figures.append(folder / "guidance.png")
        plot_guidance(sweep, real_texts(scores), figures[-1])
    curves = curve_points(plan, runs, scores)
    if curves:
        figures.append(folder / f"{name}.png")
        real = {row: {"real": without_bleu(values["real"])} for row, values in real_texts(scores).items()}
        plot_tradeoff(curves, real, figures[-1], plan.curve_setting)
    return text + "".join(f"figure: {figure}\n" for figure in figures)


def report_file(plan: PaperTable, output_dir: Path) -> Path:
    """The file of a table's scores, `table.json`; tables that share a folder have files of their own names."""
    name = "table" if plan.runs_folder == plan.name else plan.name
    return output_dir / plan.runs_folder / f"{name}.json"


def write_overview(plan: PaperTable, output_dir: Path) -> str:
    """
    Write `overview.md` in the folder of the table's runs: one score of every data set, in brackets its chance level.

    Args:
        plan ([`PaperTable`]): A table of several data sets, which says by `overview` which score that is.
        output_dir (`Path`): The folder of all tables' runs, where [`write_report`] has written those of the data sets.

    Returns:
        `str`: The text; empty if there is nothing to show.
    """
    folder, columns, rows = output_dir / plan.runs_folder, {}, {}
    for name in plan.overview:
        file = folder / name / "table.json"
        if file.exists():
            columns[name] = json.loads(file.read_text("utf-8"))
            rows |= dict.fromkeys(columns[name])
    if not rows:
        return ""
    cells: dict[str, list[str]] = {"model": [row for row in plan.all_rows if row in rows]}
    for name, of_rows in columns.items():
        score = plan.overview[name]
        runs = [of_rows.get(row, {}).values() for row in cells["model"]]
        scores = [[run[score] for run in of_row if score in run] for of_row in runs]
        chance = [[run[f"{score}_chance"] for run in of_row if f"{score}_chance" in run] for of_row in runs]
        pairs = zip(scores, chance, strict=True)
        cells[f"{name}, {score}"] = [mean_and_deviation(values) + chance_level(levels) for values, levels in pairs]
    text = f"{plan.title}\n\n{markdown_table(cells)}\n"
    write_text(folder / "overview.md", text)
    return text


def add_likelihoods(scores: Rows, runs: Sequence[ExperimentRun]) -> None:
    """Add the likelihoods that were estimated in the runs' folders to their scores."""
    for run in runs:
        of_seeds = scores.get(run.model, {})
        if str(run.seed) in of_seeds:
            of_seeds[str(run.seed)] |= likelihood_scores(run.folder, run.scored_with["split"])


def add_seed_agreement(scores: Rows, runs: Sequence[ExperimentRun]) -> None:
    """
    Add to the scores of each run how far its symbols, and clusters of its latents, agree with those of the other seeds
    of its row. A row has such scores if at least two of its runs were scored on the same texts.
    """
    found: dict[tuple[str, str, str], dict[str, np.ndarray]] = {}
    for run in runs:
        if str(run.seed) not in scores.get(run.model, {}):
            continue  # a run that is not finished, or an earlier run with other settings
        texts, symbols = read_symbols(run.folder)
        for prefix, of_texts in symbols.items():
            found.setdefault((run.model, prefix, texts), {})[str(run.seed)] = of_texts
    for (row, prefix, _), of_seeds in found.items():
        if len(of_seeds) > 1:
            for seed, agreement in zip(of_seeds, seed_agreement(list(of_seeds.values())), strict=True):
                scores[row][seed][f"{prefix}{SEED_AGREEMENT}"] = float(agreement)


def rows_of_table(plan: PaperTable, scores: Rows) -> Rows:
    """Return the rows to show: the paper's, real texts, then each row with its other ways of writing."""
    rows = {f"{row} (paper)": {"paper": values} for row, values in plan.published.items()}
    rows |= real_texts(scores)
    for row, of_seeds in scores.items():
        rows[row] = of_seeds
        rows |= {f"{row}, {way}": of_way for way, of_way in other_ways(of_seeds).items()}
    return rows


def list_sentences(plan: PaperTable, runs: Sequence[ExperimentRun]) -> list[str]:
    """Return lines with some of the sentences that the models of the runs have written."""
    lines: list[str] = []
    if not plan.shown_sentences:
        return lines
    for run in runs:
        for label, sentences in json.loads((run.folder / SENTENCES).read_text("utf-8")).items():
            step = max(1, len(sentences) // plan.shown_sentences)
            chosen = sentences[::step][: plan.shown_sentences]
            lines += ["", f"{run.model}, {label}", "", *bullets(chosen)]
    return lines


def list_symbols(
    plan: PaperTable, runs: Sequence[ExperimentRun], explain: Callable[[ExperimentRun], list[dict[str, Any]]]
) -> list[str]:
    """Return lines about the most frequent symbols of those models that have symbols."""
    lines: list[str] = []
    if not plan.shown_symbols:
        return lines
    for run in runs:
        if "symbols_used" not in run.finished_scores():
            continue
        symbols = sorted(explain(run), key=lambda symbol: -symbol["share"])
        for symbol in symbols[: plan.shown_symbols]:
            title = f"{run.model}, {symbol['suggested_name']} ({symbol['share']:.1%})"
            lines += ["", title, "", *bullets(symbol["closest"])]
    return lines


def without_bleu(scores: Scores) -> Scores:
    """Return the scores without BLEU, which real texts have no use for, as they are not reconstructed."""
    return {name: value for name, value in scores.items() if name != "bleu"}


def bullets(texts: Sequence[str]) -> list[str]:
    """Return a Markdown list item for each text."""
    return [f"* {text}" for text in texts]
