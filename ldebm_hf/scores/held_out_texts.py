"""Scores of a model on held-out texts: how well it reconstructs them, and what its symbols say about their classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm.auto import tqdm

from ..data.schema import NO_LABEL
from ..model.dialogue_turns import encode_contexts
from ..model.text_reading import TextReader, decode_words
from ..pseudo_labels.geometric_clustering import ClusteringSettings, Clusters
from .classification import classification_scores
from .generated_texts import corpus_bleu
from .linear_probe import ProbeScores, probe_latents, probe_symbols
from .symbol_agreement import batched_homogeneity, symbol_scores
from .symbol_information import mutual_information, symbol_usage
from .symbol_names import name_accuracy, name_by_words

if TYPE_CHECKING:
    from transformers import BatchEncoding, PreTrainedTokenizerBase

    from ..data import Corpus, Split
    from ..model.modeling_ldebm import LDEBMModel

VectorsOf = Callable[[Sequence[Sequence[int]]], np.ndarray]
PUBLISHED_BATCH_SIZE = 128
"""Texts per batch in the published protocol of homogeneity."""
NUM_PROBED_TEXTS = 20_000
"""Training texts, drawn at random, that probes are fitted on and names are made of."""


@dataclass
class Reading:
    """
    What a model infers from texts.

    Args:
        references (`list[str]`): The texts as the tokenizer represents them: truncated to its maximum length, and with
            rare words replaced by `<unk>`.
        reconstructions (`list[str]`): Texts decoded greedily from the mode of each posterior; empty if they were not
            requested.
        means (`np.ndarray` of shape `(n, total_latent_size)`): Posterior means.
        probabilities (`np.ndarray` of shape `(n, num_symbols)`, *optional*): p(y|x), evaluated at the posterior mean;
            `None` if the prior has no symbols.
        latents (`np.ndarray` of shape `(n, total_latent_size)`): One sample z ~ q(z|x) per text.
        sampled_probabilities (`np.ndarray` of shape `(n, num_symbols)`, *optional*): p(y|z) of these samples; `None`
            if the prior has no symbols.
    """

    references: list[str]
    reconstructions: list[str]
    means: np.ndarray
    probabilities: np.ndarray | None
    latents: np.ndarray
    sampled_probabilities: np.ndarray | None


@dataclass
class AssignedTexts:
    """
    Texts with their symbols, and with what the symbols are compared with.

    Args:
        texts (`Sequence[str]`): The texts.
        symbols (`np.ndarray` of shape `(n,)`): The symbol of each text, by id.
        classes (`Mapping[str, Sequence[int]]`): Class ids by attribute, negative where unknown.
    """

    texts: Sequence[str]
    symbols: np.ndarray
    classes: Mapping[str, Sequence[int]]


@torch.no_grad()
def read_texts(
    model: LDEBMModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    contexts: Sequence[Sequence[str]] | None = None,
    reconstruct: bool = True,
    batch_size: int = 256,
    seed: int = 0,
    show_progress: bool = False,
    vectors_of: VectorsOf | None = None,
) -> Reading:
    """
    Infer the posterior and the symbols of texts, and reconstruct the texts. A warning counts truncated texts and words
    that the tokenizer does not know.

    Args:
        model ([`LDEBMModel`]): A model with a latent variable, in evaluation mode.
        tokenizer (`PreTrainedTokenizerBase`): The model's tokenizer.
        texts (`Sequence[str]`): At least one text.
        contexts (`Sequence[Sequence[str]]`, *optional*): The preceding turns of each text, for a model with contexts.
        reconstruct (`bool`, *optional*, defaults to `True`): Whether to reconstruct the texts as well, which takes
            longer than everything else.
        batch_size (`int`, *optional*, defaults to 256): Texts per batch.
        seed (`int`, *optional*, defaults to 0): Seed of the posterior samples.
        show_progress (`bool`, *optional*, defaults to `False`): Whether to show a progress bar over the texts.
        vectors_of (`Callable`, *optional*): Returns the frozen pretrained encoder's vectors, `(n, num_features)`, of
            texts that are given as tokens, such as those that training has kept. Default: they are computed.

    Raises:
        ValueError: There is no text, or the model has no latent variable.
    """
    if not len(texts):
        raise ValueError("texts must contain at least one text, got none")
    if not model.config.has_latent:
        raise ValueError(f"model must have a latent variable, got one with prior={model.config.prior!r}")
    generator = torch.Generator(model.device).manual_seed(seed)
    reader = TextReader(tokenizer, model.config, encoder=model.encoder)
    lengths = [len(text) for text in texts]
    order = np.argsort(lengths, kind="stable")  # batches of texts of similar length need the least padding
    references, reconstructions = [""] * len(texts), [""] * len(texts)
    means, latents, at_means, sampled = [], [], [], []
    parts = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    batches = [reader([texts[i] for i in indices]) for indices in parts]
    vectors = None if vectors_of is None else vectors_of(_tokens_in_order(parts, batches))
    with tqdm(total=len(texts), desc="reading", unit="text", disable=not show_progress) as bar:
        for indices, batch in zip(parts, batches, strict=True):
            batch = batch.to(model.device)
            context, known = {}, {}
            if contexts is not None:
                context = encode_contexts([contexts[i] for i in indices], tokenizer, model.device, reader=reader)
            if vectors is not None:
                known["encoder_features"] = torch.from_numpy(np.array(vectors[indices])).to(model.device)
            posterior = model.posterior(**batch, **context, **known)
            means.append(posterior.expectation.float().cpu().numpy())
            drawn = posterior.sample(generator, relaxed=False)
            latents.append(drawn.float().cpu().numpy())
            if model.has_symbols:
                at_means.append(model.symbol_logits(posterior).softmax(-1).float().cpu().numpy())
                if posterior.code_logits is not None:
                    logits = posterior.symbol_logits()
                else:
                    logits = model.prior.symbol_logits(drawn, context=posterior.context)
                sampled.append(logits.softmax(-1).float().cpu().numpy())
            copies = model.generate(latents=posterior.mode, **context) if reconstruct else None
            for row, i in enumerate(indices):
                references[i] = decode_words(tokenizer, batch["input_ids"][row, None])[0]
                if copies is not None:
                    reconstructions[i] = decode_words(tokenizer, copies[row, None])[0]
            bar.update(len(indices))
    reader.warn()
    back = np.argsort(order)
    return Reading(
        references,
        reconstructions if reconstruct else [],
        np.concatenate(means)[back],
        np.concatenate(at_means)[back] if at_means else None,
        np.concatenate(latents)[back],
        np.concatenate(sampled)[back] if sampled else None,
    )


def _tokens_in_order(parts: Sequence[np.ndarray], batches: Sequence[BatchEncoding]) -> list[list[int]]:
    """The tokens of texts without padding, in the order of the texts, from padded batches of some of them each."""
    tokens: dict[int, list[int]] = {}
    for indices, batch in zip(parts, batches, strict=True):
        for i, row, mask in zip(indices.tolist(), batch["input_ids"], batch["attention_mask"], strict=True):
            tokens[i] = row[mask.bool()].tolist()
    return [tokens[i] for i in range(len(tokens))]


def reading_scores(
    model: LDEBMModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    *,
    split: str = "validation",
    num_clusters: int | None = None,
    seed: int = 0,
    show_progress: bool = False,
    vectors_of: VectorsOf | None = None,
) -> dict[str, float]:
    """
    All scores of a model on the texts of a split: reconstruction, and the agreement of its symbols with every kind of
    class that the corpus has.

    The symbols are compared with clusters of the posterior means by K-means, fitted on the training texts, whose
    scores have the prefix `kmeans_`. A model without symbols is scored by these clusters in place of symbols. The
    scores are those of [`reconstruction_scores`], [`information_scores`], [`agreement_scores`], [`knowledge_scores`]
    and [`latent_probe_scores`]; if the symbols are named after the corpus's labels, also of [`naming_scores`].

    Args:
        model ([`LDEBMModel`]): A model with a latent variable, in evaluation mode.
        tokenizer (`PreTrainedTokenizerBase`): The model's tokenizer.
        corpus (`Corpus`): A corpus that is not streamed.
        split (`str`, *optional*, defaults to `"validation"`): The split to score.
        num_clusters (`int`, *optional*): Number of K-means clusters; defaults to the number of labels in the model's
            configuration.
        seed (`int`, *optional*, defaults to 0): Seed of the posterior samples, of K-means and of the chance levels.
        show_progress (`bool`, *optional*, defaults to `False`): Whether to show progress bars.
        vectors_of (`Callable`, *optional*): As in [`read_texts`].
    """
    options = {"split": split, "num_clusters": num_clusters, "seed": seed}
    options |= {"show_progress": show_progress, "vectors_of": vectors_of}
    return reading_scores_and_symbols(model, tokenizer, corpus, **options)[0]


def reading_scores_and_symbols(
    model: LDEBMModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    *,
    split: str = "validation",
    num_clusters: int | None = None,
    seed: int = 0,
    show_progress: bool = False,
    vectors_of: VectorsOf | None = None,
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """
    The scores of [`reading_scores`], which has the same arguments, and the symbols that they are of.

    Returns:
        The scores; and, by the prefix of their scores, the symbols of the texts of the split, `(n,)` each: `""` for
        the symbols, which are clusters for a model without symbols, and `"kmeans_"` for the clusters. There are none
        for a model without symbols and a corpus without classes.
    """
    held_out, classes = corpus.splits[split], classes_by_attribute(corpus, split)
    options = {"seed": seed, "show_progress": show_progress, "vectors_of": vectors_of}
    reading = read_texts(model, tokenizer, held_out.texts, contexts=held_out.contexts, **options)
    scores = reconstruction_scores(reading)
    if not classes and not model.has_symbols:
        return scores, {}
    options |= {"contexts": corpus.train.contexts, "reconstruct": False}
    training = read_texts(model, tokenizer, corpus.train.texts, **options)
    probed = probed_texts(corpus, seed)
    means = np.concatenate([reading.means, training.means[probed]])
    clusters = latent_clusters(training.means, means, num_clusters or model.config.num_labels, seed)
    known = assign_training_texts(corpus, probed, clusters[len(held_out) :])
    clusters = clusters[: len(held_out)]
    cluster_scores = agreement_scores(clusters, classes, seed=seed)
    cluster_scores |= knowledge_scores(known, AssignedTexts(held_out.texts, clusters, classes))
    symbols = clusters
    if model.has_symbols:
        scores |= information_scores(reading)
        symbols, sampled = reading.probabilities.argmax(1), reading.sampled_probabilities.argmax(1)
        scores |= agreement_scores(symbols, classes, published_symbols=sampled, seed=seed)
        scores |= naming_scores(reading.probabilities, model.config.id2label, corpus, held_out)
        known = replace(known, symbols=training.probabilities[probed].argmax(1))
        scores |= knowledge_scores(known, AssignedTexts(held_out.texts, symbols, classes))
    else:
        scores |= cluster_scores
    scores |= {f"kmeans_{name}": value for name, value in cluster_scores.items()}
    scores |= latent_probe_scores(training.means[probed], known.classes, reading.means, classes)
    return scores, {"": symbols, "kmeans_": clusters}


def probed_texts(corpus: Corpus, seed: int = 0) -> np.ndarray:
    """The indices of the training texts that probes are fitted on and names are made of, in order."""
    number = len(corpus.train)
    if number <= NUM_PROBED_TEXTS:
        return np.arange(number)
    return np.sort(np.random.default_rng(seed).choice(number, NUM_PROBED_TEXTS, replace=False))


def assign_training_texts(corpus: Corpus, indices: np.ndarray, symbols: np.ndarray) -> AssignedTexts:
    """Some of the training texts of a corpus, `(n,)`, with their symbols `(n,)`."""
    classes = {name: np.asarray(ids)[indices] for name, ids in classes_by_attribute(corpus, "train").items()}
    return AssignedTexts([corpus.train.texts[i] for i in indices], symbols, classes)


def knowledge_scores(training: AssignedTexts, held_out: AssignedTexts) -> dict[str, float]:
    """
    What symbols tell about a text: its words, by the symbols' names, and its classes, by a linear probe.

    Args:
        training ([`AssignedTexts`]): The texts that names are made of and probes are fitted on.
        held_out ([`AssignedTexts`]): The texts that are scored.

    Returns:
        `dict[str, float]`: `name_accuracy` ([`name_accuracy`]) and, for each attribute NAME of which two classes are
        known in the training texts, the macro-F1 `NAME_probe_of_symbols` ([`probe_symbols`]). Each comes with its
        chance level, `_chance`.
    """
    names = name_by_words(training.texts, training.symbols)
    scores = dict(vars(name_accuracy(names, held_out.texts, held_out.symbols)))
    return scores | _probe_scores(
        "symbols", probe_symbols, training.symbols, training.classes, held_out.symbols, held_out.classes
    )


def latent_probe_scores(
    training_latents: np.ndarray,
    training_classes: Mapping[str, Sequence[int]],
    latents: np.ndarray,
    classes: Mapping[str, Sequence[int]],
) -> dict[str, float]:
    """
    What latents tell about a text's classes, by a linear probe.

    Args:
        training_latents (`np.ndarray` of shape `(m, d)`): Latents of the texts that the probe is fitted on.
        training_classes (`Mapping[str, Sequence[int]]`): Their class ids by attribute, negative where unknown.
        latents (`np.ndarray` of shape `(n, d)`), classes (`Mapping[str, Sequence[int]]`): Those that are scored.

    Returns:
        `dict[str, float]`: For each attribute NAME of which two classes are known in the training texts the macro-F1
        `NAME_probe_of_latents` ([`probe_latents`]) and its chance level, `_chance`.
    """
    return _probe_scores("latents", probe_latents, training_latents, training_classes, latents, classes)


def _probe_scores(
    source: str,
    probe: Callable[..., ProbeScores],
    training_features: np.ndarray,
    training_classes: Mapping[str, Sequence[int]],
    features: np.ndarray,
    classes: Mapping[str, Sequence[int]],
) -> dict[str, float]:
    """The scores of probes of each attribute that can be probed, as `NAME_probe_of_SOURCE`, with chance levels."""
    scores = {}
    for name in attributes_to_probe(training_classes, classes):
        found = probe(training_features, training_classes[name], features, classes[name])
        scores[f"{name}_probe_of_{source}"] = found.macro_f1
        scores[f"{name}_probe_of_{source}_chance"] = found.macro_f1_chance
    return scores


def attributes_to_probe(
    training_classes: Mapping[str, Sequence[int]], classes: Mapping[str, Sequence[int]]
) -> list[str]:
    """The attributes of held-out texts of which at least two classes are known in the training texts."""
    several = [name for name, ids in training_classes.items() if len({i for i in ids if i >= 0}) > 1]
    return [name for name, ids in classes.items() if name in several and max(ids) >= 0]


def classes_by_attribute(corpus: Corpus, split: str) -> dict[str, list[int]]:
    """The class ids of a split's texts, by attribute; and as `label`, unless an attribute has the same ids."""
    held_out = corpus.splits[split]
    repeated = any(list(ids) == list(held_out.labels) for ids in held_out.attributes.values())
    labels = {"label": held_out.labels} if held_out.num_labelled and not repeated else {}
    return labels | held_out.attributes


def latent_clusters(training_means: np.ndarray, means: np.ndarray, num_clusters: int, seed: int = 0) -> np.ndarray:
    """
    K-means clusters of posterior means.

    Args:
        training_means (`np.ndarray` of shape `(m, d)`): The vectors that K-means is fitted on.
        means (`np.ndarray` of shape `(n, d)`): The vectors to assign to the nearest centroid.
        num_clusters (`int`): Number of clusters.
        seed (`int`, *optional*, defaults to 0): Seed of K-means.

    Returns:
        `np.ndarray` of shape `(n,)`: Cluster ids.
    """
    settings = ClusteringSettings(features="mean", normalize=False, seed=seed)
    return Clusters.fit(training_means, num_clusters, settings).assign(means)


def reconstruction_scores(reading: Reading) -> dict[str, float]:
    """`bleu` (0 to 100), and `exact`, the fraction of texts that are reconstructed word for word."""
    pairs = list(zip(reading.references, reading.reconstructions, strict=True))
    return {
        "bleu": corpus_bleu(reading.reconstructions, reading.references),
        "exact": sum(text == copy for text, copy in pairs) / len(pairs),
    }


def information_scores(reading: Reading) -> dict[str, float]:
    """I(z; y) over all texts, in nats, and the usage of the symbols; for a model with symbols."""
    information = mutual_information(reading.sampled_probabilities)
    symbols = reading.probabilities.argmax(1)
    return {
        "mutual_information": information.mutual_information,
        **vars(symbol_usage(symbols, reading.probabilities.shape[1])),
    }


def agreement_scores(
    symbols: np.ndarray,
    classes: Mapping[str, Sequence[int]],
    *,
    published_symbols: np.ndarray | None = None,
    num_permutations: int = 20,
    seed: int = 0,
) -> dict[str, float]:
    """
    Agreement of symbols with the classes of each attribute: over the whole set, and as in the published protocol.

    Args:
        symbols (`np.ndarray` of shape `(n,)`): The symbol of each text. For an attribute NAME the scores over the
            whole set are called `NAME_homogeneity` and so on; each has its chance level, `_chance` and `_chance_std`.
        classes (`Mapping[str, Sequence[int]]`): Class ids by attribute, negative where unknown.
        published_symbols (`np.ndarray` of shape `(n,)`, *optional*): Symbols of the published protocol, the argmax of
            p(y|z) at a posterior sample; defaults to `symbols`. They are scored within batches of 128 texts
            (`NAME_batched_homogeneity`).
        num_permutations (`int`, *optional*, defaults to 20): Random permutations for the chance levels.
        seed (`int`, *optional*, defaults to 0): Seed of the permutations.
    """
    if published_symbols is None:
        published_symbols = symbols
    scores = {}
    for name, ids in classes.items():
        ids = np.asarray(ids)
        found = vars(symbol_scores(symbols, ids, num_permutations, seed))
        if (ids >= 0).sum() >= PUBLISHED_BATCH_SIZE:
            found = found | vars(
                batched_homogeneity(
                    published_symbols, ids, PUBLISHED_BATCH_SIZE, num_permutations=num_permutations, seed=seed
                )
            )
        scores |= {f"{name}_{score}": value for score, value in found.items()}
    return scores


def naming_scores(
    probabilities: np.ndarray, names: Mapping[int, str], corpus: Corpus, held_out: Split
) -> dict[str, float]:
    """
    How well symbols that are named after the corpus's labels predict those labels.

    Args:
        probabilities (`np.ndarray` of shape `(n, num_symbols)`): p(y|x) of the texts of `held_out`.
        names (`Mapping[int, str]`): The symbols' names, by id.
        corpus (`Corpus`): The corpus, for the names of its labels.
        held_out (`Split`): The texts with their labels.

    Returns:
        `dict[str, float]`: `label_accuracy` and the expected `calibration_error`; empty if no text has a label, or if
        no symbol has the name of one of the labels.
    """
    symbols = {name: symbol for symbol, name in names.items()}
    if not held_out.num_labelled or not set(corpus.label_names) <= symbols.keys():
        return {}
    true = [symbols[corpus.label_names[label]] if label >= 0 else NO_LABEL for label in held_out.labels]
    found = classification_scores(probabilities, np.array(true))
    return {"label_accuracy": found.accuracy, "calibration_error": found.calibration_error}
