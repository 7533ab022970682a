"""What a model answers in held-out dialogues, and how near that comes to what was said."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm.auto import tqdm

from ..model.consensus import consensus
from ..model.dialogue_turns import encode_contexts, without_marker
from ..model.text_reading import decode_words
from ..text.word_vectors import content_words
from .embeddings import embedding_scores
from .text import corpus_bleu, distinct_n, empty_share

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ..data import Split
    from ..model.modeling_ldebm import LDEBMModel
    from ..text.word_vectors import WordVectors


@dataclass
class WrittenResponses:
    """
    Responses to the contexts of a split, as the model knows words: rare ones are `<unk>`.

    Args:
        contexts (`list[tuple[str, ...]]`): what they answer.
        references (`list[str]`): what was said.
        responses (`list[str]`): from latents of the prior in that context.
        reconstructions (`list[str]`): from the likeliest latents given the reference; empty for a model without any.
    """

    contexts: list[tuple[str, ...]]
    references: list[str]
    responses: list[str]
    reconstructions: list[str]


@torch.no_grad()
def write_responses(
    model: LDEBMModel,
    tokenizer: PreTrainedTokenizerBase,
    split: Split,
    *,
    num_candidates: int = 1,
    batch_size: int = 256,
    seed: int = 0,
    show_progress: bool = False,
    **decoding: Any,
) -> WrittenResponses:
    """Answer every context of a split.

    Args:
        model ([`LDEBMModel`]): one with contexts, in evaluation mode.
        tokenizer (`PreTrainedTokenizerBase`): the model's.
        split (`Split`): texts with contexts, made as the model's training texts were.
        num_candidates (`int`, *optional*, defaults to 1): as [`~LDEBMModel.respond`] takes it, for a model with
            latents.
        batch_size (`int`, *optional*, defaults to 256): texts at a time.
        seed (`int`, *optional*, defaults to 0): of the prior's samples.
        show_progress (`bool`, *optional*, defaults to `False`): show a progress bar over the texts.
        decoding: how words are chosen, as [`~LDEBMModel.generate`] takes it; default: greedily, or by what the
            model's `generation_config` says if it has latents.

    Raises:
        ValueError: a split without contexts, or a model that reads none; `num_candidates` below 1 or above
            `batch_size`.
    """
    if not 1 <= num_candidates <= batch_size:
        allowed = f"at least 1 and at most batch_size={batch_size}"
        raise ValueError(f"num_candidates must be {allowed}, got {num_candidates}")
    if split.contexts is None or not model.config.context_size:
        what = "split" if split.contexts is None else "model"
        raise ValueError(f"responses need a {what} with contexts, got one without")
    generator = torch.Generator(model.device).manual_seed(seed)
    has_latent = model.config.prior != "none"
    number = len(split)
    written = WrittenResponses(split.contexts, [""] * number, [""] * number, [""] * number if has_latent else [])
    step = batch_size // num_candidates
    order = np.argsort([len(text) for text in split.texts], kind="stable")  # the least padding
    decoded = partial(decode_words, tokenizer)
    with tqdm(total=number, desc="responding", unit="text", disable=not show_progress) as bar:
        for start in range(0, number, step):
            indices = order[start : start + step].tolist()
            context = encode_contexts([split.contexts[i] for i in indices], tokenizer, model.device)
            texts = tokenizer(
                [split.texts[i] for i in indices], return_tensors="pt", padding=True, truncation=True
            ).to(model.device)
            # A language model says the likeliest thing; as samples of tokens it would be another protocol.
            options = {"generator": generator} | ({} if has_latent else {"do_sample": False}) | decoding
            of_candidates = {name: rows.repeat_interleave(num_candidates, 0) for name, rows in context.items()}
            candidates = decoded(model.generate(**of_candidates, **options))
            chosen = consensus([without_marker(text) for text in candidates], num_candidates)
            found = {"references": decoded(texts["input_ids"]), "responses": [candidates[i] for i in chosen]}
            if has_latent:
                found["reconstructions"] = decoded(model.generate(**texts, **context, **options))
            for name, of_texts in found.items():
                for i, text in zip(indices, of_texts, strict=True):
                    getattr(written, name)[i] = text
            bar.update(len(indices))
    return written


def response_scores(
    written: WrittenResponses, vectors: WordVectors | None = None, *, num_shuffles: int = 5, seed: int = 0
) -> dict[str, float]:
    """BLEU-4 against what was said, 0 to 100, how near that comes in the words' vectors, and how varied responses are.

    `bleu` is of the words, without the speaker's marker that responses may start with; `bleu_with_markers` counts it
    as a word, as published; `bleu_chance` (`_std`) is that of responses dealt out to the contexts at random.
    `reconstruction_bleu` is of texts written again, with markers, as published; not a score of responses.
    `embedding_average`, `_extrema`, `_greedy`, `_coverage` and so on are the [`EmbeddingScores`] of the words, and
    missing if no response has a vector.

    Args:
        written ([`WrittenResponses`]): of [`write_responses`].
        vectors ([`WordVectors`], *optional*): of the words as the model knows them; default: no such scores.
        num_shuffles (`int`, *optional*, defaults to 5), seed (`int`, *optional*, defaults to 0): of the chance level.
    """
    responses, references = ([without_marker(text) for text in texts] for texts in
                             (written.responses, written.references))  # fmt: skip
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(responses)) for _ in range(num_shuffles)]
    by_chance = [corpus_bleu([responses[i] for i in order], references) for order in orders]
    scores = {
        "bleu": corpus_bleu(responses, references),
        "bleu_chance": float(np.mean(by_chance)),
        "bleu_chance_std": float(np.std(by_chance)),
        "bleu_with_markers": corpus_bleu(written.responses, written.references),
        "distinct_1": distinct_n(responses, 1),
        "distinct_2": distinct_n(responses, 2),
        "distinct_texts": len(set(responses)) / len(responses),
        "empty_share": empty_share(responses),
        "words_per_text": float(np.mean([len(text.split()) for text in responses])),
    }
    if vectors is not None and any(
        len(vectors.of(content_words(text))) and len(vectors.of(content_words(reference)))
        for text, reference in zip(responses, references, strict=True)
    ):
        of_words = embedding_scores(responses, references, vectors, num_shuffles=num_shuffles, seed=seed)
        scores |= {f"embedding_{name}": value for name, value in vars(of_words).items()}
    if written.reconstructions:
        scores["reconstruction_bleu"] = corpus_bleu(written.reconstructions, written.references)
    return scores
