"""The runs of a table of the paper: which ones there are, and how each is trained and scored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ..baselines.text_clusters import density_clusters, kmeans_lsa, kmeans_tfidf
from ..data import Corpus, Split
from ..files.atomic import write_text
from ..model.modeling_ldebm import LDEBMModel
from ..scores.conditional_generation import ControlSettings, control_scores, in_vocabulary
from ..scores.held_out_texts import agreement_scores, classes_by_attribute, reading_scores
from ..scores.judging import load_judge
from ..scores.responses import response_scores, write_responses
from ..text.word_vectors import load_word_vectors, train_vectors_by_neighbours
from ..training import Trainer, assemble
from .experiment_runs import ExperimentRun, Scores
from .few_label_experiment import (
    GIVEN_VECTORS,
    for_selection,
    latent_classifier_scores,
    symbol_scores,
    text_baseline_scores,
)
from .generation_experiment import RealTexts, generation_scores
from .paper_tables import LANGUAGE_MODEL, PaperTable

WAYS_TO_CLUSTER = {
    "kmeans_tfidf": kmeans_tfidf,
    "kmeans_lsa": kmeans_lsa,
    "density_clusters": density_clusters,
}
"""Ways of clustering texts without a model of this package, by name."""
SENTENCES = "sentences.json"
"""File in a run's folder with what its model wrote, by title."""
NUM_KEPT_SAMPLES = 100


@dataclass
class ScoringOptions:
    """
    What scores depend on besides a run's settings.

    Args:
        split (`str`, *optional*, defaults to `"validation"`): The split that is scored.
        judge (`str` or `Path`, *optional*): A sequence classifier, folder or Hub id, to measure control with.
        language_model (`str` or `Path`, *optional*): Folder of a model with `prior="none"`, for perplexities.
        word_vectors (`str` or `Path`, *optional*): File of word vectors in the text format of GloVe or word2vec.
            Without one, those that responses are scored with are trained on the training texts.

    Raises:
        FileNotFoundError: If there is no file of word vectors.
    """

    split: str = "validation"
    judge: str | Path | None = None
    language_model: str | Path | None = None
    word_vectors: str | Path | None = None

    def __post_init__(self):
        if self.word_vectors is not None and not Path(self.word_vectors).is_file():
            raise FileNotFoundError(f"no word vectors: looked for {Path(self.word_vectors).absolute()}")

    @property
    def vectors(self) -> str:
        """Which word vectors responses are scored with, in words."""
        if self.word_vectors is not None:
            return f"of {self.word_vectors}"
        return "trained on the training texts (PPMI and truncated SVD, by scikit-learn)"

    def control(
        self, guidance_scales: Sequence[float], num_samples: int, ways: dict[str, dict[str, Any]]
    ) -> ControlSettings:
        """Load the judge and the language model, and return how control is measured."""
        language_model = None if self.language_model is None else load_for_scoring(self.language_model)
        return ControlSettings(load_judge(self.judge), language_model, num_samples, guidance_scales, ways)


def load_for_scoring(folder: str | Path) -> tuple[LDEBMModel, PreTrainedTokenizerBase]:
    """Load a model, as [`load_complete_model`] does, and its tokenizer."""
    return load_complete_model(folder), AutoTokenizer.from_pretrained(folder)


def load_complete_model(folder: str | Path) -> LDEBMModel:
    """
    Load a model onto the accelerator, if there is one.

    Raises:
        ValueError: If the checkpoint lacks parameters: random ones would be scored in their place.
    """
    model, found = LDEBMModel.from_pretrained(folder, output_loading_info=True)
    if found["missing_keys"]:
        raise ValueError(f"{folder} lacks parameters of the model: {', '.join(sorted(found['missing_keys']))}")
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    return model.to(device)


def check_split(corpus: Corpus, split: str) -> None:
    """Raise ValueError if the corpus does not have the split."""
    if split not in corpus.splits:
        raise ValueError(f"unknown split {split!r} (--split): {corpus.name} has {', '.join(corpus.splits)}")


def chosen_names(plan: PaperTable, rows: Sequence[str] | None, word_vectors: str | Path | None) -> list[str]:
    """
    Return the names of the runs to train.

    Args:
        plan ([`PaperTable`]): The table.
        rows (`Sequence[str]`, *optional*): Rows, or single runs of a row. Default: all rows except the optional ones
            and those that need word vectors which are not given.
        word_vectors (`str` or `Path`, *optional*): File of word vectors.

    Raises:
        ValueError: If the table has no such row, or a row needs word vectors which are not given.
    """
    without_file = {GIVEN_VECTORS} if word_vectors is None else set()
    rows = rows or [row for row in plan.all_rows if row not in without_file.union(plan.optional_rows)]
    names = [name for row in rows for name in plan.runs_of(row)]
    known = {*plan.all_rows, *(name for row in plan.all_rows for name in plan.runs_of(row)), LANGUAGE_MODEL}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"unknown row {', '.join(unknown)} (--rows): {plan.name} has {', '.join(plan.all_rows)}")
    if without_file.intersection(rows):
        raise ValueError(f"row {GIVEN_VECTORS} needs --word_vectors, a file in GloVe's format")
    return names


def train_and_score(run: ExperimentRun, plan: PaperTable, options: ScoringOptions) -> Scores:
    """
    Train what a run of a table lacks, and score it. Texts that its model writes are kept in its folder.

    Args:
        run ([`ExperimentRun`]): The run; one that was interrupted continues.
        plan ([`PaperTable`]): Its table, which says what is measured.
        options ([`ScoringOptions`]): What scores depend on besides.
    """
    if run.model in plan.text_clusters:
        corpus = run.settings.load_corpus()
        num_symbols = run.settings.model.get("num_symbols", len(corpus.label_names))
        return text_cluster_scores(run.model, corpus, num_symbols, options.split, run.seed)
    if run.model in plan.text_baselines:
        corpus = run.settings.load_corpus()
        of_labels = (plan.label_counts, run.seed, options.word_vectors)
        return text_baseline_scores(run.model, corpus, options.split, *of_labels)
    model, tokenizer, corpus = assemble(run.settings)
    scored = None
    if plan.measure == "classification":  # models are selected on texts that are not scored
        corpus, scored = for_selection(corpus, options.split)
    trainer = Trainer(model, tokenizer, corpus, run.settings)
    trainer.train()
    if run.model == LANGUAGE_MODEL:
        return trainer.times
    model, tokenizer = load_for_scoring(run.folder)  # the best one, not the last
    if scored is not None:
        scores, written = _classification_scores(run, plan, model, tokenizer, corpus, scored), None
    else:
        scores, written = _scores_and_texts(run, plan, options, model, tokenizer, corpus)
    if written is not None:
        write_text(run.folder / SENTENCES, json.dumps(written, indent=1, ensure_ascii=False))
    return scores | trainer.times


def _classification_scores(
    run: ExperimentRun,
    plan: PaperTable,
    model: LDEBMModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    scored: Split,
) -> Scores:
    """Score how well a model with few labels classifies, by its own symbols or by a regression on its latents."""
    if run.model in plan.latent_classifiers:
        return latent_classifier_scores(model, tokenizer, corpus, scored, plan.label_counts, run.seed)
    return symbol_scores(model, tokenizer, scored, run.settings.data.label_count)


def _scores_and_texts(
    run: ExperimentRun,
    plan: PaperTable,
    options: ScoringOptions,
    model: LDEBMModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
) -> tuple[Scores, dict[str, list[str]] | None]:
    """Return the scores that the table measures, and what the model wrote for them, by title; `None` if nothing."""
    common = {"split": options.split, "seed": run.seed, "show_progress": True}
    if plan.measure == "reading":
        return reading_scores(model, tokenizer, corpus, **common), None
    if plan.measure == "responses":
        return score_responses(model, tokenizer, corpus, options.word_vectors, plan.ways, **common)
    if plan.measure == "control":
        control = options.control(plan.guidance_scales, plan.num_samples, plan.ways)
        return control_scores(model, tokenizer, corpus, control, **common)
    scores, samples = generation_scores(
        model,
        tokenizer,
        RealTexts.from_corpus(corpus, tokenizer, options.split),
        plan.generation,
        folder=run.folder,
        shared_folder=shared_folder(run),
        seed=run.seed,
        show_progress=True,
    )
    titles = {way: f"samples, {way}" if way else "samples" for way in samples}
    return scores, {titles[way]: texts[:NUM_KEPT_SAMPLES] for way, texts in samples.items()}


def shared_folder(run: ExperimentRun) -> Path:
    """Return the folder of the language models of real texts, which all rows of a generation table share."""
    return run.folder.parents[1] / "language_models"


def train_shared_language_models(run: ExperimentRun, plan: PaperTable, split: str) -> None:
    """Train the language models of real texts, unless they are there, before several processes need them."""
    corpus = run.settings.load_corpus()
    real = RealTexts.from_corpus(corpus, run.settings.data.build_tokenizer(corpus), split)
    real.language_models(plan.generation, shared_folder(run), show_progress=True)


def score_responses(
    model: LDEBMModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    word_vectors: str | Path | None = None,
    ways: dict[str, dict[str, Any]] | None = None,
    *,
    split: str = "validation",
    seed: int = 0,
    show_progress: bool = False,
) -> tuple[Scores, dict[str, list[str]]]:
    """
    Score a model's responses in dialogues.

    Args:
        model ([`LDEBMModel`]): A model with contexts, in evaluation mode.
        tokenizer (`PreTrainedTokenizerBase`): Its tokenizer.
        corpus (`Corpus`): Texts with contexts, as the model was trained on.
        word_vectors (`str` or `Path`, *optional*): File of word vectors; default: trained on the training texts.
        ways (`dict[str, dict]`, *optional*): More ways of writing to score, by name: arguments of
            [`~LDEBMModel.generate`], and `num_candidates`. A model without latents skips those with candidates.
        split (`str`), seed (`int`), show_progress (`bool`): As in [`reading_scores`].

    Returns:
        The scores, those of another way of writing with `@` and its name at the end; and, by title, the responses with
        what they answer and what was said in their place.

    Raises:
        FileNotFoundError: If there is no file of word vectors.
        ValueError: If the file has no vectors, or none for the model's words.
    """
    if word_vectors is None:
        vectors = train_vectors_by_neighbours(in_vocabulary(tokenizer, corpus.train.texts), seed=seed)
    else:
        vectors = load_word_vectors(word_vectors, tokenizer.get_vocab())
    scores, shown = {}, {}
    for way, decoding in ({"": {}} | (ways or {})).items():
        if "num_candidates" in decoding and not model.config.has_latent:
            continue  # without latents all candidates are the same
        written = write_responses(
            model, tokenizer, corpus.splits[split], seed=seed, show_progress=show_progress, **decoding
        )
        of_way = response_scores(written, vectors, seed=seed)
        scores |= {f"{name}@{way}" if way else name: value for name, value in of_way.items()}
        answers = zip(written.contexts, written.responses, written.references, strict=True)
        title = f"responses, {way}" if way else "responses"
        shown[f"{title} (what was said)"] = [
            f"{' / '.join(context)} → {response} ({reference})" for context, response, reference in answers
        ]
    return scores, shown


def text_cluster_scores(
    name: str, corpus: Corpus, num_symbols: int, split: str = "validation", seed: int = 0
) -> dict[str, float]:
    """
    Cluster the texts of a corpus without a model of this package, and score the clusters against all of its classes.

    Args:
        name (`str`): One of [`WAYS_TO_CLUSTER`].
        corpus (`Corpus`): Its training texts are clustered; those of the split are assigned to the clusters.
        num_symbols (`int`): Number of clusters.
        split (`str`, *optional*, defaults to `"validation"`): The split that is scored.
        seed (`int`, *optional*, defaults to 0): Seed of clustering and chance levels.

    Raises:
        ValueError: If there is no such way of clustering.
    """
    if name not in WAYS_TO_CLUSTER:
        raise ValueError(f"text_clusters must be of {', '.join(WAYS_TO_CLUSTER)}, got {name!r}")
    symbols = WAYS_TO_CLUSTER[name](corpus.train.texts, corpus.splits[split].texts, num_symbols, seed=seed)
    return agreement_scores(symbols, classes_by_attribute(corpus, split), seed=seed)
