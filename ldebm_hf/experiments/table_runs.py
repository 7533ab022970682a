"""The runs of a table of the paper: which there are, and each trained and scored by what the table measures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ..baselines import text_clusters
from ..data import Corpus
from ..files.atomic import write_text
from ..model.modeling_ldebm import LDEBMModel
from ..scores.conditional_generation import ControlSettings, as_known, control_scores
from ..scores.held_out_texts import agreement_scores, classes_of, reading_scores
from ..scores.judging import load_judge
from ..scores.responses import response_scores, write_responses
from ..text.word_vectors import load_word_vectors, train_vectors_by_neighbours
from ..training import assemble
from .experiments import Scores, StudyRun, TimedTrainer
from .few_label_experiment import (
    GIVEN_VECTORS,
    for_selection,
    latent_classifier_scores,
    symbol_scores,
    text_baseline_scores,
)
from .generation_experiment import RealTexts, generation_scores
from .paper_tables import LANGUAGE_MODEL, PaperTable

WAYS_TO_CLUSTER = ("kmeans_tfidf", "kmeans_lsa", "density_clusters")
SENTENCES = "sentences.json"
"""In a run's folder what its model wrote, by title."""
NUM_KEPT_SAMPLES = 100


@dataclass
class ScoringOptions:
    """
    What scores depend on besides a run's settings.

    Args:
        split (`str`, *optional*, defaults to `"validation"`): what is scored.
        judge (`str` or `Path`, *optional*): a sequence classifier, folder or Hub id, for control.
        language_model (`str` or `Path`, *optional*): folder of a model with `prior="none"`, for perplexity.
        word_vectors (`str` or `Path`, *optional*): a file in GloVe's or word2vec's text format. Without it those that
            responses are scored with are trained on the training texts.
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
        """Which word vectors responses are scored with, for whoever reads the scores."""
        if self.word_vectors is not None:
            return f"of {self.word_vectors}"
        return "trained on the training texts (PPMI and truncated SVD, by scikit-learn)"

    def control(
        self, guidance_scales: Sequence[float], num_samples: int, ways: dict[str, dict[str, Any]]
    ) -> ControlSettings:
        """How control is tried, with the judge and the language model loaded."""
        language_model = None if self.language_model is None else load_for_scoring(self.language_model)
        return ControlSettings(load_judge(self.judge), language_model, num_samples, guidance_scales, ways)


def load_for_scoring(folder: str | Path) -> tuple[LDEBMModel, PreTrainedTokenizerBase]:
    """A model ([`load_whole`]) and its tokenizer."""
    return load_whole(folder), AutoTokenizer.from_pretrained(folder)


def load_whole(folder: str | Path) -> LDEBMModel:
    """
    A model, on the accelerator if there is one.

    Raises:
        ValueError: a checkpoint that lacks parameters, in whose place random ones would be scored.
    """
    model, found = LDEBMModel.from_pretrained(folder, output_loading_info=True)
    if found["missing_keys"]:
        raise ValueError(f"{folder} lacks parameters of the model: {', '.join(sorted(found['missing_keys']))}")
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    return model.to(device)


def check_split(corpus: Corpus, split: str) -> None:
    """Raise ValueError for a split that the corpus does not have."""
    if split not in corpus.splits:
        raise ValueError(f"unknown split {split!r} (--split): {corpus.name} has {', '.join(corpus.splits)}")


def chosen_names(plan: PaperTable, rows: Sequence[str] | None, word_vectors: str | Path | None) -> list[str]:
    """
    Names of the runs of rows, or of some runs, by default of all rows but those that are optional, and one that needs
    a file which is not given.

    Raises:
        ValueError: a row that the table does not have, or one without the file that it needs.
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


def train_and_score(run: StudyRun, plan: PaperTable, options: ScoringOptions) -> Scores:
    """The scores of one of a table's runs, after training what it lacks. What its model writes stays in its folder."""
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
    trainer = TimedTrainer(model, tokenizer, corpus, run.settings)
    trainer.train()
    if run.model == LANGUAGE_MODEL:
        return trainer.times
    model, tokenizer = load_for_scoring(run.folder)  # the best one, not the last
    common = {"split": options.split, "seed": run.seed, "show_progress": True}
    sentences = None
    if scored is not None and run.model in plan.latent_classifiers:
        scores = latent_classifier_scores(model, tokenizer, corpus, scored, plan.label_counts, run.seed)
    elif scored is not None:
        scores = symbol_scores(model, tokenizer, scored, run.settings.data.label_count)
    elif plan.measure == "reading":
        scores = reading_scores(model, tokenizer, corpus, **common)
    elif plan.measure == "generation":
        real = RealTexts.of(corpus, tokenizer, options.split)
        folders = {"folder": run.folder, "shared_folder": shared_folder(run)}
        options_of_run = {**folders, "seed": run.seed, "show_progress": True}
        scores, samples = generation_scores(model, tokenizer, real, plan.generation, **options_of_run)
        titles = {way: f"samples, {way}" if way else "samples" for way in samples}
        sentences = {titles[way]: texts[:NUM_KEPT_SAMPLES] for way, texts in samples.items()}
    elif plan.measure == "responses":
        scores, sentences = score_responses(model, tokenizer, corpus, options.word_vectors, plan.ways, **common)
    else:
        control = options.control(plan.guidance_scales, plan.num_samples, plan.ways)
        scores, sentences = control_scores(model, tokenizer, corpus, control, **common)
    if sentences is not None:
        write_text(run.folder / SENTENCES, json.dumps(sentences, indent=1, ensure_ascii=False))
    return scores | trainer.times


def shared_folder(run: StudyRun) -> Path:
    """Where the language models of real texts are that all rows of a generation table share."""
    return run.folder.parents[1] / "language_models"


def train_shared_language_models(run: StudyRun, plan: PaperTable, split: str) -> None:
    """Train them, unless they are there, before several processes need them."""
    corpus = run.settings.load_corpus()
    real = RealTexts.of(corpus, run.settings.data.build_tokenizer(corpus), split)
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
    Scores of a model's responses, and these with what they answer, by title.

    Scores of another way of writing have `@` and its name at the end.

    Args:
        model ([`LDEBMModel`]): one with contexts, in evaluation mode. tokenizer (`PreTrainedTokenizerBase`): its own.
        corpus (`Corpus`): with contexts as those of its training.
        word_vectors (`str` or `Path`, *optional*): a file of them; default: trained on the corpus's training texts.
        ways (`dict[str, dict]`, *optional*): by name, other arguments of [`~LDEBMModel.generate`], and
            `num_candidates`, to be tried besides; those with candidates only of a model with latents.
        split (`str`), seed (`int`), show_progress (`bool`): as in [`reading_scores`].

    Raises:
        FileNotFoundError: no such file. ValueError: one without vectors, or none of the model's words.
    """
    if word_vectors is None:
        vectors = train_vectors_by_neighbours(as_known(tokenizer, corpus.train.texts), seed=seed)
    else:
        vectors = load_word_vectors(word_vectors, tokenizer.get_vocab())
    scores, shown = {}, {}
    for way, decoding in ({"": {}} | (ways or {})).items():
        if "num_candidates" in decoding and model.config.prior == "none":
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
    Scores of symbols by a way of clustering texts that needs no model of ours, against all classes of a corpus.

    Args:
        name (`str`): a function of `ldebm_hf.baselines.text_clusters`, one of [`WAYS_TO_CLUSTER`].
        corpus (`Corpus`): its training texts are clustered, and those of the split assigned.
        num_symbols (`int`): number of clusters.
        split (`str`, *optional*, defaults to `"validation"`), seed (`int`, *optional*, defaults to 0).

    Raises:
        ValueError: no such way of clustering.
    """
    if name not in WAYS_TO_CLUSTER:
        raise ValueError(f"text_clusters must be of {', '.join(WAYS_TO_CLUSTER)}, got {name!r}")
    cluster = getattr(text_clusters, name)
    symbols = cluster(corpus.train.texts, corpus.splits[split].texts, num_symbols, seed=seed)
    return agreement_scores(symbols, classes_of(corpus, split), seed=seed)
