"""How many masked words a model completes rightly, beside a left-to-right language model and n-grams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedTokenizerBase

from ..baselines.ngrams import NgramModel
from ..scores import mask_positions, recovery_scores
from ..text.tokenization import SPECIAL_TOKENS

if TYPE_CHECKING:
    from ..model.modeling_ldebm import LDEBMModel

Completer = Callable[[list[list[int]]], list[list[int]]]
"""Completes masked texts: token ids without special tokens, with the id `len(tokenizer)` in place of masked ones."""
NGRAMS = {"3-grams": 3, "commonest words": 1}
BATCH_SIZE = 16


@dataclass(frozen=True)
class SearchSettings:
    """
    How models search for the words, as in [`~LDEBMModel.complete`].

    Args:
        num_chains (`int`, *optional*, defaults to 8): Latents per text.
        num_rounds (`int`, *optional*, defaults to 2): Rounds of Langevin steps.
        num_beams (`int`, *optional*, defaults to 10): Texts that each search keeps.
        seed (`int`, *optional*, defaults to 0): Seed of masks and latents.
    """

    num_chains: int = 8
    num_rounds: int = 2
    num_beams: int = 10
    seed: int = 0


@dataclass(frozen=True)
class MaskedTexts:
    """
    Texts of which some words are masked, and what they were completed with.

    Args:
        fraction (`float`): Fraction of the words that are masked.
        originals (`list[list[int]]`): Token ids of the texts, without special tokens.
        positions (`list[list[int]]`): Which tokens are masked.
        masked (`list[list[int]]`): The texts with the id `len(tokenizer)` in place of masked tokens.
        completions (`dict[str, list[list[int]]]`): By the name of a method, the completed texts.
    """

    fraction: float
    originals: list[list[int]]
    positions: list[list[int]]
    masked: list[list[int]]
    completions: dict[str, list[list[int]]]


def complete_masked_texts(
    completers: dict[str, Completer],
    tokenizer: PreTrainedTokenizerBase,
    texts: list[list[int]],
    fraction: float,
    seed: int = 0,
) -> MaskedTexts:
    """
    Mask words of texts at random, and let several methods complete the same masked texts.

    Args:
        completers (`dict[str, Completer]`): The methods by name.
        tokenizer (`PreTrainedTokenizerBase`): The tokenizer that all of them use.
        texts (`list[list[int]]`): Token ids of the texts, without special tokens ([`words_of_texts`]).
        fraction (`float`): Fraction of each text's words to mask, above 0 and at most 1.
        seed (`int`, *optional*, defaults to 0): Seed of the masks.

    Raises:
        ValueError: If `fraction` is out of range.
    """
    texts = [ids for ids in texts if ids]
    can_be_masked = [[token >= len(SPECIAL_TOKENS) for token in ids] for ids in texts]
    positions = mask_positions(can_be_masked, fraction, seed)
    with_masks = [number for number, places in enumerate(positions) if places]
    texts, positions = [texts[number] for number in with_masks], [positions[number] for number in with_masks]
    masked = [
        [len(tokenizer) if place in places else token for place, token in enumerate(ids)]
        for ids, places in zip(texts, positions, strict=True)
    ]
    completions = {name: complete(masked) for name, complete in completers.items()}
    return MaskedTexts(fraction, texts, positions, masked, completions)


def completion_scores(texts: MaskedTexts, tokenizer: PreTrainedTokenizerBase) -> list[dict[str, Any]]:
    """Score every method's completions: records with `masked` (the fraction), `by` (the method) and its scores."""
    originals = [tokenizer.convert_ids_to_tokens(ids) for ids in texts.originals]
    records = []
    for name, completions in texts.completions.items():
        words = [tokenizer.convert_ids_to_tokens(ids) for ids in completions]
        scores = recovery_scores(words, originals, texts.positions)
        records.append({"masked": texts.fraction, "by": name, **vars(scores)})
    return records


def words_of_texts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Return the words of each text without special tokens, cut to the length that the model was trained on."""
    longest = max(1, tokenizer.model_max_length - 2)
    return [ids[:longest] for ids in tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]]


def ngram_completers(
    tokenizer: PreTrainedTokenizerBase, training_texts: Sequence[str], num_beams: int
) -> dict[str, Completer]:
    """Fit n-grams to training texts, and return the methods that complete texts by them."""
    training = [
        [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id] for ids in words_of_texts(tokenizer, training_texts)
    ]
    return {
        name: partial(_complete_by_ngrams, NgramModel(training, len(tokenizer), order), tokenizer, num_beams)
        for name, order in NGRAMS.items()
    }


def _complete_by_ngrams(
    model: NgramModel, tokenizer: PreTrainedTokenizerBase, num_beams: int, masked: list[list[int]]
) -> list[list[int]]:
    return model.infill(
        masked,
        len(tokenizer),
        may_fill=torch.arange(len(tokenizer)) >= len(SPECIAL_TOKENS),
        num_beams=num_beams,
        begin_token_id=tokenizer.bos_token_id,
        end_token_id=tokenizer.eos_token_id,
    )


def model_completer(model: LDEBMModel, tokenizer: PreTrainedTokenizerBase, search: SearchSettings) -> Completer:
    """Return the method that completes texts by a model, which has the tokenizer's vocabulary."""
    return partial(_complete_by_model, model, tokenizer, search)


def _complete_by_model(
    model: LDEBMModel, tokenizer: PreTrainedTokenizerBase, search: SearchSettings, masked: list[list[int]]
) -> list[list[int]]:
    order = sorted(range(len(masked)), key=lambda number: len(masked[number]))  # by length, for the least padding
    completions: list[list[int]] = [[]] * len(masked)
    generator = torch.Generator().manual_seed(search.seed)
    for start in range(0, len(order), BATCH_SIZE):
        rows = order[start : start + BATCH_SIZE]
        texts = [[tokenizer.bos_token_id, *masked[row], tokenizer.eos_token_id] for row in rows]
        longest = max(map(len, texts))
        output = model.complete(
            torch.tensor([ids + [tokenizer.pad_token_id] * (longest - len(ids)) for ids in texts]),
            torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in texts]),
            mask_token_id=len(tokenizer),
            num_chains=search.num_chains,
            num_rounds=search.num_rounds,
            num_beams=search.num_beams,
            generator=generator,
        )
        for row, ids in zip(rows, output.sequences.tolist(), strict=True):
            completions[row] = ids[1 : len(masked[row]) + 1]
    return completions
