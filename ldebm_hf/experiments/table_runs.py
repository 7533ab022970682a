"""The runs of a table of the paper: which ones there are, and how each is trained and scored."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ..baselines.corrupted_texts import TextCorruption
from ..data import Corpus, Split
from ..files.atomic import write_text
from ..model.modeling_ldebm import LDEBMModel
from ..scores.conditional_generation import ControlSettings, control_scores, in_vocabulary
from ..scores.held_out_texts import agreement_scores, knowledge_scores, reading_scores_and_symbols
from ..scores.judging import load_judge
from ..training import Trainer, assemble
from ..training.clock import RunClock
from ..training.features import frozen_features, kept_vectors
from .experiment_runs import ExperimentRun, Scores
from .few_label_experiment import (
    GIVEN_VECTORS,
    for_selection,
    latent_classifier_scores,
    symbol_scores,
    text_baseline_scores,
)
from .generation_experiment import RealTexts, generation_scores
from .paper_tables import FROM_FEATURES, LANGUAGE_MODEL, PaperTable
from .peak_memory import peak_gigabytes, reset_peak_memory
from .reading_experiment import cluster_texts, save_symbols
from .response_experiment import retrieved_response_scores, score_responses

INSTALL = {"bertopic": "pip install bertopic"}
"""How to install the packages that rows need besides this one's own, by the row, which is called like the package."""
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
        acceptability_judge (`str` or `Path`, *optional*): A sequence classifier with a class `acceptable`, folder or
            Hub id, to measure with how many of the written texts are acceptable.

    Raises:
        FileNotFoundError: If there is no file of word vectors.
    """

    split: str = "validation"
    judge: str | Path | None = None
    language_model: str | Path | None = None
    word_vectors: str | Path | None = None
    acceptability_judge: str | Path | None = None

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
        self,
        guidance_scales: Sequence[float],
        num_samples: int,
        ways: dict[str, dict[str, Any]],
        corpus: Corpus,
        tokenizer: PreTrainedTokenizerBase,
    ) -> ControlSettings:
        """Load the judges and the language model, corrupt texts of the split, and return how control is measured."""
        language_model = None if self.language_model is None else load_for_scoring(self.language_model)
        settings = ControlSettings(load_judge(self.judge), language_model, num_samples, guidance_scales, ways)
        if self.acceptability_judge is not None:
            settings.acceptability_judge = load_judge(self.acceptability_judge)
            corruption = TextCorruption(in_vocabulary(tokenizer, corpus.train.texts))
            held_out = in_vocabulary(tokenizer, corpus.splits[self.split].texts)
            settings.corrupted_texts = corruption([text for text in held_out if text])
        return settings


def load_for_scoring(
    folder: str | Path, trust_remote_code: bool = False
) -> tuple[LDEBMModel, PreTrainedTokenizerBase]:
    """Load a model, as [`load_complete_model`] does, and its tokenizer."""
    return load_complete_model(folder, trust_remote_code), AutoTokenizer.from_pretrained(folder)


def load_complete_model(folder: str | Path, trust_remote_code: bool = False) -> LDEBMModel:
    """
    Load a model onto the accelerator, if there is one.

    Args:
        folder (`str` or `Path`): Folder of the model.
        trust_remote_code (`bool`, *optional*, defaults to `False`): As in [`LDEBMModel.from_pretrained`].

    Raises:
        ValueError: If the checkpoint lacks parameters: random ones would be scored in their place.
    """
    model, found = LDEBMModel.from_pretrained(
        folder, output_loading_info=True, trust_remote_code=trust_remote_code
    )
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
        rows (`Sequence[str]`, *optional*): Rows, or single runs of a row. Default: all rows except the optional ones,
            those that need word vectors which are not given, and those of [`rows_not_installed`].
        word_vectors (`str` or `Path`, *optional*): File of word vectors.

    Raises:
        ValueError: If the table has no such row, or a row needs word vectors or a package which are not there.
    """
    without_file = {GIVEN_VECTORS} if word_vectors is None else set()
    left_out = without_file.union(plan.optional_rows, rows_not_installed(plan))
    rows = rows or [row for row in plan.all_rows if row not in left_out]
    names = [name for row in rows for name in plan.runs_of(row)]
    known = {*plan.all_rows, *(name for row in plan.all_rows for name in plan.runs_of(row)), LANGUAGE_MODEL}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"unknown row {', '.join(unknown)} (--rows): {plan.name} has {', '.join(plan.all_rows)}")
    if without_file.intersection(rows):
        raise ValueError(f"row {GIVEN_VECTORS} needs --word_vectors, a file in GloVe's format")
    missing = [row for row in rows if row in rows_not_installed(plan)]
    if missing:
        raise ValueError(f"row {', '.join(missing)} needs a package that is not installed: {INSTALL[missing[0]]}")
    return names


def rows_not_installed(plan: PaperTable) -> list[str]:
    """Return the rows of a table whose package is not installed."""
    return [row for row in plan.all_rows if row in INSTALL and importlib.util.find_spec(row) is None]


def train_and_score(run: ExperimentRun, plan: PaperTable, options: ScoringOptions) -> Scores:
    """
    Train what a run of a table lacks, and score it. Texts that its model writes are kept in its folder.

    Besides the scores there are `cpu_seconds` and `wall_seconds`: of training, or of fitting and scoring a row without
    a model, not counting probes, names, and the pretrained encoder's features, which are computed once. If the table
    asks for it, there is `peak_gigabytes` of the process meanwhile; if the run was interrupted, since it was
    continued.

    Args:
        run ([`ExperimentRun`]): The run; one that was interrupted continues.
        plan ([`PaperTable`]): Its table, which says what is measured.
        options ([`ScoringOptions`]): What scores depend on besides.
    """
    counted = plan.peak_memory and reset_peak_memory()
    if run.model in plan.text_clusters or run.model in plan.text_baselines:
        scores = _scores_without_model(run, plan, options)
    else:
        scores = _scores_of_model(run, plan, options)
    return scores | ({"peak_gigabytes": peak_gigabytes()} if counted else {})


def _scores_without_model(run: ExperimentRun, plan: PaperTable, options: ScoringOptions) -> Scores:
    """Score a row that has no model of this package, with the time that it takes."""
    corpus, features = run.settings.load_corpus(), None
    if run.model in FROM_FEATURES:
        features = features_of(corpus, options.split, plan.encoder, run.settings.data.features_dir)
    if run.model in plan.text_clusters:
        num_symbols = run.settings.model.get("num_symbols", len(corpus.label_names))
        with RunClock() as clock:
            training, held_out = cluster_texts(run.model, corpus, num_symbols, options.split, run.seed, features)
            scores = agreement_scores(held_out.symbols, held_out.classes, seed=run.seed)
        scores |= knowledge_scores(training, held_out)
        save_symbols(run.folder, {"": held_out.symbols}, held_out.texts)
    elif plan.measure == "responses":
        tokenizer = run.settings.data.build_tokenizer(corpus)
        with RunClock() as clock:
            scores = retrieved_response_scores(
                run.model, tokenizer, corpus, options.word_vectors, split=options.split, seed=run.seed
            )
    else:
        with RunClock() as clock:
            of_labels = (plan.label_counts, run.seed, options.word_vectors, features)
            scores = text_baseline_scores(run.model, corpus, options.split, *of_labels)
    return scores | clock.times


def features_of(
    corpus: Corpus, split: str, encoder: str, cache_dir: str | None = None
) -> Callable[[Sequence[str]], np.ndarray]:
    """Return a function that looks up the frozen features, `(n, feature_size)`, of texts of a corpus.

    Args:
        corpus (`Corpus`): The features of its training texts, of the validation texts and of those of `split` are
            computed, or read from the cache.
        split (`str`): The split that will be scored.
        encoder (`str`): The pretrained encoder, folder or Hub id.
        cache_dir (`str`, *optional*): Where features are kept; default: as [`frozen_features`] does.
    """
    splits = [corpus.splits[name].texts for name in dict.fromkeys(["train", "validation", split])]
    vectors = np.concatenate([frozen_features(texts, encoder, cache_dir=cache_dir) for texts in splits])
    place = {text: i for i, text in enumerate(chain(*splits))}
    return lambda texts: vectors[[place[text] for text in texts]]


def _scores_of_model(run: ExperimentRun, plan: PaperTable, options: ScoringOptions) -> Scores:
    """Train a model, and score the best one."""
    model, tokenizer, corpus = assemble(run.settings)
    scored = None
    if plan.measure == "classification":  # models are selected on texts that are not scored
        corpus, scored = for_selection(corpus, options.split)
    trainer = Trainer(model, tokenizer, corpus, run.settings)
    trainer.train()
    if run.model == LANGUAGE_MODEL:
        return trainer.times
    trusted = run.settings.training.trust_remote_code
    model, tokenizer = load_for_scoring(run.folder, trusted)  # the best one, not the last
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
        vectors_of = kept_vectors(model, run.settings.data.features_dir)
        scores, symbols = reading_scores_and_symbols(model, tokenizer, corpus, **common, vectors_of=vectors_of)
        save_symbols(run.folder, symbols, corpus.splits[options.split].texts)
        return scores, None
    if plan.measure == "responses":
        return score_responses(model, tokenizer, corpus, options.word_vectors, plan.ways, **common)
    if plan.measure == "control":
        control = options.control(plan.guidance_scales, plan.num_samples, plan.ways, corpus, tokenizer)
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
