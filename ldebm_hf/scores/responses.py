"""Scores of the responses that a model generates in held-out dialogues."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm.auto import tqdm

from ..model.dialogue_turns import encode_contexts, without_marker
from ..model.responding import consensus
from ..model.sampling import one_warning_of_chains
from ..model.text_reading import TextReader, decode_words
from ..text.word_vectors import content_words
from .embeddings import embedding_scores, response_retrieval
from .generated_texts import corpus_bleu, distinct_n, distinct_share, empty_share

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ..data import Split
    from ..model.modeling_ldebm import LDEBMModel
    from ..text.word_vectors import WordVectors


@dataclass
class WrittenResponses:
    """
    Responses to the contexts of a split. In all of them and in the references, rare words are `<unk>`.

    Args:
        contexts (`list[tuple[str, ...]]`): The turns that the responses answer.
        references (`list[str]`): The turns that follow in the data.
        responses (`list[str]`): Texts decoded from samples of the prior, given the context.
        reconstructions (`list[str]`): Texts decoded from the mode of the posterior, given the reference; empty for a
            model without a latent variable.
    """

    contexts: list[tuple[str, ...]]
    references: list[str]
    responses: list[str]
    reconstructions: list[str]


@torch.no_grad()
@one_warning_of_chains()
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
    """
    Generate a response to every context of a split. A warning counts truncated texts and turns, and words that the
    tokenizer does not know.

    Args:
        model ([`LDEBMModel`]): A model with contexts, in evaluation mode.
        tokenizer (`PreTrainedTokenizerBase`): The model's tokenizer.
        split (`Split`): Texts with contexts, prepared like the model's training texts.
        num_candidates (`int`, *optional*, defaults to 1): As in [`~LDEBMModel.respond`]; for a model with a latent
            variable.
        batch_size (`int`, *optional*, defaults to 256): Texts per batch.
        seed (`int`, *optional*, defaults to 0): Seed of the prior's samples.
        show_progress (`bool`, *optional*, defaults to `False`): Whether to show a progress bar over the texts.
        decoding: Arguments of [`~LDEBMModel.generate`] for decoding. By default those of the model's
            `generation_config`; a language model decodes greedily.

    Raises:
        ValueError: The split or the model has no contexts, or `num_candidates` is below 1 or above `batch_size`.
    """
    if not 1 <= num_candidates <= batch_size:
        allowed = f"at least 1 and at most batch_size={batch_size}"
        raise ValueError(f"num_candidates must be {allowed}, got {num_candidates}")
    if split.contexts is None:
        raise ValueError("split must have contexts, got one without")
    if not model.config.context_size:
        raise ValueError("model must have contexts, got one without")
    generator = torch.Generator(model.device).manual_seed(seed)
    has_latent = model.config.has_latent
    number = len(split)
    written = WrittenResponses(split.contexts, [""] * number, [""] * number, [""] * number if has_latent else [])
    step = batch_size // num_candidates
    # Batches of texts of similar length need the least padding.
    order = np.argsort([len(text) for text in split.texts], kind="stable")
    decoded = partial(decode_words, tokenizer)
    reader = TextReader(tokenizer, model.config)
    with tqdm(total=number, desc="responding", unit="text", disable=not show_progress) as bar:
        for start in range(0, number, step):
            indices = order[start : start + step].tolist()
            context = encode_contexts([split.contexts[i] for i in indices], tokenizer, model.device, reader=reader)
            texts = reader([split.texts[i] for i in indices]).to(model.device)
            options: dict[str, Any] = {"generator": generator}
            if not has_latent:
                options["do_sample"] = False  # sampled tokens would be a different protocol
            options |= decoding
            repeated = {name: rows.repeat_interleave(num_candidates, 0) for name, rows in context.items()}
            candidates = decoded(model.generate(**repeated, **options))
            chosen = consensus([without_marker(text) for text in candidates], num_candidates)
            found = {"references": decoded(texts["input_ids"]), "responses": [candidates[i] for i in chosen]}
            if has_latent:
                found["reconstructions"] = decoded(model.generate(**texts, **context, **options))
            for name, texts_of_batch in found.items():
                for i, text in zip(indices, texts_of_batch, strict=True):
                    getattr(written, name)[i] = text
            bar.update(len(indices))
    reader.warn()
    return written


def response_scores(
    written: WrittenResponses,
    vectors: WordVectors | None = None,
    *,
    repeated: np.ndarray | None = None,
    num_shuffles: int = 5,
    seed: int = 0,
) -> dict[str, float]:
    """
    Score responses against the references, and by how varied they are.

    Args:
        written ([`WrittenResponses`]): What [`write_responses`] returned.
        vectors ([`WordVectors`], *optional*): Word vectors for the embedding scores; without them there are none.
        repeated (`np.ndarray` of `bool`, *optional*): Which references stand in dialogues that repeat training, from
            [`repeats_training`].
        num_shuffles (`int`, *optional*, defaults to 5): Random assignments of responses for the chance levels.
        seed (`int`, *optional*, defaults to 0): Seed of the random assignments.

    Returns:
        `dict[str, float]`:

        - `bleu`: BLEU-4, 0 to 100, without the speaker markers that responses may begin with; `bleu_chance` and
          `bleu_chance_std` are mean and standard deviation when responses are assigned to contexts at random;
        - `bleu_with_markers`: BLEU-4 where the marker counts as a word, as published;
        - with `repeated`, `bleu_unseen`: BLEU-4 of the references that are not repeated, if there are any, without
          markers; `unseen_share`: the fraction of references that are not;
        - `distinct_1`, `distinct_2`, `distinct_texts`, `empty_share`, `words_per_text`: how varied and how long the
          responses are;
        - `retrieval` and `retrieval_std_error`: how often a response is nearer to its own reference than to another
          ([`response_retrieval`]), if at least two references have words with vectors;
        - `embedding_average` and so on: the fields of [`EmbeddingScores`], if some pair has vectors on both sides;
        - `reconstruction_bleu`: BLEU-4 of the reconstructions, with markers, as published; it does not score
          responses.
    """
    responses = [without_marker(text) for text in written.responses]
    references = [without_marker(text) for text in written.references]
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
        "distinct_texts": distinct_share(responses),
        "empty_share": empty_share(responses),
        "words_per_text": float(np.mean([len(text.split()) for text in responses])),
    }
    if repeated is not None:
        unseen = np.flatnonzero(~repeated)
        scores["unseen_share"] = len(unseen) / len(references)
        if len(unseen):
            scores["bleu_unseen"] = corpus_bleu([responses[i] for i in unseen], [references[i] for i in unseen])
    if vectors is not None:
        known = [len(vectors.look_up(content_words(reference))) > 0 for reference in references]
        if sum(known) >= 2:
            found = response_retrieval(responses, references, vectors)
            scores |= {"retrieval": found.retrieval, "retrieval_std_error": found.retrieval_std_error}
        if any(
            has_reference and len(vectors.look_up(content_words(text)))
            for text, has_reference in zip(responses, known, strict=True)
        ):
            similarity = embedding_scores(responses, references, vectors, num_shuffles=num_shuffles, seed=seed)
            scores |= {f"embedding_{name}": value for name, value in vars(similarity).items()}
    if written.reconstructions:
        scores["reconstruction_bleu"] = corpus_bleu(written.reconstructions, written.references)
    return scores
