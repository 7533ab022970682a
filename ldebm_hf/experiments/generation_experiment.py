"""How well models write unconditionally: scores of samples and reconstructions beside those of real texts.

The published protocol has reverse perplexity and word divergence of 40,000 samples, and BLEU of reconstructions from
posterior means. The sound protocol scores a sample of the size of the held-out split beside that split itself, with a
divergence to which words that are not in the training texts contribute.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from ..data import Corpus
from ..files.resumable import model_digest
from ..files.writing import NOT_ALLOWED, write_samples
from ..model.text_reading import decode_words
from ..reports.run_record import LIKELIHOOD, scores_file
from ..scores.conditional_generation import in_vocabulary, text_scores
from ..scores.generated_texts import corpus_bleu, empty_share
from ..scores.held_out_texts import information_scores, read_texts, reconstruction_scores
from ..scores.lstm_language_model import LanguageModelSettings, LSTMLanguageModel, distinct_words
from ..scores.sample_perplexity import VALIDATION_SHARE, fit_language_model, reverse_perplexity, stream_perplexity
from ..scores.word_frequencies import word_divergence
from .experiment_runs import Scores

if TYPE_CHECKING:
    from ..model.modeling_ldebm import LDEBMModel

TRAINING_TEXTS = "training_texts"
"""Value of `latents` of a way of writing: the posteriors of training texts, in place of the prior."""


@dataclass(frozen=True)
class GenerationSettings:
    """
    How samples are scored.

    Args:
        num_samples (`int`, *optional*, defaults to 40000): Number of samples whose words are counted and which train
            the language model of reverse perplexity. Another 3,000 per 40,000 choose its epoch.
        language_model ([`LanguageModelSettings`], *optional*): Settings of the language models for perplexity and
            reverse perplexity; default: the published ones, which need a GPU.
        ways (`dict[str, dict]`, *optional*): More ways of writing to score, by name: arguments of
            [`~LDEBMModel.generate`], and `latents: training_texts` to write from posteriors of training texts in place
            of the prior. They separate the cost of the prior's latents from that of the search for words.

    Raises:
        ValueError: If there are fewer than two samples, or a way has other latents, symbols or an argument that is set
            here.
    """

    num_samples: int = 40_000
    language_model: LanguageModelSettings = field(default_factory=LanguageModelSettings)
    ways: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self):
        if self.num_samples < 2:
            raise ValueError(f"num_samples must be at least 2, got {self.num_samples}")
        for way, options in self.ways.items():
            refused = (NOT_ALLOWED | {"num_samples", "class_labels"}) & options.keys()
            if refused or options.get("latents", TRAINING_TEXTS) != TRAINING_TEXTS:
                allowed = f"options of generate and latents: {TRAINING_TEXTS}"
                raise ValueError(f"ways must have {allowed}, got {options} for {way!r}")

    @property
    def num_drawn(self) -> int:
        """Number of samples to draw, with those that choose the language model's epoch."""
        return round(self.num_samples / (1 - VALIDATION_SHARE))

    @property
    def description(self) -> dict[str, str]:
        """What scores depend on, in words, by name."""
        sizes = ", ".join(f"{name} {value}" for name, value in asdict(self.language_model).items())
        return {"samples": str(self.num_samples), "language model of samples": sizes}


@dataclass
class RealTexts:
    """
    Real texts that samples are compared with.

    Args:
        training (`list[str]`), held_out (`list[str]`): Whole texts, in the tokenizer's words.
        known_training (`list[str]`), known_held_out (`list[str]`): The same cut to the longest text that a model can
            write, with unknown words as a model would write them.
    """

    training: list[str]
    held_out: list[str]
    known_training: list[str]
    known_held_out: list[str]

    @classmethod
    def from_corpus(cls, corpus: Corpus, tokenizer: PreTrainedTokenizerBase, split: str = "validation") -> RealTexts:
        """Take the texts of a corpus that is not streamed, as a tokenizer reads them."""
        pair = corpus.train.texts, corpus.splits[split].texts
        token_ids = [tokenizer(list(texts), verbose=False)["input_ids"] for texts in pair]
        whole = [decode_words(tokenizer, rows) for rows in token_ids]
        return cls(*whole, *(in_vocabulary(tokenizer, texts) for texts in pair))

    def language_models(
        self, settings: GenerationSettings, folder: Path, show_progress: bool = False
    ) -> tuple[LSTMLanguageModel, LSTMLanguageModel]:
        """
        Return language models of all training texts, and of a sample of them that is as large as the models' samples.
        They are trained unless they are in `folder`.
        """
        options = {"vocabulary": distinct_words(self.training), "folder": folder, "show_progress": show_progress}
        # Samples do not follow one another as the sentences of a corpus do.
        in_no_order = [self.training[i] for i in np.random.default_rng(0).permutation(len(self.training))]
        texts = self.training, in_no_order[: settings.num_drawn]
        first, second = (fit_language_model(part, settings.language_model, **options) for part in texts)
        return first, second


def generation_scores(
    model: LDEBMModel,
    tokenizer: PreTrainedTokenizerBase,
    real: RealTexts,
    settings: GenerationSettings,
    *,
    folder: Path,
    shared_folder: Path,
    seed: int = 0,
    show_progress: bool = False,
) -> tuple[Scores, dict[str, list[str]]]:
    """
    Score what a model writes, and real held-out texts in the same way (with the prefix `real_`).

    `reverse_perplexity`, `word_kl` and `bleu` follow the published protocol. The language model of reverse perplexity
    always has the vocabulary of the training texts, so that models can be compared. The scores of [`text_scores`],
    `word_kl_same_size` and `word_kl_smoothed` are of a sample of the size of the held-out split; `perplexity` is that
    sample's under a language model of the training texts. For real texts, `bleu` compares each held-out text with
    another one, and `reverse_perplexity` is that of a language model of `num_samples` training texts. Scores of
    another way of writing have `@` and its name at the end; a model without latents writes in one way.

    Args:
        model ([`LDEBMModel`]): A model of texts, in evaluation mode.
        tokenizer (`PreTrainedTokenizerBase`): Its tokenizer.
        real ([`RealTexts`]): Real texts, in the tokenizer's words.
        settings ([`GenerationSettings`]): How samples are scored.
        folder (`Path`): Where the samples and their language models are kept, for a call that was killed to continue.
        shared_folder (`Path`): Where the language models of real texts are kept.
        seed (`int`, *optional*, defaults to 0): Seed of samples and draws.
        show_progress (`bool`, *optional*, defaults to `False`): Show progress bars.

    Returns:
        The scores, and the samples by way of writing; the first way is `""`.
    """
    scores: Scores = {}
    if model.config.has_latent:
        reading = read_texts(model, tokenizer, real.held_out, seed=seed, show_progress=show_progress)
        scores |= reconstruction_scores(reading) | (information_scores(reading) if model.has_symbols else {})
    of_all, of_as_many = real.language_models(settings, shared_folder, show_progress)
    size = min(settings.num_samples, len(real.held_out))
    common = {"seed": seed, "show_progress": show_progress}
    judging = {"vocabulary": distinct_words(real.training), "folder": folder, "show_progress": show_progress}
    samples = {}
    for way, options in ({"": {}} | (settings.ways if model.config.has_latent else {})).items():
        decoding = {name: value for name, value in options.items() if name != "latents"}
        if "latents" in options:
            decoding["latents"] = training_latents(model, tokenizer, real, settings.num_drawn, **common)
        drawn = draw_samples(model, tokenizer, settings.num_drawn, folder, **common, **decoding)
        reverse = reverse_perplexity(drawn, real.held_out, settings.language_model, **judging)
        of_way = {
            "reverse_perplexity": reverse.perplexity,
            **_published_word_kl(drawn[: settings.num_samples], real.training),
            **_scores_of_size(drawn[:size], drawn[:size], real, of_all, seed),
        }
        scores |= {f"{name}@{way}" if way else name: value for name, value in of_way.items()}
        samples[way] = drawn
    chosen = np.random.default_rng(seed).permutation(len(real.held_out))[:size]
    whole, known = ([texts[i] for i in chosen] for texts in (real.held_out, real.known_held_out))
    of_real = _scores_of_size(whole, known, real, of_all, seed)
    of_real["reverse_perplexity"] = stream_perplexity(of_as_many, real.held_out).perplexity
    of_real["bleu"] = corpus_bleu([*known[1:], known[0]], known)
    return scores | {f"real_{name}": value for name, value in of_real.items()}, samples


def _scores_of_size(
    whole: Sequence[str], known: Sequence[str], real: RealTexts, language_model: LSTMLanguageModel, seed: int
) -> Scores:
    """Return the scores that depend on the number of texts, given whole and as models know them; and perplexity."""
    perplexity = stream_perplexity(language_model, whole).perplexity
    if sum(bool(text.split()) for text in known) < 2:  # a collapsed model
        return {"perplexity": perplexity, "empty_share": empty_share(known)}
    words = word_divergence(whole, real.training)
    return {
        "perplexity": perplexity,
        "word_kl_same_size": words.word_kl,
        "word_kl_smoothed": words.word_kl_smoothed,
        **text_scores(known, real.known_training, seed=seed),
    }


def _published_word_kl(samples: Sequence[str], training_texts: Sequence[str]) -> Scores:
    """Return the published word divergence; nothing for samples without a word."""
    if not any(text.split() for text in samples):
        return {}
    return {"word_kl": word_divergence(samples, training_texts).word_kl}


def draw_samples(
    model: LDEBMModel,
    tokenizer: PreTrainedTokenizerBase,
    num_samples: int,
    folder: Path,
    *,
    latents: torch.Tensor | None = None,
    seed: int = 0,
    show_progress: bool = False,
    **decoding,
) -> list[str]:
    """
    Write sentences from the prior's latents or from given ones, and keep them in a file of `folder`, with which a call
    that was killed continues. Decoding is greedy unless `decoding` says otherwise; a language model without latents
    draws every word, as published.
    """
    if not model.config.has_latent:
        decoding = {"do_sample": True, "top_k": 0} | decoding
    way = [f"{name}={value}" for name, value in decoding.items()]
    if latents is not None:
        way.append(hashlib.sha256(latents.cpu().numpy().tobytes()).hexdigest())
    of_way = f"-{hashlib.sha256(', '.join(way).encode()).hexdigest()[:8]}" if way else ""
    path = folder / f"samples-{model_digest(model)}-{seed}-{num_samples}{of_way}.jsonl"
    if not path.exists():
        options = {"latents": latents, "seed": seed, "show_progress": show_progress, **decoding}
        write_samples(model, tokenizer, path, num_samples, **options)
    return [json.loads(line)["text"] for line in path.read_text("utf-8").splitlines()]


def training_latents(
    model: LDEBMModel,
    tokenizer: PreTrainedTokenizerBase,
    real: RealTexts,
    num_latents: int,
    *,
    seed: int = 0,
    show_progress: bool = False,
) -> torch.Tensor:
    """
    Draw z from q(z|x) for `num_latents` training texts in random order; if there are fewer, they are repeated.

    Returns:
        `torch.Tensor` of shape `(num_latents, total_latent_size)`.
    """
    chosen = np.resize(np.random.default_rng(seed).permutation(len(real.training)), num_latents)
    texts = [real.training[i] for i in chosen]
    reading = read_texts(model, tokenizer, texts, reconstruct=False, seed=seed, show_progress=show_progress)
    return torch.from_numpy(reading.latents)


def likelihood_scores(folder: Path, split: str) -> Scores:
    """
    Read the negative log-likelihoods of a run that examples/likelihood.py has estimated on a split, if there are any.

    Returns:
        `dict[str, float]`: `nll` and, if it was asked for, `nll_published` by the published estimator, of `nll_texts`
        texts; for the fraction `nll_too_poor` of them the estimate is only a bound.
    """
    file = folder / scores_file(LIKELIHOOD, split)
    if not file.is_file():
        return {}
    summary = json.loads(file.read_text("utf-8"))["summary"]
    names = {"nll": "lower", "nll_published": "published"}
    scores = {name: -summary[of_summary] for name, of_summary in names.items() if summary[of_summary] is not None}
    return scores | {"nll_texts": summary["num_examples"], "nll_too_poor": summary["untrusted_share"]}
