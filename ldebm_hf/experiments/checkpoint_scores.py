"""All scores of one trained checkpoint on held-out texts of its corpus."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from transformers import PreTrainedTokenizerBase

from ..data import Corpus
from ..files.atomic import write_text
from ..reports.plots import plot_guidance
from ..reports.run_record import EVALUATION, scores_file
from ..scores.conditional_generation import control_scores
from ..scores.held_out_texts import agreement_scores, classes_by_attribute, knowledge_scores, reading_scores
from ..training import Settings
from ..training.features import kept_vectors
from ..training.saved_runs import find_checkpoint, settings_of
from .experiment_runs import Changes, Scores, merge_changes
from .paper_tables import guidance_sweep, other_ways, real_texts
from .reading_experiment import cluster_texts
from .response_experiment import score_responses
from .score_tables import score_table
from .table_runs import ScoringOptions, check_split, load_for_scoring

if TYPE_CHECKING:
    from ..model.modeling_ldebm import LDEBMModel

LIKELIEST_DRAWN = "words drawn from the 50 likeliest"
"""The way of writing in which each word is drawn from the 50 likeliest ones (`top_k=50`)."""
NUM_SAMPLES = 500
"""Sentences written per class by default."""


@dataclass(frozen=True)
class CheckpointScoring:
    """
    How a checkpoint is scored.

    Args:
        options ([`ScoringOptions`]): The split, the judge, the language model and the word vectors.
        seed (`int`, *optional*, defaults to 0): Seed of draws.
        data_dir (`str`, *optional*): Folder with the release files of the corpus; default: as in training.
        changes (`dict`, *optional*): Settings of the data to change; the scores then go into files of their own.
        text_clusters (`Sequence[str]`, *optional*): Ways of clustering texts to score beside the model's symbols.
        guidance_scales (`Sequence[float]`, *optional*): Scales to measure control at, besides the model's own.
        num_samples (`int`, *optional*, defaults to 500): Sentences written per class.
        min_label_probability (`float`, *optional*): Measure control also with sentences resampled whose probability of
            the requested label is below this.
        trust_remote_code (`bool`, *optional*, defaults to `False`): As in [`LDEBMModel.from_pretrained`].
    """

    options: ScoringOptions = field(default_factory=ScoringOptions)
    seed: int = 0
    data_dir: str | None = None
    changes: Changes = field(default_factory=dict)
    text_clusters: Sequence[str] = ()
    guidance_scales: Sequence[float] = ()
    num_samples: int = NUM_SAMPLES
    min_label_probability: float | None = None
    trust_remote_code: bool = False


def score_checkpoint(checkpoint: str, scoring: CheckpointScoring | None = None) -> str:
    """
    Score a checkpoint of texts: what it reads, what it answers if it has contexts, and what it writes if there is a
    judge. Scores go into `evaluation.json` in its folder, those of clusters into `text_clusters.json`.

    Args:
        checkpoint (`str`): Folder of a trained model, with the `settings.yaml` of its training.
        scoring ([`CheckpointScoring`], *optional*): What is scored, and how.

    Returns:
        `str`: Markdown tables of the scores, and the names of the files.

    Raises:
        FileNotFoundError: If there is no such checkpoint, or it has no `settings.yaml`.
        ValueError: If the model is of points, or the corpus lacks the split or the classes asked for.
    """
    scoring = scoring or CheckpointScoring()
    options, folder = scoring.options, Path(checkpoint)

    # 1. The model, and the corpus it is scored on.
    find_checkpoint(checkpoint)
    model, tokenizer = load_for_scoring(checkpoint, scoring.trust_remote_code)
    if not model.modality.reads_texts:
        raise ValueError(f"{folder} holds a model of points: examples/synthetic.py scores it")
    corpus = load_corpus(checkpoint, scoring)
    check_split(corpus, options.split)

    # 2. Scores of other ways to cluster the texts, and of the model.
    clusters = score_text_clusters(corpus, model.config.num_labels, scoring)
    scores = score_model(model, tokenizer, corpus, scoring)

    # 3. The tables, the figure and the files.
    rows = {folder.name: {"0": scores}}
    rows = real_texts(rows) | rows | other_ways(rows[folder.name]) | clusters
    lines = [score_table(rows)]
    if model.config.context_size:
        lines = [f"word vectors: {options.vectors}", "", *lines]
    file = evaluation_file(checkpoint, scoring)
    write_text(file, json.dumps(scores, indent=1))
    lines += ["", f"all scores: {file}"]
    if clusters:
        file = evaluation_file(checkpoint, scoring, "text_clusters.json")
        write_text(file, json.dumps({name: rows["0"] for name, rows in clusters.items()}, indent=1))
        lines.append(f"of the clusters: {file}")
    points = guidance_sweep(rows[folder.name])
    if points:
        plot_guidance({folder.name: points}, real_texts(rows), folder / "guidance.png")
        lines += ["", score_table(points), "", f"figure: {folder / 'guidance.png'}"]
    return "\n".join(lines)


def evaluation_file(checkpoint: str, scoring: CheckpointScoring, name: str = EVALUATION) -> Path:
    """Where [`score_checkpoint`] writes scores: `evaluation.json` in the checkpoint's folder, or for instance
    `evaluation.test.json` of the test split."""
    split = scoring.options.split
    return Path(checkpoint, scores_file(name, f"{split}-changed" if scoring.changes else split))


def load_corpus(checkpoint: str, scoring: CheckpointScoring) -> Corpus:
    """Load the corpus that the checkpoint was trained on, with the changes asked for."""
    settings = settings_of(checkpoint)
    if settings is None:
        raise FileNotFoundError(f"no settings.yaml in {checkpoint}, which would name the corpus that it is scored on")
    changes = scoring.changes
    if scoring.data_dir is not None:
        changes = merge_changes(changes, {"data": {"data_dir": scoring.data_dir}})
    return Settings.from_dict(merge_changes(settings.to_dict(), changes)).load_corpus()


def score_text_clusters(corpus: Corpus, num_symbols: int, scoring: CheckpointScoring) -> dict[str, dict[str, Scores]]:
    """Score ways of clustering the texts without a model, as rows of a table."""
    split = scoring.options.split
    if scoring.text_clusters and not classes_by_attribute(corpus, split):
        raise ValueError(
            f"text_clusters are compared with classes, and no {split} text of {corpus.name} has any: "
            "--set data.attribute_columns=COLUMN names a column of them"
        )
    scores = {}
    for name in scoring.text_clusters:
        training, held_out = cluster_texts(name, corpus, num_symbols, split, scoring.seed)
        of_clusters = agreement_scores(held_out.symbols, held_out.classes, seed=scoring.seed)
        scores[name] = {"0": of_clusters | knowledge_scores(training, held_out)}
    return scores


def score_model(
    model: LDEBMModel, tokenizer: PreTrainedTokenizerBase, corpus: Corpus, scoring: CheckpointScoring
) -> Scores:
    """Score what a model reads, answers and writes, as far as it can do so."""
    options = scoring.options
    common = {"split": options.split, "seed": scoring.seed, "show_progress": True}
    scores: Scores = {}
    if model.config.has_latent:
        scores |= reading_scores(model, tokenizer, corpus, **common, vectors_of=kept_vectors(model))
    if model.config.context_size:
        scores |= score_responses(model, tokenizer, corpus, options.word_vectors, **common)[0]
    if options.judge is not None:
        ways = {}
        if scoring.min_label_probability is not None:
            as_read = {"min_label_probability": scoring.min_label_probability}
            ways = {"as read": as_read, f"as read, {LIKELIEST_DRAWN}": as_read | {"do_sample": True, "top_k": 50}}
        control = options.control(scoring.guidance_scales, scoring.num_samples, ways, corpus, tokenizer)
        scores |= control_scores(model, tokenizer, corpus, control, **common)[0]
    return scores
