"""Scores of texts that a model generates for a class: accuracy and acceptability by judges, diversity, novelty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm.auto import tqdm

from ..model.sampling import one_warning_of_chains
from ..model.text_reading import decode_words
from .acceptability import acceptability, acceptability_chance
from .attributes import attribute_accuracy
from .generated_texts import copied_share, distinct_n, distinct_share, empty_share, self_bleu
from .judging import Judge
from .perplexity import corpus_perplexity

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ..data import Corpus, Split
    from ..model.modeling_ldebm import LDEBMModel


@dataclass
class ControlSettings:
    """
    What [`control_scores`] generates, and what the texts are scored with.

    Args:
        judge ([`Judge`]): The classifier that decides which class a text has.
        language_model (*optional*): A language model (`prior="none"`) of real texts, and its tokenizer, for
            perplexities.
        num_samples (`int`, *optional*, defaults to 500): Texts to generate per class.
        guidance_scales (`Sequence[float]`, *optional*): Guidance scales to try besides the model's own, for priors
            that take one.
        ways (`dict[str, dict]`, *optional*): Ways of generating to try besides greedy search: arguments of
            [`~LDEBMModel.generate`], by a name for each way.
        acceptability_judge ([`Judge`], *optional*): The classifier that decides whether a text is acceptable.
        corrupted_texts (`Sequence[str]`, *optional*): Corrupted real texts, whose acceptability is the chance level.
    """

    judge: Judge
    language_model: tuple[LDEBMModel, PreTrainedTokenizerBase] | None = None
    num_samples: int = 500
    guidance_scales: Sequence[float] = field(default_factory=list)
    ways: dict[str, dict[str, Any]] = field(default_factory=dict)
    acceptability_judge: Judge | None = None
    corrupted_texts: Sequence[str] = ()


def control_scores(
    model: LDEBMModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    settings: ControlSettings,
    *,
    split: str = "validation",
    seed: int = 0,
    show_progress: bool = False,
) -> tuple[dict[str, float], dict[str, list[str]]]:
    """
    Generate texts for every class, and score whether they have that class, whether they are acceptable, and how
    varied, new and fluent they are.

    Scores of real texts of the split, at most `num_samples` per class, have the prefix `real_`.
    Scores at a guidance scale g have the suffix `@g`, and those of another way of generating the suffix `@way`.
    `read_as_asked` is the fraction of texts that the model itself classifies as the requested class; generation with
    `min_label_probability` resamples texts by that same classification. With a judge of acceptability there is
    [`acceptability`] and, with corrupted texts, theirs as `acceptability_chance`.

    Args:
        model ([`LDEBMModel`]): A model with a symbol named after each of the corpus's labels, in evaluation mode.
        tokenizer (`PreTrainedTokenizerBase`): The model's tokenizer.
        corpus (`Corpus`): A corpus that is not streamed.
        settings ([`ControlSettings`]): What to generate, and what to score it with.
        split (`str`, *optional*, defaults to `"validation"`): Where real texts are taken from.
        seed (`int`, *optional*, defaults to 0): Seed of all random choices.
        show_progress (`bool`, *optional*, defaults to `False`): Whether to show progress bars.

    Returns:
        The scores, and the texts by class that greedy search generated at the model's own guidance scale.
    """
    classes = corpus.label_names
    known_training_texts = in_vocabulary(tokenizer, corpus.train.texts)

    chance = acceptability_chance(settings.acceptability_judge, settings.corrupted_texts)

    def scores_of(texts: list[str], requested: np.ndarray) -> dict[str, float]:
        read = [found["label"] for found in model.classify(texts, tokenizer)]
        judge = settings.acceptability_judge
        return {
            **accuracy_scores(settings.judge, texts, classes, requested),
            **({} if judge is None else acceptability(judge, texts) | chance),
            "read_as_asked": float(np.mean(np.asarray(read) == np.asarray(classes)[requested])),
            **text_scores(texts, known_training_texts, settings.language_model, seed),
        }

    real, real_classes = _real_texts(corpus.splits[split], len(classes), settings.num_samples, seed)
    scores = {f"real_{name}": value for name, value in scores_of(in_vocabulary(tokenizer, real), real_classes).items()}
    written: dict[str, list[str]] = {}
    scales = {}
    if "guidance_scale" in model.prior.sampling_options:
        scales = {f"{scale:g}": {"guidance_scale": scale} for scale in settings.guidance_scales}
    for way, options in ({"": {}} | scales | settings.ways).items():
        texts, requested = write_for_classes(
            model, tokenizer, classes, settings.num_samples, seed=seed, show_progress=show_progress, **options
        )
        suffix = f"@{way}" if way else ""
        scores |= {f"{name}{suffix}": value for name, value in scores_of(texts, requested).items()}
        if not way:
            written = {name: [texts[i] for i in np.flatnonzero(requested == k)] for k, name in enumerate(classes)}
    return scores, written


def in_vocabulary(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[str]:
    """Texts as a model could generate them: rare words are `<unk>`, and long texts are truncated."""
    token_ids = tokenizer(list(texts), truncation=True, max_length=tokenizer.model_max_length)["input_ids"]
    return decode_words(tokenizer, token_ids)


@one_warning_of_chains()
def write_for_classes(
    model: LDEBMModel,
    tokenizer: PreTrainedTokenizerBase,
    classes: Sequence[str],
    num_samples: int,
    *,
    guidance_scale: float | None = None,
    batch_size: int = 500,
    seed: int = 0,
    show_progress: bool = False,
    **generation_kwargs,
) -> tuple[list[str], np.ndarray]:
    """
    Generate the same number of texts for each class, from samples of the prior.

    Args:
        model ([`LDEBMModel`]): A model with a symbol named after each class, in evaluation mode.
        tokenizer (`PreTrainedTokenizerBase`): The model's tokenizer.
        classes (`Sequence[str]`): Names of symbols.
        num_samples (`int`): Texts per class.
        guidance_scale (`float`, *optional*): As in [`~LDEBMModel.generate`]; for the diffusion prior only.
        batch_size (`int`, *optional*, defaults to 500): Texts per batch.
        seed (`int`, *optional*, defaults to 0): Seed of all random choices.
        show_progress (`bool`, *optional*, defaults to `False`): Whether to show a progress bar over the texts.
        generation_kwargs: As in [`~LDEBMModel.generate`]; the default is greedy search.

    Returns:
        The texts, and for each text the index into `classes` of the requested class, `np.ndarray` of shape `(n,)`.
    """
    requested = np.repeat(np.arange(len(classes)), num_samples)
    symbols = model.symbol_ids(list(classes)).cpu()[torch.from_numpy(requested)]
    generator = torch.Generator(model.device).manual_seed(seed)
    texts: list[str] = []
    with tqdm(total=len(requested), desc="writing", unit="text", disable=not show_progress) as bar:
        for batch in symbols.split(batch_size):
            token_ids = model.generate(
                class_labels=batch, guidance_scale=guidance_scale, generator=generator, **generation_kwargs
            )
            texts += decode_words(tokenizer, token_ids)
            bar.update(len(batch))
    return texts, requested


def accuracy_scores(
    judge: Judge, texts: Sequence[str], classes: Sequence[str], requested: np.ndarray, batch_size: int = 256
) -> dict[str, float]:
    """
    Fraction of texts that a judge assigns to the requested class, in the form of [`attribute_accuracy`].

    Args:
        judge ([`Judge`]): A judge that has classes of these names.
        texts (`Sequence[str]`): The texts to judge.
        classes (`Sequence[str]`): Names of the classes.
        requested (`np.ndarray` of shape `(n,)`): For each text the index into `classes` of the requested class.
        batch_size (`int`, *optional*, defaults to 256): Texts per batch.

    Raises:
        ValueError: A name that none of the judge's classes has.
    """
    return attribute_accuracy(judge.predict(texts, batch_size), judge.label_ids(classes)[requested], judge.label_names)


def text_scores(
    texts: Sequence[str],
    training_texts: Sequence[str],
    language_model: tuple[LDEBMModel, PreTrainedTokenizerBase] | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """
    How varied, how new and how fluent texts are. Compare the scores with those of the same number of real texts.

    Args:
        texts (`Sequence[str]`): At least two texts.
        training_texts (`Sequence[str]`): Texts that could have been copied, in the form of `texts` (see
            [`in_vocabulary`]).
        language_model (*optional*): A language model (`prior="none"`) trained on real texts, and its tokenizer.
        seed (`int`, *optional*, defaults to 0): Seed of the draw of texts for self-BLEU.
    """
    scores = {
        "distinct_1": distinct_n(texts, 1),
        "distinct_2": distinct_n(texts, 2),
        "distinct_texts": distinct_share(texts),
        "self_bleu": self_bleu(texts, seed=seed),
        "copied": copied_share(texts, training_texts),
        "empty": empty_share(texts),
        "words_per_text": float(np.mean([len(text.split()) for text in texts])),
    }
    if language_model is not None:
        scores["perplexity"] = corpus_perplexity(*language_model, texts).perplexity
    return scores


def _real_texts(split: Split, num_classes: int, size: int, seed: int) -> tuple[list[str], np.ndarray]:
    """At most `size` random texts of every class, and their classes."""
    rng, labels = np.random.default_rng(seed), np.asarray(split.labels)
    chosen = [rng.permutation(np.flatnonzero(labels == label))[:size] for label in range(num_classes)]
    indices = np.concatenate(chosen)
    return [split.texts[i] for i in indices], labels[indices]
