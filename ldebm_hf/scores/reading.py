"""What a model reads in held-out texts: reconstructions and symbols, and their scores in both protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm.auto import tqdm

from ..model.dialogue_turns import encode_contexts
from ..model.text_reading import decode_words
from ..pseudo_labels.geometric_clustering import ClusteringSettings, Clusters
from .information import mutual_information, symbol_usage
from .symbols import batched_homogeneity, symbol_scores
from .text import corpus_bleu

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ..model.modeling_ldebm import LDEBMModel

PUBLISHED_BATCH_SIZE = 128


@dataclass
class Reading:
    """
    What a model reads in texts.

    Args:
        references (`list[str]`): the texts as the model knows them: cut to its longest, rare words `<unk>`.
        reconstructions (`list[str]`): written again from their likeliest latents, greedily; empty if not asked for.
        means (`np.ndarray` of shape `(n, total_latent_size)`): posterior means.
        probabilities (`np.ndarray` of shape `(n, num_symbols)`, *optional*): p(y|x) as the model infers it, at the
            posterior mean; `None` for a prior without symbols.
        latents (`np.ndarray` of shape `(n, total_latent_size)`): one z ~ q(z|x) each.
        sampled_probabilities (`np.ndarray` of shape `(n, num_symbols)`, *optional*): p(y|z) of that z.
    """

    references: list[str]
    reconstructions: list[str]
    means: np.ndarray
    probabilities: np.ndarray | None
    latents: np.ndarray
    sampled_probabilities: np.ndarray | None


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
) -> Reading:
    """Let a model read texts.

    Args:
        model ([`LDEBMModel`]): one with a latent, in evaluation mode, as `from_pretrained` leaves it.
        tokenizer (`PreTrainedTokenizerBase`): the model's.
        texts (`Sequence[str]`): at least one.
        contexts (`Sequence[Sequence[str]]`, *optional*): the turns before each text, for a model with contexts.
        reconstruct (`bool`, *optional*, defaults to `True`): also write them again, which takes longer than the rest.
        batch_size (`int`, *optional*, defaults to 256): texts at a time.
        seed (`int`, *optional*, defaults to 0): of the posterior samples.
        show_progress (`bool`, *optional*, defaults to `False`): show a progress bar over the texts.

    Raises:
        ValueError: no text, or a model without a latent.
    """
    if not len(texts):
        raise ValueError("texts must be one or more, got none")
    if model.config.prior == "none":
        raise ValueError('prior="none" has no latent that a text could be read into')
    generator = torch.Generator(model.device).manual_seed(seed)
    lengths = [len(text) for text in texts]
    order = np.argsort(lengths, kind="stable")  # texts of like length together: the least padding
    references, reconstructions = [""] * len(texts), [""] * len(texts)
    means, latents, at_means, sampled = [], [], [], []
    with tqdm(total=len(texts), desc="reading", unit="text", disable=not show_progress) as bar:
        for start in range(0, len(order), batch_size):
            indices = order[start : start + batch_size]
            batch = tokenizer(
                [texts[i] for i in indices],
                return_tensors="pt",
                padding=True,
                truncation=True,
                max_length=tokenizer.model_max_length,
            ).to(model.device)
            if contexts is not None:
                batch |= encode_contexts([contexts[i] for i in indices], tokenizer, model.device)
            posterior = model.posterior(**batch)
            means.append(posterior.expectation.float().cpu().numpy())
            drawn = posterior.sample(generator, relaxed=False)
            latents.append(drawn.float().cpu().numpy())
            if model.has_symbols:
                at_means.append(model.infer_symbols(**batch).float().cpu().numpy())
                if posterior.code_logits is not None:
                    logits = posterior.symbol_logits()
                else:
                    logits = model.prior.symbol_logits(drawn, context=posterior.context)
                sampled.append(logits.softmax(-1).float().cpu().numpy())
            copies = model.generate(**batch) if reconstruct else None
            for row, i in enumerate(indices):
                references[i] = decode_words(tokenizer, batch["input_ids"][row, None])[0]
                if copies is not None:
                    reconstructions[i] = decode_words(tokenizer, copies[row, None])[0]
            bar.update(len(indices))
    back = np.argsort(order)
    return Reading(
        references,
        reconstructions if reconstruct else [],
        np.concatenate(means)[back],
        np.concatenate(at_means)[back] if at_means else None,
        np.concatenate(latents)[back],
        np.concatenate(sampled)[back] if sampled else None,
    )


def latent_clusters(training_means: np.ndarray, means: np.ndarray, num_clusters: int, seed: int = 0) -> np.ndarray:
    """Symbols for a model that has none: K-means of posterior means.

    Args:
        training_means (`np.ndarray` of shape `(m, d)`): what K-means is fitted on.
        means (`np.ndarray` of shape `(n, d)`): what is assigned to the nearest of its centroids.
        num_clusters (`int`), seed (`int`, *optional*, defaults to 0): of K-means.

    Returns:
        `np.ndarray` of shape `(n,)`: cluster ids.
    """
    settings = ClusteringSettings(features="mean", normalize=False, seed=seed)
    return Clusters.fit(training_means, num_clusters, settings).assign(means)


def reconstruction_scores(reading: Reading) -> dict[str, float]:
    """`bleu` (0 to 100) and `exact`, the share of texts written again word for word."""
    pairs = list(zip(reading.references, reading.reconstructions, strict=True))
    return {
        "bleu": corpus_bleu(reading.reconstructions, reading.references),
        "exact": sum(text == copy for text, copy in pairs) / len(pairs),
    }


def information_scores(reading: Reading) -> dict[str, float]:
    """I(z; y) of the whole set, in nats, and how the symbols are used; for a model with symbols."""
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
    """Symbols against the classes of one attribute after the other, in both protocols.

    Args:
        symbols (`np.ndarray` of shape `(n,)`): of the whole set, scored at once: `NAME_homogeneity` and so on for an
            attribute NAME, every score with `_chance` and `_chance_std`.
        classes (`Mapping[str, Sequence[int]]`): class ids by attribute, negative where unknown.
        published_symbols (`np.ndarray` of shape `(n,)`, *optional*): those of the published protocol, argmax of p(y|z)
            at a posterior sample; default: `symbols`. They are scored within batches of 128
            (`NAME_batched_homogeneity`), as published.
        num_permutations (`int`, *optional*, defaults to 20), seed (`int`, *optional*, defaults to 0): of the chance
            levels.
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
