"""The report of a table of the paper: scores below the published ones, sweeps, sentences and symbols, as Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..files.atomic import write_text
from ..reports.plots import plot_guidance, plot_tradeoff
from .experiments import Scores, StudyRun, finished
from .generation_experiment import likelihood_scores
from .paper_tables import PaperTable, curve_points, guidance_sweep, other_ways, real_texts
from .score_columns import score_table
from .table_runs import SENTENCES


def write_report(
    plan: PaperTable,
    runs: Sequence[StudyRun],
    output_dir: Path,
    *,
    shown_seed: int = 0,
    notes: Sequence[str] = (),
    explain: Callable[[StudyRun], list[dict[str, Any]]],
) -> str:
    """
    Write `table.md` and `table.json` of what is finished into the folder of the table's study, with `guidance.png`
    where guidance scales were tried and `table.png` of the table's curves. In tables that share a study, these files
    have the table's name.

    Args:
        plan ([`PaperTable`]): the table.
        runs (`Sequence[StudyRun]`): its runs.
        output_dir (`Path`): where studies have their folders.
        shown_seed (`int`, *optional*, defaults to 0): of the runs whose sentences and symbols are shown.
        notes (`Sequence[str]`, *optional*): lines below the scores.
        explain (callable): a run's symbols, of which `suggested_name`, `share` and `closest` are shown; called for
            tables that show symbols.

    Returns:
        `str`: the text of `table.md`, with a line about each figure; empty if nothing is finished.
    """
    scores = plan.by_row(finished(runs))
    if not scores:
        return ""
    for run in runs if plan.measure == "generation" else []:
        of_seeds = scores.get(run.model, {})
        if str(run.seed) in of_seeds:
            of_seeds[str(run.seed)] |= likelihood_scores(run.folder, run.scored_with["split"])
    folder, name = output_dir / plan.study, "table" if plan.study == plan.name else plan.name
    rows = {f"{row} (paper)": {"paper": values} for row, values in plan.published.items()}
    rows |= real_texts(scores)
    for row, of_seeds in scores.items():
        rows[row] = of_seeds
        rows |= {f"{row}, {way}": of_way for way, of_way in other_ways(of_seeds).items()}
    lines = [plan.title, "", score_table(rows)]
    for note in notes:
        lines += ["", note]
    sweep = {row: guidance_sweep(of_seeds) for row, of_seeds in scores.items()}
    sweep = {row: points for row, points in sweep.items() if points}
    for row, points in sweep.items():
        lines += ["", f"{row}, by guidance scale", "", score_table(points)]
    first = [run for run in runs if run.seed == shown_seed and run.model in plan.rows]
    for run in first if plan.shown_sentences else []:
        for label, sentences in json.loads((run.folder / SENTENCES).read_text("utf-8")).items():
            chosen = sentences[:: max(1, len(sentences) // plan.shown_sentences)][: plan.shown_sentences]
            lines += ["", f"{run.model}, {label}", "", *_bullets(chosen)]
    for run in [run for run in first if plan.shown_symbols and "symbols_used" in run.finished_scores()]:
        symbols = sorted(explain(run), key=lambda symbol: -symbol["share"])
        for symbol in symbols[: plan.shown_symbols]:
            title = f"{run.model}, {symbol['suggested_name']} ({symbol['share']:.1%})"
            lines += ["", title, "", *_bullets(symbol["closest"])]
    text = "\n".join(lines) + "\n"
    write_text(folder / f"{name}.md", text)
    write_text(folder / f"{name}.json", json.dumps(rows, indent=1))
    figures = []
    if sweep:
        figures.append(folder / "guidance.png")
        plot_guidance(sweep, real_texts(scores), figures[-1])
    curves = curve_points(plan, runs, scores)
    if curves:
        figures.append(folder / f"{name}.png")
        real = {row: {"real": _without_bleu(values["real"])} for row, values in real_texts(scores).items()}
        plot_tradeoff(curves, real, figures[-1], plan.curve_setting)
    return text + "".join(f"figure: {figure}\n" for figure in figures)


def _without_bleu(scores: Scores) -> Scores:
    """Real texts are not reconstructed."""
    return {name: value for name, value in scores.items() if name != "bleu"}


def _bullets(texts: Sequence[str]) -> list[str]:
    return [f"* {text}" for text in texts]
