"""All scores of a trained model of texts on a split of its corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.schema import NO_LABEL
from .classification import classification_scores
from .conditional_generation import accuracy_scores, as_known, text_scores, write_for_classes
from .held_out_texts import agreement_scores, information_scores, latent_clusters, read_texts, reconstruction_scores

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ..data import Corpus, Split
    from ..model.modeling_ldebm import LDEBMModel
    from .judging import Judge


def reading_scores(
    model: LDEBMModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    *,
    split: str = "validation",
    num_clusters: int | None = None,
    seed: int = 0,
    show_progress: bool = False,
) -> dict[str, float]:
    """What a model reads in a split: reconstructions and symbols, these against all classes that the corpus knows.

    Besides the model's own symbols there are those of K-means of its posterior means (`kmeans_…`), fitted on the
    training texts; for a model without symbols they stand for its own. Where symbols have the names of the corpus's
    labels there are [`naming_scores`], too.

    Args:
        model ([`LDEBMModel`]): one with a latent, in evaluation mode. tokenizer (`PreTrainedTokenizerBase`): its own.
        corpus (`Corpus`): one that is not streamed.
        split (`str`, *optional*, defaults to `"validation"`): what is read.
        num_clusters (`int`, *optional*): of K-means; default as many as the model has symbols, or names of such.
        seed (`int`, *optional*, defaults to 0): of posterior samples, K-means and chance levels.
        show_progress (`bool`, *optional*, defaults to `False`): show progress bars.
    """
    held_out, classes = corpus.splits[split], classes_of(corpus, split)
    options = {"seed": seed, "show_progress": show_progress}
    reading = read_texts(model, tokenizer, held_out.texts, contexts=held_out.contexts, **options)
    scores = reconstruction_scores(reading)
    if not classes and not model.has_symbols:
        return scores
    options |= {"contexts": corpus.train.contexts, "reconstruct": False}
    training = read_texts(model, tokenizer, corpus.train.texts, **options)
    clusters = latent_clusters(training.means, reading.means, num_clusters or model.config.num_labels, seed)
    if model.has_symbols:
        scores |= information_scores(reading)
        symbols, sampled = reading.probabilities.argmax(1), reading.sampled_probabilities.argmax(1)
        scores |= agreement_scores(symbols, classes, published_symbols=sampled, seed=seed)
        scores |= naming_scores(reading.probabilities, model.config.id2label, corpus, held_out)
    else:
        scores |= agreement_scores(clusters, classes, seed=seed)
    of_clusters = agreement_scores(clusters, classes, seed=seed)
    return scores | {f"kmeans_{name}": value for name, value in of_clusters.items()}


def naming_scores(
    probabilities: np.ndarray, names: Mapping[int, str], corpus: Corpus, held_out: Split
) -> dict[str, float]:
    """
    Whether symbols that are called like the corpus's labels name these: `label_accuracy`, and `calibration_error`, how
    far their probabilities are from being right so often. Nothing where some label has no symbol of its name.

    Args:
        probabilities (`np.ndarray` of shape `(n, num_symbols)`): p(y|x) of the texts of `held_out`.
        names (`Mapping[int, str]`): of the symbols.
    """
    symbols = {name: symbol for symbol, name in names.items()}
    if not held_out.num_labelled or not set(corpus.label_names) <= symbols.keys():
        return {}
    true = [symbols[corpus.label_names[label]] if label >= 0 else NO_LABEL for label in held_out.labels]
    found = classification_scores(probabilities, np.array(true))
    return {"label_accuracy": found.accuracy, "calibration_error": found.calibration_error}


def classes_of(corpus: Corpus, split: str) -> dict[str, list[int]]:
    """The class ids of a split's texts by attribute, and as `label` if they have labels that no attribute repeats."""
    held_out = corpus.splits[split]
    repeated = any(list(ids) == list(held_out.labels) for ids in held_out.attributes.values())
    labels = {"label": held_out.labels} if held_out.num_labelled and not repeated else {}
    return labels | held_out.attributes


@dataclass
class ControlSettings:
    """
    How class-conditional writing is tried.

    Args:
        judge ([`Judge`]): says which class a text has.
        language_model (*optional*): a model with `prior="none"` of real texts, and its tokenizer, for perplexity.
        num_samples (`int`, *optional*, defaults to 500): sentences per class.
        guidance_scales (`Sequence[float]`, *optional*): to be tried besides the model's own.
        ways (`dict[str, dict]`, *optional*): by name, other arguments of [`~LDEBMModel.generate`] to be tried besides
            greedy search.
    """

    judge: Judge
    language_model: tuple[LDEBMModel, PreTrainedTokenizerBase] | None = None
    num_samples: int = 500
    guidance_scales: Sequence[float] = field(default_factory=list)
    ways: dict[str, dict[str, Any]] = field(default_factory=dict)


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
    """Whether sentences written for a class have it, next to how varied, new and likely they are.

    The same scores of as many real texts of the split have the prefix `real_`, and those at a guidance scale g or
    of a way of writing the suffix `@g` or `@way`. `read_as_asked` is the share in which the model itself reads the
    class: what a way of writing that goes by its own reading (`min_label_probability`) has to write again.

    Returns:
        The scores, and the sentences by class of greedy search at the model's own guidance scale.
    """
    classes = corpus.label_names
    known_training_texts = as_known(tokenizer, corpus.train.texts)

    def scores_of(texts: list[str], asked: np.ndarray) -> dict[str, float]:
        read = [found["label"] for found in model.classify(texts, tokenizer)]
        return {
            **accuracy_scores(settings.judge, texts, classes, asked),
            "read_as_asked": float(np.mean(np.asarray(read) == np.asarray(classes)[asked])),
            **text_scores(texts, known_training_texts, settings.language_model, seed),
        }

    real, real_classes = _real_texts(corpus.splits[split], len(classes), settings.num_samples, seed)
    scores = {f"real_{name}": value for name, value in scores_of(as_known(tokenizer, real), real_classes).items()}
    written: dict[str, list[str]] = {}
    scales = {f"{scale:g}": {"guidance_scale": scale} for scale in settings.guidance_scales}
    for way, options in ({"": {}} | scales | settings.ways).items():
        texts, asked = write_for_classes(
            model, tokenizer, classes, settings.num_samples, seed=seed, show_progress=show_progress, **options
        )
        suffix = f"@{way}" if way else ""
        scores |= {f"{name}{suffix}": value for name, value in scores_of(texts, asked).items()}
        if not way:
            written = {name: [texts[i] for i in np.flatnonzero(asked == k)] for k, name in enumerate(classes)}
    return scores, written


def _real_texts(split, num_classes: int, size: int, seed: int) -> tuple[list[str], np.ndarray]:
    """At most `size` random texts of every class, and their classes."""
    rng, labels = np.random.default_rng(seed), np.asarray(split.labels)
    chosen = [rng.permutation(np.flatnonzero(labels == label))[:size] for label in range(num_classes)]
    indices = np.concatenate(chosen)
    return [split.texts[i] for i in indices], labels[indices]
